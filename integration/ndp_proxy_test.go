package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// The host's /64 on the link lan1, of which a part is the network's.
const (
	onLink   = "2001:db8:85::"
	proxied6 = "2001:db8:85:0:80::"
	routed6  = "com.docker.network.bridge.gateway_mode_ipv6=routed"
)

// proxyNet is a host whose link lan1 is on a LAN, on which the host outside asks for containers by neighbour discovery.
type proxyNet struct {
	t *testing.T
	e *harness.Engine
	// six is the address of c1.
	six string
}

// setUp sets lan1 up, as whoever sets up the host does.
const setUp = "ip link set lan1 up; ip addr replace " + onLink + "1/64 dev lan1 nodad"

// reached wants who is on the LAN to find the container and to reach its published port alone, both with their own
// addresses.
func (p proxyNet) reached(when string) {
	p.t.Helper()
	out := p.e.LAN.Outside
	harness.Eventually(p.t, when, func() error {
		_, err := out.TryGet("tcp", "["+p.six+"]:80", "-timeout", "1s")
		return err
	})
	from(p.t, when, out.Get(p.t, "tcp", "["+p.six+"]:80"), "c1", onLink+"a")
	from(p.t, when+": container", p.e.Inside("c1").Get(p.t, "tcp", "["+onLink+"a]:99"), "outside", p.six)
	out.Unreachable(p.t, "tcp", "["+p.six+"]:81")
}

// answered wants the host to answer for an address, or for none.
func (p proxyNet) answered(when, address string, want bool) {
	p.t.Helper()
	out := p.e.LAN.Outside
	_, _ = out.Try("ip", "-6", "neigh", "del", address, "dev", "lan0")
	_ = out.TryPing(address)
	if got := out.Run(p.t, "ip", "-6", "neigh", "show", address); strings.Contains(got, "lladdr") != want {
		p.t.Errorf("%s: the neighbour's entry of %s is %q", when, address, got)
	}
}

// entries are the addresses that the host answers for, and what is noted on its links.
func (p proxyNet) entries() string {
	p.t.Helper()
	text := p.e.Run(p.t, "sh", "-c", "ip -6 neigh show proxy; ip link show | grep -o 'altname gangway-.*-\\(ndp-.*\\|delay-.*\\|proxyndp\\)'; true")
	return strings.Join(strings.Fields(text), " ")
}

// testNDPProxy: who is on the link of a routed network finds its containers by neighbour discovery, and reaches what they publish; nobody
// answers for other addresses. What somebody takes away comes back, also the link itself, and nothing is left in the end.
func testNDPProxy(t *testing.T, e *harness.Engine) {
	p, out := proxyNet{t: t, e: e}, e.LAN.Outside
	e.LAN.Cable(t, e.Node, "lan1")
	e.Run(t, "sh", "-ec", setUp)
	lanAddress(t, out, "lan0", onLink+"a/64")
	lanAddress(t, e.LAN.Neighbour, "lan0", proxied6+"77/128")
	t.Cleanup(func() { out.Run(t, "ip", "neigh", "flush", "dev", "lan0") })
	out.Serve(t, "tcp", "["+onLink+"a]:99")
	ndpRefuses(t, e)
	e.Network(t, "n1", args(dual(e, "10.89.0.0/24", proxied6+"/80"), []string{"-o", routed6, "-o", "gangway.ndp_proxy=lan1"})...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("80:80")}, "tcp", "[::]:80", "tcp", "[::]:81")
	p.six = e.Address6(t, "c1", "n1")
	p.reached("at first")
	p.answered("at first", p.six, true)
	p.answered("an address that nobody has", proxied6+"99", false)
	p.answered("the gateway's", proxied6+"1", false)
	if out, err := e.TryDocker("run", "--rm", "--network", "n1", "--ip6", proxied6+"77", harness.Image, "true"); err == nil || !strings.Contains(out+err.Error(), proxied6+"77 is in use on link lan1") {
		t.Errorf("a neighbour's address: %s, %v", out, err)
	}
	e.Sleep(t, harness.Container{Name: "c2", Network: "n1"})
	six := e.Address6(t, "c2", "n1")
	p.answered("a second one", six, true)
	e.Docker(t, "stop", "-t", "0", "c2")
	p.answered("one that has stopped", six, false)
	p.heals()

	e.Docker(t, "rm", "-f", "c1", "c2")
	p.answered("one that is gone", p.six, false)
	e.Docker(t, "network", "rm", "n1")
	if left := p.entries(); left != "" {
		t.Errorf("left behind: %s", left)
	}
	if got := e.Run(t, "sh", "-c", "cd /proc/sys/net/ipv6; cat conf/all/proxy_ndp neigh/lan1/proxy_delay"); got != "0\n80" {
		t.Errorf("left proxy_ndp and proxy_delay as %q", got)
	}
}

// heals has all of it taken away in several ways.
func (p proxyNet) heals() {
	p.t.Helper()
	e, whole := p.e, p.entries()
	healed := func(when string) {
		p.t.Helper()
		harness.Eventually(p.t, when, func() error {
			now := p.entries()
			on, err := e.Try("cat", "/proc/sys/net/ipv6/conf/all/proxy_ndp")
			if err == nil && (now != whole || strings.TrimSpace(on) != "1") {
				err = fmt.Errorf("proxy_ndp=%s, %s, want %s", on, now, whole)
			}
			return err
		})
		p.reached(when)
	}
	for _, damage := range []string{
		"ip -6 neigh del proxy " + p.six + " dev lan1",
		"echo 0 >/proc/sys/net/ipv6/conf/all/proxy_ndp",
		"ip link set lan1 down; " + setUp,
		"ip -6 neigh add proxy " + proxied6 + "99 dev lan1 protocol 71", // of a container that went while the daemon was away
	} {
		e.Run(p.t, "sh", "-ec", damage)
		healed(damage)
	}
	e.Run(p.t, "sh", "-ec", "ip link set lan1 down; ip link set lan1 name away")
	harness.Eventually(p.t, "the status without the link", func() error {
		if text, _ := e.TryGangway("status"); !strings.Contains(text, "the host has no interface lan1") {
			return fmt.Errorf("%s", text)
		}
		return nil
	})
	e.Run(p.t, "sh", "-ec", "ip link set away name lan1; "+setUp)
	healed("a link that is back")
	if e.Driver == string(harness.Managed) {
		e.KillPlugin(p.t)
		healed("a plugin that was killed")
		return
	}
	e.KillGangway(p.t)
	e.Run(p.t, "ip", "-6", "neigh", "del", "proxy", p.six, "dev", "lan1")
	e.StartGangway(p.t)
	healed("taken away while the daemon was away")
}

// ndpRefuses: what cannot be is refused with what to do.
func ndpRefuses(t *testing.T, e *harness.Engine) {
	t.Helper()
	for why, option := range map[string][]string{
		"there is no link of that name":          {"-o", routed6, "-o", "gangway.ndp_proxy=lan7"},
		"has no neighbours that ask":             {"-o", routed6, "-o", "gangway.ndp_proxy=lo"},
		"gateway_mode_ipv6=routed, or leave the": {"-o", "gangway.ndp_proxy=lan1"},
	} {
		out, err := e.TryDocker(args([]string{"network", "create", "-d", e.Driver, "--ipv6", "--subnet", proxied6 + "/80"}, option, []string{"n3"})...)
		if err == nil || !strings.Contains(out+err.Error(), why) {
			t.Errorf("%s: %v, want %q", out, err, why)
		}
	}
}
