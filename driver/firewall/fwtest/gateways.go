package fwtest

import (
	"net/netip"
	"testing"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// leftBy is a ruleset in which A is closed but for one of its containers, if there is one, and B and the LAN
// are as ever. Both containers of A publish a port.
func leftBy(container string) firewall.Ruleset {
	closed := network("A", func(n *firewall.Network) {
		n.Masquerade, n.Internal = n.Hairpin, true
		if container != "" {
			n.Gateways = []netip.Addr{addresses[container][v4], addresses[container][v6]}
		}
	})
	return firewall.Ruleset{
		Networks: []firewall.Network{closed, networkB},
		Outside:  outside(),
		Ports: ports([]published{
			{proto: spec.TCP, first: 8080, last: 8080, container: "a1", to: 80},
			{proto: spec.TCP, first: 8082, last: 8082, container: "a2", to: 80},
			{proto: spec.TCP, first: 8090, last: 8090, container: "b1", to: 80},
		}),
	}
}

// gateways shows that a closed network is left by its gateway alone, and by whoever that is now.
func (s *suite) gateways(t *testing.T) {
	for _, set := range s.possible(
		setting{engine: "26", policy: "DROP", bridged: true},
		setting{engine: "28", policy: "DROP", bridged: false},
		setting{engine: engine29, policy: "", bridged: false},
	) {
		t.Run(set.String(), func(t *testing.T) {
			w := newWorld(t, s.opts, set)
			before := dump(t, w.host)
			b := s.backend(t, w.host)
			b.add(t, leftBy("a1"))
			w.check(t, leftProbes("a1", "a2", 8080, 8082))
			b.settled(t, leftBy("a1"))
			b.apply(t, firewall.Delta{
				Remove: firewall.Ruleset{Networks: leftBy("a1").Networks[:1]}, Add: firewall.Ruleset{Networks: leftBy("a2").Networks[:1]},
			})
			w.check(t, leftProbes("a2", "a1", 8082, 8080))
			b.settled(t, leftBy("a2"))
			b.apply(t, firewall.Delta{
				Remove: firewall.Ruleset{Networks: leftBy("a2").Networks[:1]}, Add: firewall.Ruleset{Networks: leftBy("").Networks[:1]},
			})
			w.check(t, []probe{
				{"a1", "tcp", "outside", 80, dropped},
				{"a2", "icmp", "outside", 0, dropped},
				{"outside", "tcp", "host", 8082, dropped},
				{"a1", "tcp", "a2", 80, "a2:80 a1"},
			})
			b.settled(t, leftBy(""))
			b.remove(t, leftBy(""))
			sameDump(t, "after removing all", dump(t, w.host), before)
		})
	}
}

// leftProbes are what holds with a gateway and another container, and the ports that they publish.
func leftProbes(gateway, other string, open, closed uint16) []probe {
	return []probe{
		{gateway, "tcp", "outside", 80, "outside:80 host"},
		{gateway, "udp", "outside", 80, "outside:80 host"},
		{gateway, "icmp", "outside", 0, "echo"},
		{gateway, "udp", "outside", 81, refused},
		{"outside", "tcp", "host", open, gateway + ":80 outside"},
		{"outside", "tcp", gateway, 80, dropped},
		{gateway, "tcp", "b1", 80, dropped},
		{"b1", "tcp", gateway, 80, dropped},
		{gateway, "tcp", "host", 8090, "b1:80 " + gateway},
		{"b1", "tcp", "host", open, gateway + ":80 b1"},
		{other, "tcp", "outside", 80, dropped},
		{other, "udp", "outside", 80, dropped},
		{other, "udp", "outside", 53, dropped},
		{other, "sctp", "outside", 80, dropped},
		{other, "icmp", "outside", 0, dropped},
		{other, "tcp", "lan", 80, dropped},
		{other, "tcp", "host", 8090, dropped},
		{"outside", "tcp", "host", closed, dropped},
		{"b1", "tcp", "host", closed, dropped},
		{"b1", "tcp", other, 80, dropped},
		{other, "tcp", gateway, 80, gateway + ":80 " + other},
		{gateway, "udp", other, 80, other + ":80 " + gateway},
		{other, "tcp", "host", open, gateway + ":80 A"},
	}
}
