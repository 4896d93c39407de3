package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// TestManagers runs gangway beside the managers that a host's firewall and
// sysctls have, the real ones of Debian: each alone, reloaded and restarted
// under traffic. Each of gangway's backends meets firewalld's own of the same
// kind; with GANGWAY_TEST_LONG every one, and on all engines.
func TestManagers(t *testing.T) {
	t.Parallel()
	long := os.Getenv("GANGWAY_TEST_LONG") != ""
	for _, suite := range harness.Suites() {
		if suite != harness.Forky && !long {
			continue
		}
		for _, backend := range []string{"nftables", "iptables"} {
			t.Run(string(suite)+"/"+backend, func(t *testing.T) {
				t.Parallel()
				cfg := harness.Config{Suite: suite, Driver: harness.Managed, Managers: true}
				if backend == "iptables" {
					cfg.Driver, cfg.Env = harness.Daemon, []string{"GANGWAY_FIREWALL=iptables"}
				}
				e := harness.Start(t, cfg)
				warmUp(t, e)
				e.SystemBus(t)
				e.Host.Serve(t, "udp", "0.0.0.0:53")
				if backend == "nftables" || long { // it is about no rules
					t.Run("sysctl", func(t *testing.T) { testSysctl(t, e) })
				}
				t.Run("ufw", func(t *testing.T) { testUFW(t, e) })
				for _, their := range []string{"nftables", "iptables"} {
					if their == backend || long {
						t.Run("firewalld-"+their, func(t *testing.T) { testFirewalld(t, e, their) })
					}
				}
				// The last one: the engine's rules do not outlive it.
				t.Run("nftables.service", func(t *testing.T) { testNftablesService(t, e) })
			})
		}
	}
}

const (
	firewalldStarts  = "start of firewalld"
	firewalldReloads = "firewall-cmd --reload"
	// reloads is how often an administrator reloads firewalld who tries something.
	reloads = 6
)

// testFirewalld: beside a firewalld that drops all it does not know, containers
// reach what they should, as with the engine's own networks; so does gangway
// when firewalld or its zone comes later, and nothing stays in it.
func testFirewalld(t *testing.T, e *harness.Engine, backend string) {
	t.Cleanup(func() { e.Restart(t) }) // whose rules firewalld takes away
	c := cross(t, e)
	firewalld := e.Firewalld(t, "DefaultZone=drop", "FirewallBackend="+backend)
	inZone := func() string {
		return e.Run(t, "sh", "-c", "firewall-cmd --zone docker --list-interfaces 2>&1 || true")
	}
	if strings.Contains(inZone(), "INVALID_ZONE") { // the first time
		harness.Eventually(t, "the missing zone is named", func() error {
			out, err := e.TryGangway("status")
			if err == nil || !strings.Contains(out, "restart the engine") {
				return fmt.Errorf("status %s, %w", out, err)
			}
			return nil
		})
	}
	e.Restart(t)
	harness.Eventually(t, "the bridges are in the zone", func() error {
		for _, b := range c.bridges {
			if in := inZone(); !strings.Contains(in, b) {
				return fmt.Errorf("%s is not in: %s", b, in)
			}
		}
		_, err := e.TryGangway("health")
		return err
	})
	c.start(t)
	c.works(t, true)
	var incidents []incident
	for range reloads {
		incidents = append(incidents, c.after(t, firewalldReloads, "was not in firewalld's zone", func() { reload(t, e) }))
	}
	incidents = append(incidents, c.suffer(t, "firewall-cmd --zone docker --remove-interface "+c.bridges[0], c.bridges[0]))
	firewalld.Signal(t, 15)
	incidents = append(incidents, c.after(t, firewalldStarts, "was not in firewalld's zone", func() { e.Firewalld(t) }))
	c.works(t, true)
	c.judge(t, incidents)
	e.Docker(t, "rm", "-f", "c1", "c2", "c3")
	e.Docker(t, "network", "rm", "n1", "n2")
	if in := inZone(); strings.Contains(in, "gw-") {
		t.Errorf("left in the zone: %s", in)
	}
	settled(t, e)
}

// reload reloads firewalld, as an administrator does, once more if it fails: its own
// ebtables-restore gives up now and then when anything else changes nf_tables at the
// same time.
func reload(t *testing.T, e *harness.Engine) {
	t.Helper()
	if _, err := e.Try("sh", "-ec", firewalldReloads); err == nil {
		return
	} else if !strings.Contains(err.Error(), "COMMAND_FAILED: '/usr/sbin/ebtables-restore") {
		t.Fatal(err)
	}
	e.Run(t, "sh", "-ec", firewalldReloads)
}

// testUFW: ufw's rules are iptables', where gangway's come first. What comes to
// the host itself is for ufw alone: who wants its name server asked allows it.
func testUFW(t *testing.T, e *harness.Engine) {
	c := cross(t, e)
	t.Cleanup(func() { e.Run(t, "ufw", "--force", "reset") })
	e.Run(t, "ufw", "allow", "from", crossingSubnets, "to", "any", "port", "53", "proto", "udp")
	e.Run(t, "ufw", "--force", "enable")
	c.start(t)
	c.works(t, true)
	c.judge(t, []incident{
		c.suffer(t, "ufw reload", ""),
		c.suffer(t, "/usr/lib/ufw/ufw-init restart", ""),
	})
	ufwNames(t, e)
	settled(t, e)
}

// ufwNames: names in policies need what comes to the daemon. While ufw drops that, doctor says so, with what
// docs/firewalls.md adds names and connections of strict names pass, and doctor has nothing to say.
func ufwNames(t *testing.T, e *harness.Engine) {
	t.Helper()
	const subnet, drops = "10.85.0.0/24", "iptables filter INPUT, whose policy is drop, drops what containers send to the daemon"
	e.LAN.Outside.Serve(t, "dns:registry.example=192.0.2.2", "192.0.2.2:53", "tls", "192.0.2.2:8443")
	e.Network(t, "named", "--subnet", subnet, "-o", "gangway.egress=deny", "-o", "gangway.egress.allow=registry.example:8443,192.0.2.2:53", "-o", "gangway.egress.names=strict")
	e.Sleep(t, harness.Container{Name: "agent", Network: "named", Args: []string{"--dns", "192.0.2.2"}})
	agent := e.Inside("agent")
	if _, err := agent.TryGet("tls", "registry.example:8443", "-timeout", "2s"); err == nil {
		t.Error("ufw drops what comes to the host, and a name is reached")
	}
	if out, err := e.TryGangway("doctor", "agent"); err == nil || !strings.Contains(out, drops) {
		t.Errorf("doctor says %s, %v, want %q", out, err, drops)
	}
	for _, proto := range []string{"udp", "tcp"} {
		e.Run(t, "ufw", "allow", "from", subnet, "to", "any", "port", "10053:10180", "proto", proto)
	}
	agent.Get(t, "tls", "registry.example:8443")
	if out, _ := e.TryGangway("doctor", "agent"); strings.Contains(out, "to the daemon") {
		t.Errorf("ufw accepts it, and doctor says %s", out)
	}
	e.Docker(t, "rm", "-f", "agent")
	e.Docker(t, "network", "rm", "named")
}

// rulesFile is an administrator's nftables.conf: what is not named is dropped.
// The last three rules of forward are what docs/firewalls.md says.
const rulesFile = `#!/usr/sbin/nft -f
%s
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		iif lo accept
		meta l4proto { icmp, ipv6-icmp } accept
		%s
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
		%s
	}
}
`

const (
	flushAll = "flush ruleset"
	flushOwn = "table inet filter\ndelete table inet filter"

	allowInput = `iifgroup 18263 udp dport 53 accept
		iifgroup 18263 th dport 10053-10180 accept`
	allowForward = `ct state established,related accept
		ct status dnat accept
		iifgroup 18263 accept`
)

// testNftablesService: a forward chain whose policy is drop has the last word.
// With three rules for gangway's networks all works, and the file may be loaded
// again at any time.
func testNftablesService(t *testing.T, e *harness.Engine) {
	const path, reload = "/etc/nftables.conf", "nft -f /etc/nftables.conf" // nftables.service's ExecReload
	c := cross(t, e)
	e.Serve(t, harness.Container{Name: "c4", Network: "n1", Args: publish("8004:80")}, "tcp", "0.0.0.0:80")
	writeFile(t, e, path, fmt.Sprintf(rulesFile, flushAll, "", ""))
	e.Run(t, "sh", "-c", reload)
	e.LAN.Outside.Unreachable(t, "tcp", "192.0.2.1:8004")
	by(t, "the host asks a container", e.Get(t, "tcp", e.Address(t, "c4", "n1")+":80"), "c4")
	writeFile(t, e, path, fmt.Sprintf(rulesFile, flushAll, allowInput, allowForward))
	e.Run(t, "sh", "-c", reload)
	c.start(t)
	c.works(t, true)
	kept := e.Firewall() == "nftables" && (&patient{engine: e}).owned()
	flushed := c.suffer(t, reload, "")
	for _, r := range flushed.repairs {
		if kept && strings.Contains(r.Text, "table inet gangway") {
			t.Errorf("the flush took what the kernel keeps: %s", r.Text)
		}
	}
	incidents := []incident{flushed}
	writeFile(t, e, path, fmt.Sprintf(rulesFile, flushOwn, allowInput, allowForward))
	own := c.suffer(t, reload, "")
	if len(own.repairs) > 0 {
		t.Errorf("a file that flushes its own table made %v necessary", own.repairs)
	}
	incidents = append(incidents, own)
	c.judge(t, incidents)
	settled(t, e)
}

// testSysctl: forwarding and the settings of gangway's bridges come back after
// a file that turns them off was loaded.
func testSysctl(t *testing.T, e *harness.Engine) {
	const path = "/etc/sysctl.d/99-hardening.conf"
	c := cross(t, e)
	t.Cleanup(func() { e.Run(t, "rm", "-f", path) })
	writeFile(t, e, path, "net.ipv4.ip_forward = 0\nnet.ipv4.conf.*.route_localnet = 0\nnet.ipv4.conf.all.rp_filter = 1\n")
	c.start(t)
	c.judge(t, []incident{
		c.suffer(t, "sysctl -q --system", "ip_forward"),
		c.suffer(t, "sysctl -q --system", "route_localnet"),
	})
	c.works(t, true)
	settled(t, e)
}
