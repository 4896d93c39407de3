package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// lanAddress gives a machine of the LAN an address until the end of the test.
func lanAddress(t *testing.T, h *harness.Host, link string, addresses ...string) {
	t.Helper()
	for _, a := range addresses {
		args := []string{"ip", "addr", "add", a, "dev", link}
		if strings.Contains(a, ":") {
			args = append(args, "nodad")
		}
		h.Run(t, args...)
		t.Cleanup(func() { h.Run(t, "ip", "addr", "del", a, "dev", link) })
	}
}

// testUplink: containers of a network with an uplink are machines of the LAN: they reach its machines, and by
// its router others, with their own addresses, and are reached there; not as somebody else, nor by other
// networks, nor by the host. The uplink is put back where somebody takes it out, and is as it was in the end.
func testUplink(t *testing.T, e *harness.Engine) {
	router, neighbour := e.LAN.Outside, e.LAN.Neighbour
	// The host answers by all its links on a LAN for each of its addresses, also by the one that
	// goes with the scenario.
	t.Cleanup(func() {
		for _, h := range []*harness.Host{router, neighbour} {
			h.Run(t, "ip", "neigh", "flush", "dev", "lan0")
		}
	})
	e.LAN.Cable(t, e.Node, "lan1")
	before := e.Run(t, "ip", "-o", "link", "show", "lan1")
	lanAddress(t, router, "lan0", "10.85.0.1/24", "fd00:85::1/64")
	lanAddress(t, router, "lo", "10.99.0.1/32", "fd00:99::1/128")
	lanAddress(t, neighbour, "lan0", "10.85.0.3/24", "fd00:85::a3/64")
	router.Serve(t, "tcp", "[::]:99")
	e.Network(t, "n1", onLAN(e)...)
	e.Network(t, "n2", "--subnet", "10.86.0.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: []string{"--cap-add", "NET_ADMIN"}}, "tcp", "[::]:80")
	e.Serve(t, harness.Container{Name: "c2", Network: "n1"}, "tcp", "[::]:80")
	e.Serve(t, harness.Container{Name: "other", Network: "n2"}, "tcp", "[::]:80")
	four, six := e.Address(t, "c1", "n1"), e.Address6(t, "c1", "n1")

	reached := func(when string) {
		t.Helper()
		from(t, when+": neighbour", neighbour.Get(t, "tcp", four+":80"), "c1", "10.85.0.3")
		from(t, when+": neighbour, IPv6", neighbour.Get(t, "tcp", "["+six+"]:80"), "c1", "fd00:85::a3")
		from(t, when+": container", e.Inside("c1").Get(t, "tcp", "10.85.0.1:99"), "outside", four)
		from(t, when+": container, IPv6", e.Inside("c1").Get(t, "tcp", "[fd00:85::1]:99"), "outside", six)
	}
	reached("at first")
	from(t, "by the router", e.Inside("c1").Get(t, "tcp", "10.99.0.1:99"), "outside", four)
	from(t, "by the router, IPv6", e.Inside("c1").Get(t, "tcp", "[fd00:99::1]:99"), "outside", six)
	from(t, "within", e.Inside("c2").Get(t, "tcp", four+":80"), "c1", e.Address(t, "c2", "n1"))
	e.Inside("other").Unreachable(t, "tcp", four+":80")
	e.Inside("c1").Unreachable(t, "tcp", e.Address(t, "other", "n2")+":80")

	if got := e.Run(t, "cat", "/proc/sys/net/ipv4/conf/"+bridgeOf(t, e, "n1")+"/arp_ignore"); got != "1" {
		t.Errorf("arp_ignore of the bridge is %s: the host claims addresses there that it does not take packets for", got)
	}
	lanSpoofing(t, e, four, six)
	e.Host.Serve(t, "tcp", "[::]:98")
	e.Run(t, "ip", "route", "add", four, "dev", bridgeOf(t, e, "n1"))
	if lanHost(t, e, "c1") {
		t.Error("a container reaches the host by the bridge")
	}
	lanRefuses(t, e)
	lanHeals(t, e, reached)

	for _, container := range []string{"c1", "c2"} {
		e.Docker(t, "rm", "-f", container)
	}
	e.Docker(t, "network", "rm", "n1")
	settled := func(line string) string {
		return strings.NewReplacer("state DOWN ", "", " qlen 1000", "", "qdisc noop ", "", "qdisc noqueue ", "", "qdisc pfifo_fast ", "").Replace(line)
	}
	if after := e.Run(t, "ip", "-o", "link", "show", "lan1"); settled(after) != settled(before) {
		t.Errorf("given back: %s, was %s", after, before)
	}
	lanWithHost(t, e)
}

// onLAN are the arguments for a network with an uplink.
func onLAN(e *harness.Engine, options ...string) []string {
	return args(dual(e, "10.85.0.0/24", "fd00:85::/64"),
		[]string{"--gateway", "10.85.0.1", "--gateway", "fd00:85::1", "--ip-range", "10.85.0.128/25", "-o", "gangway.uplink=lan1"}, options)
}

// lanRefuses: what cannot be is refused with what to do.
func lanRefuses(t *testing.T, e *harness.Engine) {
	t.Helper()
	for _, option := range []struct {
		what, why string
		args      []string
	}{
		{"a neighbour's address", "10.85.0.3 is in use on link " + bridgeOf(t, e, "n1"), []string{"run", "--rm", "--network", "n1", "--ip", "10.85.0.3", harness.Image, "true"}},
		{"a neighbour's IPv6 address", "fd00:85::a3 is in use on link " + bridgeOf(t, e, "n1"), []string{"run", "--rm", "--network", "n1", "--ip6", "fd00:85::a3", harness.Image, "true"}},
		{"a VLAN of no link", "nor a link lan7 to make VLAN 30 on", []string{"network", "create", "-d", e.Driver, "--subnet", "10.87.0.0/24", "-o", "gangway.uplink=lan7.30", "n3"}},
		{"a link with addresses", "has the address 192.0.2.1/24, by which the host would not be reached any more: let what the host has there move to the bridge (-o gangway.uplink.move=true)", []string{"network", "create", "-d", e.Driver, "--subnet", "10.87.0.0/24", "-o", "gangway.uplink=lan0", "n3"}},
		{"a second network", "joins network", []string{"network", "create", "-d", e.Driver, "--subnet", "10.87.0.0/24", "-o", "gangway.uplink=lan1", "n3"}},
		{"a published port", "leave -p out", []string{"run", "--rm", "--network", "n1", "-p", "8000:80", harness.Image, "true"}},
	} {
		if out, err := e.TryDocker(option.args...); err == nil || !strings.Contains(out+err.Error(), option.why) {
			t.Errorf("%s: %s, %v, want %q", option.what, out, err, option.why)
		}
	}
}

// lanHeals: the uplink is put back where somebody takes it out, also while the daemon is away.
func lanHeals(t *testing.T, e *harness.Engine, reached func(when string)) {
	t.Helper()
	bridge := bridgeOf(t, e, "n1")
	healed := func(when string) {
		t.Helper()
		harness.Eventually(t, when, func() error {
			on, err := e.Try("ip", "-o", "link", "show", "lan1")
			if err == nil && (!strings.Contains(on, "master "+bridge) || !strings.Contains(on, ",UP")) {
				err = fmt.Errorf("%s", on)
			}
			return err
		})
		reached(when)
	}
	e.Run(t, "ip", "link", "set", "lan1", "nomaster")
	healed("taken out")
	e.Run(t, "ip", "link", "set", "lan1", "down")
	healed("set down")
	back := killGangway(t, e)
	e.Run(t, "ip", "link", "set", "lan1", "nomaster")
	back()
	healed("taken out while the daemon was away")
}

// lanWithHost: the host has an address of its own on the LAN.
func lanWithHost(t *testing.T, e *harness.Engine) {
	t.Helper()
	e.Network(t, "n1", onLAN(e, "-o", "gangway.host_access=true", "--aux-address", "HostIPv4=10.85.0.5")...)
	e.Serve(t, harness.Container{Name: "c3", Network: "n1", Args: []string{"--cap-add", "NET_ADMIN"}}, "tcp", "[::]:80")
	t.Cleanup(func() { e.Run(t, "sh", "-c", "conntrack -D -d 10.85.0.5; true") }) // the host's own flows
	if !lanHost(t, e, "c3") {
		t.Error("a container that may reach the host does not")
	}
	from(t, "host", e.Get(t, "tcp", e.Address(t, "c3", "n1")+":80"), "c3", "10.85.0.5")
	from(t, "container to the host", e.Inside("c3").Get(t, "tcp", "10.85.0.5:98"), e.Name, e.Address(t, "c3", "n1"))
	from(t, "neighbour to the host", e.LAN.Neighbour.Get(t, "tcp", "10.85.0.5:98"), e.Name, "10.85.0.3")
}

// lanSpoofing: a container asks as somebody else on the LAN. That nothing arrives is what the router knows of its
// neighbours: those that it has heard of, and the container itself is one.
func lanSpoofing(t *testing.T, e *harness.Engine, four, six string) {
	t.Helper()
	for own, c := range map[string][2]string{four: {"10.85.0.77", "10.85.0.1:99"}, six: {"fd00:85::77", "[fd00:85::1]:99"}} {
		add := []string{"ip", "addr", "add", c[0], "dev", "eth0"}
		if strings.Contains(own, ":") {
			add = append(add, "nodad") // else it would be no source yet
		}
		inNetns(t, e, "c1", add...)
		if _, err := e.Inside("c1").TryGet("tcp", c[1], "-timeout", "1s", "-from", c[0]); err == nil {
			t.Errorf("a container is %s", c[0])
		}
		by(t, "as itself", e.Inside("c1").Get(t, "tcp", c[1], "-from", own), "outside")
		known := func(a string) string { return e.LAN.Outside.Run(t, "ip", "neigh", "show", a) }
		if got := known(c[0]); strings.Contains(got, "lladdr") {
			t.Errorf("the router has heard of %s", got)
		}
		if got := known(own); !strings.Contains(got, "lladdr") {
			t.Errorf("the router has not heard of %s: %q", own, got)
		}
		inNetns(t, e, "c1", "ip", "addr", "del", c[0], "dev", "eth0")
	}
}

// lanHost says whether a container reaches an address of the host, of another link, by the network's bridge: it sends to
// the bridge's hardware address.
func lanHost(t *testing.T, e *harness.Engine, container string) bool {
	t.Helper()
	inNetns(t, e, container, "ip", "route", "replace", "192.0.2.1", "dev", "eth0")
	mac := e.Run(t, "cat", "/sys/class/net/"+bridgeOf(t, e, "n1")+"/address")
	inNetns(t, e, container, "ip", "neigh", "replace", "192.0.2.1", "lladdr", mac, "dev", "eth0", "nud", "permanent")
	_, err := e.Inside(container).TryGet("tcp", "192.0.2.1:98", "-timeout", "2s")
	return err == nil
}
