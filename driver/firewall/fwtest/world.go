package fwtest

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/testkit"
)

// family is IPv4 or IPv6.
type family int

const (
	v4 family = iota
	v6
)

func (f family) String() string { return [...]string{"IPv4", "IPv6"}[f] }

var families = [...]family{v4, v6}

// both are the addresses of one thing, by family.
type both [2]netip.Addr

func pair(a4, a6 string) both { return both{netip.MustParseAddr(a4), netip.MustParseAddr(a6)} }

// addresses has everything that has an address, by name. A bridge is named by
// the capital of its containers.
var addresses = map[string]both{
	"outside":  pair("192.0.2.9", "2001:db8::9"),
	"host":     pair("192.0.2.1", "2001:db8::1"),
	"host2":    pair("192.0.2.2", "2001:db8::2"),
	"loopback": pair("127.0.0.1", "::1"),
	"LAN":      pair("10.9.0.1", "fd00:9::1"),
	"lan":      pair("10.9.0.2", "fd00:9::2"),
	"A":        pair("10.1.0.1", "fd00:1::1"),
	"a1":       pair("10.1.0.2", "fd00:1::2"),
	"a2":       pair("10.1.0.3", "fd00:1::3"),
	"B":        pair("10.2.0.1", "fd00:2::1"),
	"b1":       pair("10.2.0.2", "fd00:2::2"),
	"I":        pair("10.3.0.1", "fd00:3::1"),
	"i1":       pair("10.3.0.2", "fd00:3::2"),
	"i2":       pair("10.3.0.3", "fd00:3::3"),
	"N":        pair("10.4.0.1", "fd00:4::1"),
	"n1":       pair("10.4.0.2", "fd00:4::2"),
	"n2":       pair("10.4.0.3", "fd00:4::3"),
	"D":        pair("172.17.0.1", "fd00:d::1"),
	"d1":       pair("172.17.0.2", "fd00:d::2"),
	"P":        pair("10.11.0.1", "fd00:11::1"),
	"p1":       pair("10.11.0.2", "fd00:11::2"),
	"Q":        pair("10.12.0.1", "fd00:12::1"),
	"q1":       pair("10.12.0.2", "fd00:12::2"),
	"R":        pair("10.13.0.1", "fd00:13::1"),
	"r1":       pair("10.13.0.2", "fd00:13::2"),
	"S":        pair("10.14.0.1", "fd00:14::1"),
	"s1":       pair("10.14.0.2", "fd00:14::2"),
	"T":        pair("10.15.0.1", "fd00:15::1"),
	"t1":       pair("10.15.0.2", "fd00:15::2"),
	"V":        pair("10.8.0.1", "fd00:8::1"),
	"v1":       pair("10.8.0.2", "fd00:8::2"),
	"v2":       pair("10.8.0.3", "fd00:8::3"),

	// The containers of A as they are outside, see translation; of IPv6 alone.
	"a1 today":    pair("0.0.0.0", "2001:db8:100:ff::2"),
	"a2 today":    pair("0.0.0.0", "2001:db8:100:ff::3"),
	"a1 tomorrow": pair("0.0.0.0", "2001:db8:200:ff::2"),
	"a2 tomorrow": pair("0.0.0.0", "2001:db8:200:ff::3"),
}

// everywhere is the destination of a default route.
var everywhere = [...]netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}

// subnet is the prefix around an address of the world.
func subnet(name string, f family) netip.Prefix {
	p, _ := addresses[name][f].Prefix([...]int{24, 64}[f])
	return p
}

// on is an address of the world with its prefix length.
func on(name string, f family) netip.Prefix {
	return netip.PrefixFrom(addresses[name][f], subnet(name, f).Bits())
}

// lan describes one bridge of the host.
type lan struct {
	bridge  string
	gateway string
	members []string
	ours    bool
}

var lans = [...]lan{
	{bridge: networkA.Bridge, gateway: "A", members: []string{"a1", "a2"}, ours: true},
	{bridge: networkB.Bridge, gateway: "B", members: []string{"b1"}, ours: true},
	{bridge: networkI.Bridge, gateway: "I", members: []string{"i1", "i2"}, ours: true},
	{bridge: networkN.Bridge, gateway: "N", members: []string{"n1", "n2"}, ours: true},
	{bridge: "docker0", gateway: "D", members: []string{"d1"}},
}

// bridgeOf is the bridge that a container is on.
func bridgeOf(container string) string {
	for _, l := range lans {
		if slices.Contains(l.members, container) {
			return l.bridge
		}
	}
	panic("no container " + container)
}

// setting is what the host's administrator and its engine did before.
type setting struct {
	// engine is the generation of the engine whose rules are there, "20", "26"
	// or "28", or engine29; empty for a host without any.
	engine string
	// policy of the FORWARD chains, ACCEPT or DROP; empty for a host whose
	// iptables nobody uses.
	policy string
	// bridged says whether bridged packets pass the IP firewall
	// (br_netfilter).
	bridged bool
}

func (s setting) String() string {
	return fmt.Sprintf("engine=%s policy=%s bridged=%t", s.engine, s.policy, s.bridged)
}

// world is a host with four networks of gangway's, one of the engine's, a
// network card to the outside and one to a LAN that is nobody's business.
type world struct {
	host  *node
	nodes map[string]*node
	set   setting
	opts  Options
}

// newWorld builds it: without any rule of gangway's, but forwarding.
func newWorld(t *testing.T, o Options, s setting) *world {
	t.Helper()
	s = o.possible(s)
	w := &world{host: newHost(t, o, s), nodes: map[string]*node{}, set: s, opts: o}
	w.nodes["host"] = w.host
	for _, l := range lans {
		w.addBridge(t, l)
		for _, name := range l.members {
			w.addMember(t, name, "v-"+name, l.bridge, l.gateway)
			// With br_netfilter on, what a container sends to its own published
			// port is translated while it is still on the bridge, and leaves by
			// the port that it came in by.
			if err := w.host.nl.LinkSetHairpin(w.host.link(t, "v-"+name), l.ours); err != nil {
				t.Fatalf("hairpin mode of %s: %v", name, err)
			}
		}
	}
	for name, gateway := range map[string]string{"outside": "host", "lan": "LAN"} {
		w.addMember(t, name, "v-"+name, "", gateway)
		if gateway == "host" {
			// Masquerade takes the first IPv4 address of a link, and of equally
			// good IPv6 addresses the last.
			w.host.address(t, "v-"+name, on(gateway, v4), on("host2", v4), on("host2", v6), on(gateway, v6))
			continue
		}
		w.host.address(t, "v-"+name, on(gateway, v4), on(gateway, v6))
	}
	for _, s := range [...]string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		w.host.sysctl(t, s, "1")
	}
	w.running(t)
	w.serve(t)
	return w
}

// running waits until the links of all nodes carry packets and are asked for their
// addresses.
func (w *world) running(t *testing.T) {
	t.Helper()
	for name, n := range w.nodes {
		testkit.Eventually(t, "links of "+name+" that run", func() bool { return n.running(t) })
	}
}

// newHost makes a host with the rules of others and nothing else: enough for
// cases that look at rules and send no packet.
func newHost(t *testing.T, o Options, s setting) *node {
	t.Helper()
	h := newNode(t, "host")
	flag := "0"
	if s.bridged {
		flag = "1"
	}
	h.must(t, func() error { return bridgeNetfilter(flag) })
	if err := foreignRules(h, o, o.possible(s)); err != nil {
		t.Fatalf("rules of others: %v", err)
	}
	return h
}

// addBridge makes a bridge in the way that package link does.
func (w *world) addBridge(t *testing.T, l lan) {
	t.Helper()
	b := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs()}
	b.Name = l.bridge
	if l.ours {
		b.Group = spec.LinkGroup
	}
	if err := w.host.nl.LinkAdd(b); err != nil {
		t.Fatalf("bridge %s: %v", l.bridge, err)
	}
	if l.ours {
		w.host.sysctl(t, "ipv4/conf/"+l.bridge+"/route_localnet", "1")
	}
	w.host.address(t, l.bridge, on(l.gateway, v4), on(l.gateway, v6))
}

func (w *world) addMember(t *testing.T, name, hostEnd, bridge, gateway string) {
	t.Helper()
	n := newNode(t, name)
	w.nodes[name] = n
	cable(t, w.host, hostEnd, bridge, n)
	n.address(t, farEnd, on(name, v4), on(name, v6))
	for _, f := range families {
		n.route(t, everywhere[f], addresses[gateway][f])
	}
}

// serve starts the servers: a1 and a2 answer on the ports 80 to 90, the
// others on 80. The host has one of its own, which is not published.
func (w *world) serve(t *testing.T) {
	t.Helper()
	for name, n := range w.nodes {
		first, last := uint16(80), uint16(80)
		switch name {
		case "a1", "a2":
			last = 90
		case "host":
			first, last = hostPort, hostPort
		}
		for p := first; p <= last; p++ {
			serveTCP(t, n, p)
			serveUDP(t, n, p)
		}
		serveSCTP(t, n, 80)
	}
}

// hostPort is where the host itself answers.
const hostPort = 7000
