package fwtest

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/rawip"
)

// peer is a half of a container of the world, in both families; proto 0 is all.
func peer(container string, asks bool, other string, proto spec.Protocol, ports spec.Span) (all []firewall.Peer) {
	for _, f := range families {
		all = append(all, firewall.Peer{
			NetworkID: longID("net" + container[:1]), EndpointID: longID("endpoint" + container), Asks: asks,
			Bridge: bridgeOf(container), Other: other, Addr: addresses[container][f], Proto: proto, Span: ports,
		})
	}
	return all
}

func run(first, last uint16) spec.Span { return spec.Span{First: first, Last: last} }

// peered is everything, and what some containers open: a1 and b1 some ports, n1 and a2 all. Some
// halves have no other one: of b1 towards a1, and of a2 towards a link that is not there. No half
// opens an internal network.
func peered() firewall.Ruleset {
	a, b, n, i := networkA.Bridge, networkB.Bridge, networkN.Bridge, networkI.Bridge
	set := everything()
	set.Open = nil
	set.Peers = slices.Concat(
		peer("a1", true, b, spec.TCP, run(80, 80)), peer("a1", true, b, spec.UDP, run(1, 65535)), peer("a1", true, b, spec.SCTP, run(80, 80)),
		peer("b1", false, a, spec.TCP, run(70, 90)), peer("b1", false, a, spec.UDP, run(80, 83)), peer("b1", false, a, spec.SCTP, run(81, 90)),
		peer("n1", true, a, 0, run(0, 0)), peer("a2", false, n, 0, run(0, 0)),
		peer("b1", true, a, 0, run(0, 0)), peer("n2", true, a, spec.TCP, run(80, 80)), peer("a2", true, "gw-nobody", 0, run(0, 0)),
		peer("i1", true, a, 0, run(0, 0)), peer("a1", false, i, 0, run(0, 0)), peer("a1", true, i, 0, run(0, 0)), peer("i1", false, a, 0, run(0, 0)),
	)
	return set
}

// peeredProbes is what peered means.
func peeredProbes() []probe {
	return []probe{
		{"a1", "tcp", "b1", 80, "b1:80 a1"},
		{"a1", "udp", "b1", 80, "b1:80 a1"},
		{"a1", "udp", "b1", 81, refused}, // by an ICMP error, which comes back
		{"n1", "tcp", "a2", 80, "a2:80 n1"},
		{"n1", "udp", "a2", 85, "a2:85 n1"},
		{"n1", "sctp", "a2", 80, "a2:80 n1"},
		{"n1", "icmp", "a2", 0, "echo"},
		{"n2", "tcp", "a2", 80, "a2:80 n2"},
		{"n1", "udp", "a2", 7, refused},
		// Ports that one side alone has.
		{"a1", "tcp", "b1", 81, dropped},
		{"a1", "udp", "b1", 84, dropped},
		{"a1", "sctp", "b1", 80, dropped},
		{"a1", "icmp", "b1", 0, dropped},
		// Neighbours of who may.
		{"a2", "tcp", "b1", 80, dropped},
		{"n2", "tcp", "a2", 81, dropped},
		{"n1", "tcp", "a1", 80, dropped},
		{"n2", "tcp", "a1", 80, dropped},
		// The other direction, though one side says so.
		{"b1", "tcp", "a1", 80, dropped},
		{"b1", "udp", "a1", 80, dropped},
		{"b1", "icmp", "a1", 0, dropped},
		{"a2", "tcp", "n1", 80, dropped},
		{"a2", "icmp", "n1", 0, dropped},
		// Others are none of it.
		{"outside", "tcp", "b1", 80, dropped},
		{"d1", "tcp", "a2", 80, dropped},
		{"b1", "tcp", "n1", 80, dropped},
		// Internal, whatever others say.
		{"i1", "tcp", "a1", 80, dropped},
		{"a1", "tcp", "i1", 80, dropped},
		// As ever.
		{"a1", "tcp", "outside", 80, "outside:80 host"},
		{"a1", "tcp", "host", 8090, "b1:80 a1"},
		{"b1", "tcp", "host", 8080, "a1:80 b1"},
	}
}

// peers shows that flows pass from one network to another one where both sides say so, in that
// direction alone, and no longer than that.
func (s *suite) peers(t *testing.T) {
	for _, set := range s.possible(
		setting{engine: "20", policy: "DROP", bridged: true},
		setting{engine: "28", policy: "DROP", bridged: false},
		setting{engine: engine29, policy: "", bridged: true},
		setting{engine: "", policy: "ACCEPT", bridged: true},
	) {
		t.Run(set.String(), func(t *testing.T) {
			w := newWorld(t, s.opts, set)
			before := dump(t, w.host)
			b := s.backend(t, w.host)
			b.add(t, peered())
			w.check(t, peeredProbes())
			b.settled(t, peered())
			for _, f := range families {
				t.Run(f.String(), func(t *testing.T) { w.peersAttacked(t, b, f) })
			}
			b.settled(t, peered())
			b.remove(t, firewall.Ruleset{Peers: peered().Peers})
			w.check(t, []probe{{"a1", "tcp", "b1", 80, dropped}, {"n1", "icmp", "a2", 0, dropped}, {"a1", "tcp", "host", 8090, "b1:80 a1"}})
			b.remove(t, peered())
			sameDump(t, "after removing all", dump(t, w.host), before)
		})
	}
}

// peersAttacked has those who are asked send in the other direction, by what is known of a flow
// and beside it, and others in the name of who may ask. The answer that a client waits for comes
// after each, so that what has not come by then does not come.
func (w *world) peersAttacked(t *testing.T, b *backend, f family) {
	client, server := netip.AddrPortFrom(addresses["a1"][f], 5100+uint16(f)), netip.AddrPortFrom(addresses["b1"][f], 82)
	other := netip.AddrPortFrom(client.Addr(), client.Port()+100)
	asking, answering, beside := listenUDP(t, w.nodes["a1"], client), listenUDP(t, w.nodes["b1"], server), listenUDP(t, w.nodes["a1"], other)
	forward := func(what string) { w.write(t, asking, server, what) }
	answer := func(what string) { w.write(t, answering, client, what) }
	forward("question")
	onlyReceives(t, answering, "question", 1)
	answer("answer")
	onlyReceives(t, asking, "answer", 1)

	t.Run("another flow the other way", func(t *testing.T) {
		w.write(t, answering, other, "intruder") // from the port that is asked
		w.raw(t, "b1", rawip.Datagram(netip.AddrPortFrom(server.Addr(), 83), client, "intruder"))
		answer("twin")
		onlyReceives(t, asking, "twin", 1)
		w.onlyFromHost(t, other, beside)
	})
	t.Run("in the name of who may", func(t *testing.T) {
		for _, from := range []string{"n2", "i1", "outside"} { // by another link
			w.raw(t, from, rawip.Datagram(client, server, "intruder"))
			w.raw(t, from, rawip.Datagram(netip.AddrPortFrom(client.Addr(), 6000), server, "intruder"))
		}
		w.raw(t, "a1", rawip.Datagram(netip.AddrPortFrom(client.Addr(), 6001), server, "twin"))
		onlyReceives(t, answering, "twin", 1)
	})
	for _, half := range []struct {
		whose string
		set   firewall.Ruleset
	}{
		{"who asks", firewall.Ruleset{Peers: peer("a1", true, networkB.Bridge, spec.UDP, run(1, 65535))}},
		{"who is asked", firewall.Ruleset{Peers: peer("b1", false, networkA.Bridge, spec.UDP, run(80, 83))}},
	} {
		t.Run("closed again by "+half.whose, func(t *testing.T) {
			b.remove(t, half.set)
			forward("late question")
			answer("late answer")
			w.onlyFromHost(t, server, answering)
			w.onlyFromHost(t, client, asking)
			b.add(t, half.set)
			forward("again")
			onlyReceives(t, answering, "again", 1)
			answer("as well")
			onlyReceives(t, asking, "as well", 1)
		})
	}
}

// write sends a datagram from a socket.
func (w *world) write(t *testing.T, from *net.UDPConn, to netip.AddrPort, what string) {
	t.Helper()
	if _, err := from.WriteToUDPAddrPort([]byte(what), to); err != nil {
		t.Fatal(err)
	}
}

// raw sends a packet over the wire of a node, by the link that leads to it.
func (w *world) raw(t *testing.T, node string, packet []byte) {
	t.Helper()
	near := "v-" + node
	if i := slices.IndexFunc(lans[:], func(l lan) bool { return slices.Contains(l.members, node) }); i >= 0 {
		near = lans[i].bridge
	}
	if err := newWire(t, w.nodes[node], w.host.link(t, near).Attrs().HardwareAddr).send(packet); err != nil {
		t.Fatal(fmt.Errorf("%s sends: %w", node, err))
	}
}

// withPeers adds halves of every kind between the networks of a ruleset.
func withPeers(r firewall.Ruleset) firewall.Ruleset {
	for i, n := range r.Networks {
		one := firewall.Peer{NetworkID: n.ID, EndpointID: longID("endpoint " + n.ID), Bridge: n.Bridge, Other: r.Networks[(i+1)%len(r.Networks)].Bridge}
		for k, subnet := range n.Subnets {
			for j, ports := range []spec.Span{{First: 5432, Last: 5432}, {First: 80, Last: 90}, {First: 1000, Last: 9999}, {}} {
				p := one
				p.Addr, p.Asks, p.Span = subnet.Addr().Next().Next(), (i+j+k)%2 == 0, ports
				if ports.First == 0 {
					p.Addr = p.Addr.Next()
				} else {
					p.Proto = [...]spec.Protocol{spec.TCP, spec.UDP, spec.SCTP}[(i+j)%3]
				}
				r.Peers = append(r.Peers, p)
			}
		}
	}
	return r
}
