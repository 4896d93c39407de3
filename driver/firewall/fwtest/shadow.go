package fwtest

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/integration/rawip"
)

// A shadow is a container's flow to the outside from a port that is somebody
// else's on the host. Masquerade that keeps the port would give the flow the
// host's address and that very port, and what the same host outside sends
// there would be an answer.
type shadow struct {
	by, proto string
	port      uint16
	// owner has the port: a container, or "host" for a service of its own.
	owner string
}

var shadows = []shadow{
	{"a1", "udp", 8090, "b1"},
	{"a1", "tcp", 8090, "b1"},
	{"n1", "udp", 8090, "b1"},
	{"n1", "tcp", 8080, "a1"},
	{"n1", "udp", 85, "a2"},
	{"n1", "tcp", 8005, "a2"},
	{"a1", "udp", shadowedPort, "host"},
	{"a1", "tcp", shadowedPort, "host"},
	{"n1", "udp", shadowedPort, "host"},
}

// shadowedPort is where the host itself listens, not published.
const shadowedPort = 5000

// portShadow shows that a container's own source port takes nothing from a
// published port, nor from a service of the host, and that its own answers come.
func (s *suite) portShadow(t *testing.T) {
	for _, set := range s.possible(
		setting{engine: "26", policy: "DROP", bridged: true},
		setting{engine: engine29, policy: "", bridged: false},
		setting{engine: "", policy: "ACCEPT", bridged: false},
	) {
		t.Run(set.String(), func(t *testing.T) {
			w := newWorld(t, s.opts, set)
			b := s.backend(t, w.host)
			b.add(t, everything())
			w.cast(t, shadows)
			b.add(t, firewall.Ruleset{PreservedPorts: keep("a2", 80, 180)})
			w.leave(t, []parting{{"a2", 85, true}, {"a2", 79, false}, {"a1", 85, false}})
			b.remove(t, firewall.Ruleset{PreservedPorts: keep("a2", 80, 180)})
			w.leave(t, []parting{{"a2", 86, false}})
		})
	}
	t.Run("with an address of its own", func(t *testing.T) {
		w := newWorld(t, s.opts, setting{policy: "ACCEPT", bridged: true})
		b := s.backend(t, w.host)
		b.add(t, manyModes())
		w.cast(t, []shadow{{"n1", "tcp", 8080, "a1"}, {"a1", "tcp", 8091, "n1"}, {"n1", "udp", shadowedPort, "host"}})
		b.add(t, firewall.Ruleset{PreservedPorts: keep("n1", 500, 500, "host2")})
		w.leave(t, []parting{{"n1", 500, true}, {"n1", 501, false}})
	})
}

// keep has a container keep a run of UDP ports in both families, with the address of
// its network, if it names one.
func keep(container string, first, last uint16, source ...string) (all []firewall.PreservedPorts) {
	for _, f := range families {
		k := firewall.PreservedPorts{
			NetworkID: longID("net" + container[:1]), EndpointID: longID("endpoint" + container),
			Addr: addresses[container][f], First: first, Last: last,
		}
		for _, host := range source {
			k.Source = addresses[host][f]
		}
		all = append(all, k)
	}
	return all
}

// A parting is a UDP flow to the outside, from a port that the container keeps or not.
type parting struct {
	by   string
	port uint16
	kept bool
}

// leave sends one packet of each, and looks at the port that it reaches the outside from.
func (w *world) leave(t *testing.T, list []parting) {
	t.Helper()
	ears, wires := w.ears(t), w.wires(t)
	for n, c := range list {
		for _, f := range families {
			from := netip.AddrPortFrom(addresses[c.by][f], c.port)
			to := netip.AddrPortFrom(addresses["outside"][f], firstOtherPort+500+uint16(n))
			if err := wires[c.by].send(rawip.Datagram(from, to, mark("parting", n, f))); err != nil {
				t.Fatalf("%s: %v", c.by, err)
			}
		}
	}
	seen := w.heard(t, ears, "end of the partings")["outside"]
	for n, c := range list {
		for _, f := range families {
			packets := carrying(seen, mark("parting", n, f))
			if len(packets) != 1 {
				t.Errorf("%s %+v: %d packets reach the outside", f, c, len(packets))
				continue
			}
			from, _ := rawip.Source(packets[0])
			if c.kept && from.Port() != c.port || !c.kept && from.Port() < firewall.FirstHighPort {
				t.Errorf("%s %+v: it comes from %s", f, c, from)
			}
		}
	}
}

// ends of the n-th shadow: what the container sends from, and the host outside.
func (c shadow) ends(n int, f family) (from, peer netip.AddrPort) {
	return netip.AddrPortFrom(addresses[c.by][f], c.port), netip.AddrPortFrom(addresses["outside"][f], firstOtherPort+uint16(n))
}

func (c shadow) packet(from, to netip.AddrPort, text string) []byte {
	if c.proto == "tcp" {
		return rawip.Opening(from, to, 1, text)
	}
	return rawip.Datagram(from, to, text)
}

// cast sends what makes the shadows, then an answer to each, and a new packet to
// each port, of the address that the container's packets had taken.
func (w *world) cast(t *testing.T, list []shadow) {
	t.Helper()
	ears, wires := w.ears(t), w.wires(t)
	each := func(do func(n int, c shadow, f family)) {
		for n, c := range list {
			for _, f := range families {
				do(n, c, f)
			}
		}
	}
	send := func(by string, packet []byte) {
		if err := wires[by].send(packet); err != nil {
			t.Fatalf("%s: %v", by, err)
		}
	}
	each(func(n int, c shadow, f family) {
		from, peer := c.ends(n, f)
		send(c.by, c.packet(from, peer, mark("first", n, f)))
	})
	seen := w.heard(t, ears, "end of the first packets")["outside"]
	each(func(n int, c shadow, f family) {
		_, peer := c.ends(n, f)
		first := carrying(seen, mark("first", n, f))
		if len(first) != 1 {
			t.Fatalf("%s %v: %d packets reach the outside", f, c, len(first))
		}
		back, _ := rawip.Source(first[0])
		send("outside", c.packet(peer, back, mark("reply", n, f)))
		owned := netip.AddrPortFrom(back.Addr(), c.port)
		send("outside", c.packet(peer, owned, mark("newer", n, f)))
		// From a port that no container has a flow to.
		send("outside", c.packet(netip.AddrPortFrom(peer.Addr(), peer.Port()+1000), owned, mark("other", n, f)))
	})
	got := w.heard(t, ears, "end of the replies")
	each(func(n int, c shadow, f family) {
		t.Run(fmt.Sprintf("%s %s, port %d of %s, by %s", f, c.proto, c.port, c.owner, c.by), func(t *testing.T) {
			if count := len(carrying(got[c.by], mark("reply", n, f))); count == 0 {
				t.Error("the answer does not reach the container")
			}
			if count := len(carrying(got[c.by], mark("newer", n, f))); count != 0 {
				t.Errorf("%d packets for the port of %s reach the container", count, c.owner)
			}
			for _, packet := range []string{"newer", "other"} {
				if count := len(carrying(got[c.owner], mark(packet, n, f))); count == 0 && c.owner != "host" {
					t.Errorf("the %s packet for its port does not reach %s", packet, c.owner)
				}
			}
		})
	})
}
