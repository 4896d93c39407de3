package fwtest

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// open are ports of a container that its own address serves, in both families.
func open(container, from string, proto spec.Protocol, first, last uint16) []firewall.Open {
	var out []firewall.Open
	for _, f := range families {
		out = append(out, firewall.Open{
			NetworkID:  longID("net" + container[:1]),
			EndpointID: longID("endpoint" + container),
			Bridge:     bridgeOf(container),
			From:       from,
			Proto:      proto,
			Addr:       addresses[container][f],
			First:      first,
			Last:       last,
		})
	}
	return out
}

// manyModes is a ruleset in which A trusts the link to the LAN, B is routed, N
// is unprotected and goes out by the host's second address, and I is internal.
func manyModes() firewall.Ruleset {
	routed := network("B", func(n *firewall.Network) {
		n.Bridge, n.Routed, n.Hairpin = networkB.Bridge, firewall.Families{V4: true, V6: true}, nil
	})
	unprotected := network("N", func(n *firewall.Network) {
		n.Unprotected, n.Masquerade, n.ICC = firewall.Families{V4: true, V6: true}, n.Hairpin, false
		n.Source = []netip.Addr{addresses["host2"][v4], addresses["host2"][v6]}
	})
	set := firewall.Ruleset{
		Networks: []firewall.Network{networkA, routed, unprotected, networkI},
		Outside:  outside(),
		Ports: ports([]published{
			{proto: spec.TCP, first: 8080, last: 8080, container: "a1", to: 80},
			{proto: spec.TCP, first: 8091, last: 8091, container: "n1", to: 80},
		}),
	}
	set.Open = append(set.Open, open("a1", "v-lan", spec.TCP, 80, 81)...)
	set.Open = append(set.Open, open("b1", "", spec.TCP, 80, 80)...)
	set.Open = append(set.Open, open("b1", "", spec.SCTP, 70, 90)...)
	return set
}

// modes shows what the gateway modes let through.
func (s *suite) modes(t *testing.T) {
	for _, set := range s.possible(
		setting{engine: "26", policy: "DROP", bridged: true},
		setting{engine: "28", policy: "DROP", bridged: false},
		setting{engine: engine29, policy: "", bridged: true},
		setting{engine: "", policy: "ACCEPT", bridged: true},
	) {
		t.Run(set.String(), func(t *testing.T) {
			w := newWorld(t, s.opts, set)
			before := dump(t, w.host)
			b := s.backend(t, w.host)
			b.add(t, manyModes())
			w.check(t, openProbes())
			b.settled(t, manyModes())
			b.add(t, firewall.Ruleset{Peers: peersOfModes()})
			w.check(t, peeredModes())
			b.remove(t, firewall.Ruleset{Peers: peersOfModes()})
			b.settled(t, manyModes())
			b.remove(t, firewall.Ruleset{Open: manyModes().Open})
			w.check(t, closedProbes())
			b.remove(t, manyModes())
			sameDump(t, "after removing all", dump(t, w.host), before)
		})
	}
}

// peersOfModes open a routed network for one that is not, and that for an unprotected one.
func peersOfModes() []firewall.Peer {
	a, b, n := networkA.Bridge, networkB.Bridge, networkN.Bridge
	return slices.Concat(
		peer("a1", true, b, spec.UDP, run(80, 80)), peer("b1", false, a, spec.UDP, run(80, 80)),
		peer("n1", true, a, spec.TCP, run(80, 80)), peer("a1", false, n, spec.TCP, run(80, 80)),
	)
}

// peeredModes is what they add to the modes, and nothing else.
func peeredModes() []probe {
	return []probe{
		{"a1", "udp", "b1", 80, "b1:80 a1"},
		{"a2", "udp", "b1", 80, dropped},
		{"outside", "udp", "b1", 80, dropped},
		{"b1", "udp", "a1", 80, dropped},
		{"a1", "tcp", "b1", 80, "b1:80 a1"}, // published, as before
		{"n1", "tcp", "a1", 80, "a1:80 n1"},
		{"n1", "tcp", "a1", 81, dropped},
		{"n2", "tcp", "a1", 80, dropped},
		{"a1", "tcp", "n1", 80, "n1:80 a1"}, // unprotected, as before
	}
}

// openProbes is what manyModes means.
func openProbes() []probe {
	return []probe{
		// Trusted: from one link, to some ports.
		{"lan", "tcp", "a1", 80, "a1:80 lan"},
		{"lan", "tcp", "a1", 81, "a1:81 lan"},
		{"lan", "tcp", "a1", 82, dropped},
		{"lan", "udp", "a1", 80, dropped},
		{"lan", "icmp", "a1", 0, dropped},
		{"outside", "tcp", "a1", 80, dropped},
		{"b1", "tcp", "a1", 80, dropped},
		{"outside", "tcp", "host", 8080, "a1:80 outside"},
		{"a1", "tcp", "outside", 80, "outside:80 host"},
		// Routed: from anywhere, to the open ports, and ICMP.
		{"outside", "tcp", "b1", 80, "b1:80 outside"},
		{"outside", "sctp", "b1", 80, "b1:80 outside"},
		{"outside", "udp", "b1", 80, dropped},
		{"outside", "icmp", "b1", 0, "echo"},
		{"lan", "tcp", "b1", 80, "b1:80 lan"},
		{"a1", "tcp", "b1", 80, "b1:80 a1"},
		{"n1", "tcp", "b1", 80, "b1:80 n1"},
		{"a1", "icmp", "b1", 0, "echo"},
		{"a1", "udp", "b1", 80, dropped},
		{"i1", "tcp", "b1", 80, dropped},
		{"b1", "tcp", "outside", 80, "outside:80 b1"},
		{"b1", "icmp", "outside", 0, "echo"},
		// Unprotected: from anywhere, to all ports; what goes out is
		// translated, to the chosen address.
		{"outside", "tcp", "n1", 80, "n1:80 outside"},
		{"outside", "udp", "n1", 80, "n1:80 outside"},
		{"outside", "icmp", "n1", 0, "echo"},
		{"a1", "tcp", "n1", 80, "n1:80 a1"},
		{"i1", "tcp", "n1", 80, dropped},
		{"outside", "tcp", "host", 8091, "n1:80 outside"},
		{"n1", "tcp", "a1", 80, dropped},
		{"n1", "tcp", "outside", 80, "outside:80 host2"},
		{"n1", "udp", "outside", 80, "outside:80 host2"},
		// Internal, as ever.
		{"outside", "tcp", "i1", 80, dropped},
	}
}

// closedProbes is what is left of openProbes without the open ports.
func closedProbes() []probe {
	return []probe{
		{"lan", "tcp", "a1", 80, dropped},
		{"outside", "tcp", "b1", 80, dropped},
		{"a1", "tcp", "b1", 80, dropped},
		{"outside", "icmp", "b1", 0, "echo"},
		{"outside", "udp", "n1", 80, "n1:80 outside"},
		{"outside", "tcp", "host", 8080, "a1:80 outside"},
	}
}
