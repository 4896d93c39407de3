package fwtest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// Bridges of others that hold containers or virtual machines, under whatever
// name. The first ones are there before gangway's rules, the others come later.
var foreignBridges = []lan{
	{bridge: "priv0", gateway: "P", members: []string{"p1"}},
	{bridge: "podman0", gateway: "Q", members: []string{"q1"}},
	{bridge: "br-0123456789ab", gateway: "R", members: []string{"r1"}},
	{bridge: "virbr0", gateway: "S", members: []string{"s1"}},
	{bridge: "lxdbr0", gateway: "T", members: []string{"t1"}},
}

// addForeign makes a bridge of others with its containers.
func (w *world) addForeign(t *testing.T, list ...lan) {
	t.Helper()
	for _, l := range list {
		w.addBridge(t, l)
		for _, name := range l.members {
			w.addMember(t, name, "v-"+name, l.bridge, l.gateway)
			serveTCP(t, w.nodes[name], 80)
			serveUDP(t, w.nodes[name], 80)
		}
	}
	w.running(t)
}

// foreign shows that containers reach no bridge of others, nor are reached from
// there, whatever its name is and whenever it came. The host reaches it, and it
// reaches published ports and the outside as far as others let it.
func (s *suite) foreign(t *testing.T) {
	t.Run("without rules", func(t *testing.T) {
		w := newWorld(t, s.opts, setting{policy: "ACCEPT", bridged: true})
		w.addForeign(t, foreignBridges...)
		var open []probe
		for _, p := range w.foreignProbes() {
			if p.want == dropped {
				p.want = p.unhindered()
				open = append(open, p)
			}
		}
		w.check(t, open)
	})
	for _, set := range s.possible(
		setting{engine: "20", policy: "ACCEPT", bridged: true},
		setting{engine: "28", policy: "ACCEPT", bridged: false},
		setting{engine: engine29, policy: "", bridged: false},
		setting{engine: "", policy: "ACCEPT", bridged: true},
		setting{engine: "26", policy: "DROP", bridged: true},
	) {
		t.Run(set.String(), func(t *testing.T) {
			w := newWorld(t, s.opts, set)
			w.addForeign(t, foreignBridges[:3]...)
			b := s.backend(t, w.host)
			b.add(t, everything())
			w.addForeign(t, foreignBridges[3:]...)
			w.check(t, w.foreignProbes())
			b.settled(t, everything())
		})
	}
}

// foreignProbes is what becomes of traffic with the bridges of others.
func (w *world) foreignProbes() []probe {
	var list []probe
	for _, l := range foreignBridges {
		x := l.members[0]
		list = append(list,
			probe{"a1", "tcp", x, 80, dropped},
			probe{"a1", "udp", x, 80, dropped},
			probe{"a1", "icmp", x, 0, dropped},
			probe{"b1", "tcp", x, 80, dropped},
			probe{"n1", "udp", x, 80, dropped},
			probe{"i1", "tcp", x, 80, dropped},
			probe{x, "tcp", "a1", 80, dropped},
			probe{x, "udp", "b1", 80, dropped},
			probe{x, "icmp", "a1", 0, dropped},
			probe{x, "tcp", "i1", 80, dropped},
			probe{"host", "tcp", x, 80, x + ":80 " + l.gateway})
		if w.set.policy != "DROP" {
			list = append(list, probe{x, "tcp", "outside", 80, "outside:80 " + x})
		}
	}
	return append(list,
		probe{"a1", "tcp", "outside", 80, "outside:80 host"},
		probe{"outside", "tcp", "host", 8080, "a1:80 outside"})
}

// uplinks shows that a link to the outside may have any name and be a bridge: what
// counts is that it is said to lead outside.
func (s *suite) uplinks(t *testing.T) {
	for _, c := range []struct {
		link   string
		bridge bool
	}{
		{"vmbr0", true}, {"br-lan", true}, {"br-ex", true}, {"br-services", true}, {"br-lan.10", false},
	} {
		settings := s.possible(
			setting{engine: "26", policy: "DROP", bridged: true},
			setting{engine: "28", policy: "ACCEPT", bridged: false},
			setting{engine: "", policy: "ACCEPT", bridged: false},
		)
		if c.link != "br-lan" { // one name on hosts of every kind, the others on one
			settings = settings[:1]
		}
		for _, set := range settings {
			t.Run(fmt.Sprintf("%s bridge=%t %s", c.link, c.bridge, set), func(t *testing.T) {
				w := newWorld(t, s.opts, set)
				w.moveUplink(t, c.link, c.bridge)
				rules := everything()
				rules.Outside = []spec.Outside{{Name: c.link, Bridge: c.bridge}, {Name: "v-lan"}}
				s.backend(t, w.host).add(t, rules)
				w.check(t, uplinkProbes())
			})
		}
	}
}

// within shows that what passes within a bridge that is the host's link to a LAN passes by an engine's
// policy, with br_netfilter, as the only thing that is decided of it, and as long as there is its network.
func (s *suite) within(t *testing.T) {
	if s.opts.NoIPTables {
		return // nobody's policy is in the way
	}
	for _, set := range s.possible(
		setting{engine: "26", policy: "DROP", bridged: true},
		setting{engine: "20", policy: "DROP", bridged: true},
	) {
		t.Run(set.String(), func(t *testing.T) {
			w := newWorld(t, s.opts, set)
			w.addBridge(t, lan{bridge: "br-lan", gateway: "V"})
			for _, name := range []string{"v1", "v2"} {
				w.addMember(t, name, "v-"+name, "br-lan", "V")
				serveUDP(t, w.nodes[name], 80)
			}
			w.running(t)
			passes := func(open bool) {
				t.Helper()
				w.check(t, []probe{
					{"v1", "udp", "v2", 80, map[bool]string{true: "v2:80 v1", false: dropped}[open]},
					{"lan", "udp", "v1", 80, dropped},
				})
			}
			b := s.backend(t, w.host)
			full := everything()
			full.Outside = append(full.Outside, spec.Outside{Name: "br-lan", Bridge: true})
			b.add(t, full)
			b.settled(t, full)
			passes(false)
			network := firewall.Ruleset{Networks: []firewall.Network{{ID: "lan", Bridge: "br-lan", Host: true}}}
			with := full
			with.Networks = append(slices.Clone(full.Networks), network.Networks...)
			b.add(t, network)
			passes(true)
			b.settled(t, with)
			w.check(t, []probe{{"v1", "tcp", "host", 8080, "a1:80 v1"}, {"v1", "udp", "a1", 80, dropped}})
			b.remove(t, network)
			passes(false)
			b.settled(t, full)
		})
	}
}

// moveUplink gives the uplink another name, or the uplink's addresses to a bridge
// with it as its only port, and sends what is for nobody by it.
func (w *world) moveUplink(t *testing.T, name string, bridge bool) {
	t.Helper()
	h := w.host
	card := h.link(t, "v-outside")
	try := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("uplink %s: %v", name, err)
		}
	}
	if bridge {
		h.mustCommand(t, "", "ip", "addr", "flush", "dev", "v-outside", "scope", "global")
		b := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs()}
		b.Name = name
		// A host's own bridge has its network card's address.
		b.HardwareAddr = card.Attrs().HardwareAddr
		try(h.nl.LinkAdd(b))
		try(h.nl.LinkSetMaster(card, h.link(t, name)))
		h.address(t, name, on("host", v4), on("host2", v4), on("host2", v6), on("host", v6))
	} else {
		try(h.nl.LinkSetDown(card))
		try(h.nl.LinkSetName(card, name))
		try(h.nl.LinkSetUp(h.link(t, name)))
		for _, p := range []string{"host2", "host"} { // the kernel drops these of a link that is down
			h.address(t, name, on(p, v6))
		}
	}
	for _, f := range families {
		h.route(t, everywhere[f], addresses["outside"][f])
	}
	w.running(t)
}

// uplinkProbes is what a user expects of a host with an uplink.
func uplinkProbes() []probe {
	return []probe{
		{"a1", "tcp", "outside", 80, "outside:80 host"},
		{"a1", "udp", "outside", 80, "outside:80 host"},
		{"a1", "icmp", "outside", 0, "echo"},
		{"b1", "tcp", "outside", 80, "outside:80 b1"},
		{"outside", "tcp", "host", 8080, "a1:80 outside"},
		{"outside", "udp", "host", 8080, "a1:80 outside"},
		{"outside", "tcp", "host2", 8081, "a1:81 outside"},
		{"outside", "tcp", "host", 8090, "b1:80 outside"},
		{"lan", "tcp", "host", 8080, "a1:80 lan"},
		{"host", "tcp", "host", 8080, "a1:80 host"},
		{"a2", "tcp", "host", 8080, "a1:80 A"},
		{"b1", "tcp", "host", 8080, "a1:80 b1"},
		{"outside", "tcp", "a1", 80, dropped},
		{"i1", "tcp", "outside", 80, dropped},
	}
}
