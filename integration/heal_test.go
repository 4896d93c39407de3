package integration

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/integration/harness"
)

// endured is how long a way is asked that no damage may close.
const endured = time.Second

// testHeal: what somebody breaks is whole again before the next check of all things could
// come, and told as repairs; "make bench" has how soon that is. At no time does anybody
// get where he must not, whatever is broken. Where the kernel keeps the table from others,
// there is no damage to its rules.
func testHeal(t *testing.T, e *harness.Engine) {
	// The engine mends its own rules, which the damage takes as well, only when
	// it starts, and the policy only when it turns on forwarding itself.
	policies := e.Run(t, "sh", "-c", `for c in iptables ip6tables; do echo $c $($c -S FORWARD | head -n1); done`)
	t.Cleanup(func() {
		e.Restart(t)
		warmUp(t, e)
		e.Run(t, "sh", "-ec", policies)
	})
	id := e.Network(t, "n1", "--ipv6", "--subnet", "10.95.0.0/24", "--subnet", "fd00:95::/64", "--gateway", "10.95.0.1")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80")}, "tcp", "0.0.0.0:80-81")
	e.Network(t, "n2", "--subnet", "10.95.1.0/24")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n2"})
	e.LAN.Outside.Run(t, "ip", "route", "add", "10.95.0.0/24", "via", harness.LanIPv4)
	t.Cleanup(func() { e.LAN.Outside.Run(t, "ip", "route", "del", "10.95.0.0/24") })
	ways := &crossings{engine: e, closed: closedWays(t, e, "c2", e.Address(t, "c1", "n1"))}
	p := &patient{engine: e, bridge: "gw-" + id[:12]}
	p.veth = e.Run(t, "ls", "/sys/class/net/"+p.bridge+"/brif")
	var took []time.Duration
	var incidents []incident
	for _, damage := range p.damages(t) {
		i := p.heals(t, damage)
		t.Logf("%4d ms: %s", i.mended().Milliseconds(), damage)
		took, incidents = append(took, i.mended()), append(incidents, i)
		from(t, "published port after "+damage, e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8000"), "c1", "192.0.2.2")
	}
	for _, damage := range p.kept {
		incidents = append(incidents, p.endures(t, damage))
	}
	ways.judge(t, incidents)
	slices.Sort(took)
	t.Logf("healed %d kinds of damage: p50 %s, longest %s", len(took), took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
}

// patient is a network to be broken.
type patient struct {
	engine       *harness.Engine
	bridge, veth string
	// chains says that the rules are in iptables, not just the FORWARD hook,
	// which may well be needless once its chain is flushed.
	chains bool
	// kept are the damages to rules that the kernel refuses, or that leave the
	// table out, because it has an owner.
	kept []string
}

// moveHook moves the first hook to the end of its chain, behind the engine's
// rules.
const moveHook = `hook=$(iptables -S FORWARD | grep GANGWAY-FORWARD | cut -d" " -f2-); iptables -D $hook; iptables -A $hook`

const flushRuleset = "nft flush ruleset"

// damages lists what is done to the network; every shell command must succeed.
func (p *patient) damages(t *testing.T) []string {
	t.Helper()
	var status driver.Status
	p.engine.GangwayJSON(t, &status, "status")
	rules := []string{
		"ip6tables -F", "iptables -t nat -F", "iptables -t raw -F",
		"iptables -t nat -F GANGWAY-DNAT", "iptables -A GANGWAY-FORWARD -j ACCEPT", "iptables -D GANGWAY-INTO-NETWORK 1",
		"iptables -F GANGWAY-INTERNAL", "iptables -D FORWARD -j GANGWAY-FORWARD", "iptables -F GANGWAY-FORWARD",
	}
	p.chains = status.Firewall == "iptables"
	if !p.chains {
		rules = []string{
			"nft delete table inet gangway", "nft flush table inet gangway",
			`for m in $(nft list maps inet | grep -o "map [^ ]*" | cut -d" " -f2); do nft flush map inet gangway $m; done`,
			`nft insert rule inet gangway $(nft list table inet gangway | grep -o "chain [^ ]*" | head -n1 | cut -d" " -f2) accept`,
		}
	}
	others := []string{moveHook, "iptables -I FORWARD -j ACCEPT", "iptables -F", flushRuleset, "ip link set " + p.bridge + " group 0"}
	if !p.chains && p.owned() {
		t.Log("the table has an owner")
		p.kept, rules = append(rules, flushRuleset), nil
		others = slices.DeleteFunc(others, func(s string) bool { return s == flushRuleset })
	}
	return append(append(rules, others...),
		"ip link set "+p.bridge+" down",
		"ip addr del 10.95.0.1/24 dev "+p.bridge,
		"ip route flush dev "+p.bridge,
		"ip -6 route flush dev "+p.bridge,
		"ip link set "+p.veth+" nomaster",
		"ip link set "+p.veth+" down",
		"ip link set "+p.veth+" down name renamed",
		"ip link set "+p.bridge+" down name renamed",
		"tc qdisc del dev "+p.veth+" ingress",
		"tc filter del dev "+p.veth+" ingress",
		"echo 0 >/proc/sys/net/ipv4/ip_forward",
		"echo 0 >/proc/sys/net/ipv4/conf/"+p.bridge+"/route_localnet",
		"echo 2 >/proc/sys/net/ipv6/conf/"+p.bridge+"/accept_ra",
		"echo 1 >/proc/sys/net/ipv6/conf/"+p.bridge+"/disable_ipv6",
	)
}

// owned says whether the kernel keeps others from changing the table. The
// question changes nothing: it is one transaction.
func (p *patient) owned() bool {
	_, err := p.engine.Try("nft", "add chain inet gangway asked; delete chain inet gangway asked")
	return err != nil && strings.Contains(err.Error(), "not permitted")
}

// endures tries damage to a table with an owner, and asks a published port for
// a second: nothing is to be repaired.
func (p *patient) endures(t *testing.T, damage string) incident {
	t.Helper()
	e := p.engine
	last := uint64(0)
	if before := p.events(t, 0); len(before) > 0 {
		last = before[len(before)-1].Number
	}
	table := func() string { return e.Run(t, "nft", "-s", "list", "table", "inet", "gangway") }
	before := table()
	i := incident{what: damage, began: time.Now()}
	if _, err := e.Try("sh", "-ec", damage); (err == nil) != (damage == flushRuleset) {
		t.Errorf("%s: %v", damage, err)
	}
	i.done = time.Now()
	for time.Since(i.done) < endured {
		from(t, "published port after "+damage, e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8000"), "c1", "192.0.2.2")
	}
	i.end, i.repairs = time.Now(), p.events(t, last)
	if table() != before {
		t.Errorf("%s: the table is another:\n%s\nwas:\n%s", damage, table(), before)
	}
	for _, r := range i.repairs {
		if !strings.Contains(r.Text, "tables") { // what the FORWARD hook is in belongs to all
			t.Errorf("%s: repaired %s", damage, r.Text)
		}
	}
	return i
}

// heals does damage and returns the repairs that followed.
func (p *patient) heals(t *testing.T, damage string) incident {
	t.Helper()
	e := p.engine
	before, whole := p.events(t, 0), p.whole(t)
	last := uint64(0)
	if len(before) > 0 {
		last = before[len(before)-1].Number
	}
	ns, err := strconv.ParseInt(e.Run(t, "sh", "-ec", "date +%s%N; "+damage), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	done := time.Now()
	harness.Eventually(t, "all is as before "+damage, func() error {
		if p.whole(t) != whole {
			return errors.New("it is not:\n" + harness.Snapshot{"": strings.Split(whole, "\n")}.Diff(harness.Snapshot{"": strings.Split(p.whole(t), "\n")}))
		}
		if len(p.events(t, last)) == 0 {
			return errors.New("nothing was repaired")
		}
		return nil
	})
	return incident{what: damage, began: time.Unix(0, ns), done: done, end: time.Now(), repairs: p.events(t, last)}
}

// events returns the repairs after the given event.
func (p *patient) events(t *testing.T, after uint64) []events.Event {
	t.Helper()
	var all []events.Event
	p.engine.GangwayJSON(t, &all, "events")
	return slices.DeleteFunc(all, func(e events.Event) bool { return e.Number <= after || e.Kind != events.Repair })
}

// whole describes what gangway keeps of the network, without what changes by
// itself.
func (p *patient) whole(t *testing.T) string {
	t.Helper()
	rules := ""
	if p.chains {
		// DOCKER-USER, and the jump to it, goes with the engine's rules.
		rules = p.engine.Run(t, "sh", "-c", `{ iptables-save; ip6tables-save; } | grep GANGWAY | grep -v "j DOCKER-USER$" | sed "s/\[.*\]//"`)
	}
	return rules + p.engine.Run(t, "sh", "-c", fmt.Sprintf(`
		# What refused packets have been counted for comes and goes.
		for table in gangway gangway-fail-closed; do nft -s list table inet $table 2>/dev/null; done |
			awk '/^\tset (refused|spoofed)/ { skip = 1 } !skip; /^\t}/ { skip = 0 }'
		tc filter show dev %[2]s ingress 2>/dev/null
		for l in %[1]s %[2]s; do ip -o link show dev $l; ip -o addr show dev $l scope global; done 2>/dev/null | sed "s/ valid_lft.*//; s/ state [A-Z]* / /; s/^[0-9]*: //"
		{ ip route show dev %[1]s; ip -6 route show dev %[1]s; } 2>/dev/null | grep -v ^fe80 | sed "s/ linkdown//"
		cd /proc/sys/net; grep -s . ipv4/ip_forward ipv6/conf/all/forwarding ipv4/conf/%[1]s/route_localnet ipv6/conf/%[1]s/accept_ra ipv6/conf/%[1]s/disable_ipv6 || :`, // a bridge may have none
		p.bridge, p.veth))
}

// testFlapping: somebody undoes each repair at once, for longer than it takes to call that
// flapping. Status says so while it lasts, and soon after the last damage containers are
// reached again: within two seconds (TestAfterTheLastDamage), if nothing else takes the
// machine's time.
func testFlapping(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.87.0.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80")}, "tcp", "0.0.0.0:80")
	bridge := kept(t, e)[0].Bridge
	rival := e.Daemon(t, "sh", "-c", "while ip link set "+bridge+" down; do sleep 0.02; done")
	harness.Eventually(t, "it is called flapping", func() error {
		out, err := e.TryGangway("status")
		if err == nil || !strings.Contains(out, "degraded") || !strings.Contains(out, "Flapping:") {
			return fmt.Errorf("status %s, %w", out, err)
		}
		return nil
	})
	rival.Signal(t, syscall.SIGKILL)
	e.Run(t, "ip", "link", "set", bridge, "down")
	last := time.Now()
	harness.Eventually(t, "the bridge is up", func() error {
		_, err := e.Try("sh", "-c", "ip link show "+bridge+" up | grep -q "+bridge)
		return err
	})
	t.Logf("up again %s after the last damage", time.Since(last).Round(10*time.Millisecond))
	by(t, "from outside", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8000"), "c1")
	harness.EventuallyWithin(t, 2*time.Minute, "it is over", func() error {
		_, err := e.TryGangway("health")
		return err
	})
}
