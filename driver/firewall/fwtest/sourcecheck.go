package fwtest

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"testing"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/integration/rawip"
)

// A forgery makes the connection table believe in a flow of the victim: a first
// packet claims to come from "victim's address : victim's port", and a second one
// goes in the reply direction, to a port that nobody published.
type forgery struct {
	kind             string
	attacker, victim string
	// proto is udp, tcp, echo or error: the second packet is a datagram, a SYN
	// (a simultaneous open, RFC 9293, which makes a whole connection), an echo
	// reply, or an ICMP error about a datagram of the victim.
	proto string
	// first is sent by a node to port of an address; port 0 is one of its own.
	first struct {
		by, to string
		port   uint16
	}
	// reply is sent by a node with a port of an address as its source; port 0 is
	// that of the first packet.
	reply struct {
		by, as string
		port   uint16
	}
	// arrives says that the second packet is what the victim asked for.
	arrives bool
}

// claims says whether the first packet comes by a link that does not lead to its
// source.
func (f forgery) claims() bool { return nearEnd(f.first.by) != nearEnd(f.victim) }

func (f forgery) String() string {
	return fmt.Sprintf("%s, %s to %s, %s", f.proto, f.attacker, f.victim, f.kind)
}

// newForgery leaves the ports open.
func newForgery(kind, attacker, victim, firstBy, firstTo, replyBy, replyAs string) forgery {
	f := forgery{kind: kind, attacker: attacker, victim: victim}
	f.first.by, f.first.to = firstBy, firstTo
	f.reply.by, f.reply.as = replyBy, replyAs
	return f
}

// Ports of forgeries: the n-th has the victim's port firstVictimPort+n and the other
// end's port firstOtherPort+n. No published port is there, nor one that a kernel
// chooses by itself.
const (
	firstVictimPort = 20000
	firstOtherPort  = 10000
)

// silence keeps all kernels from answering forgeries: a RST would end a flow
// before the attacker has used it.
const silence = `table inet silence {
	chain output {
		type filter hook output priority -400;
		meta l4proto { tcp, udp } th dport 20000-29999 drop
		meta l4proto { tcp, udp } th sport 10000-19999 drop
	}
}
`

// places are the attackers with their victims.
var places = []struct {
	attacker string
	victims  []string
}{
	{"a1", []string{"b1", "n1", "i1"}},
	{"b1", []string{"a1", "n1"}},
	{"n1", []string{"n2", "a1", "b1"}},
	{"i1", []string{"a1", "b1"}},
	{"d1", []string{"a1", "b1", "n1", "i1"}},
	{"outside", []string{"a1", "b1", "n1", "i1"}},
}

// forgeries are all ways from every place to every other.
func forgeries(set setting) []forgery {
	var list []forgery
	for _, victim := range []string{"a1", "b1", "n1"} {
		own := newForgery("its own question", "outside", victim, victim, "outside", "outside", "outside")
		own.arrives = true
		list = append(list, protocols(own, "udp", "tcp", "echo", "error")...)
	}
	for _, p := range places {
		for _, victim := range p.victims {
			if p.attacker == "outside" {
				list = append(list, fromOutside(victim)...)
				continue
			}
			list = append(list, fromContainer(p.attacker, victim)...)
			list = append(list, byPublished(p.attacker, victim, set)...)
		}
	}
	return list
}

// protocols is a forgery with each of some protocols.
func protocols(f forgery, protos ...string) []forgery {
	var list []forgery
	for _, proto := range protos {
		f.proto = proto
		list = append(list, f)
	}
	return list
}

// fromContainer are the forgeries of a container, which may have an accomplice
// outside.
func fromContainer(x, victim string) []forgery {
	kinds := []forgery{
		newForgery("first to itself", x, victim, x, x, x, x),
		newForgery("first to an accomplice, which replies", x, victim, x, "outside", "outside", "outside"),
		newForgery("first to a host outside, reply in its name", x, victim, x, "outside", x, "outside"),
		newForgery("reply to the victim's own question", x, victim, victim, "outside", x, "outside"),
	}
	if bridgeOf(x) == bridgeOf(victim) {
		// Who of a network has sent a packet is known to the filter of the bridge's
		// ports, and not to the firewall.
		kinds = slices.Delete(kinds, 1, 2)
	}
	host := newForgery("first to the host, reply in its name", x, victim, x, "host", x, "host")
	host.first.port = hostPort
	var list []forgery
	for _, k := range append(kinds, host) {
		list = append(list, protocols(k, "udp", "tcp", "echo", "error")...)
	}
	return list
}

// fromOutside are the forgeries of a neighbour of the host.
func fromOutside(victim string) []forgery {
	host := newForgery("first to the host, reply in its name", "outside", victim, "outside", "host", "outside", "host")
	host.first.port = hostPort
	var list []forgery
	for _, k := range []forgery{
		newForgery("first to itself", "outside", victim, "outside", "outside", "outside", "outside"),
		newForgery("first to another LAN, which replies", "outside", victim, "outside", "lan", "lan", "lan"),
		newForgery("first to another LAN, reply in its name", "outside", victim, "outside", "lan", "outside", "lan"),
		host,
	} {
		list = append(list, protocols(k, "udp", "tcp", "echo", "error")...)
	}
	return list
}

// byPublished are the forgeries with the attacker's own published port: these
// flows are translated.
func byPublished(x, victim string, set setting) []forgery {
	published := map[string]struct {
		port   uint16
		protos []string
	}{
		"a1": {8080, []string{"udp", "tcp", "error"}},
		"b1": {8090, []string{"udp", "tcp", "error"}},
		"n1": {8091, []string{"tcp"}},
		"d1": {9000, []string{"tcp"}}, // the engine's
	}[x]
	if published.port == 0 || x == "d1" && (set.engine == "" || set.engine == "20") || bridgeOf(x) == bridgeOf(victim) {
		return nil
	}
	var list []forgery
	for by, kind := range map[string]string{x: "first to its published port", "outside": "first to its published port, by an accomplice"} {
		f := newForgery(kind, x, victim, by, "host", x, x)
		f.first.port, f.reply.port = published.port, 80
		list = append(list, protocols(f, published.protos...)...)
	}
	return list
}

// sourceCheck shows that nothing is an answer because the connection table says so:
// what comes in has to come from where it says.
func (s *suite) sourceCheck(t *testing.T) {
	t.Run("without rules", func(t *testing.T) {
		set := setting{policy: "ACCEPT", bridged: true}
		w := newWorld(t, s.opts, set)
		w.forge(t, forgeries(set), func(c forgery, f family) bool {
			// The kernel itself takes no IPv4 packet with an address of its own.
			return c.reply.as != "host" || f == v6
		})
	})
	for i, set := range s.possible(
		setting{engine: "26", policy: "DROP", bridged: true},
		setting{engine: "28", policy: "ACCEPT", bridged: false},
		setting{engine: engine29, policy: "", bridged: false},
		setting{engine: "", policy: "ACCEPT", bridged: true},
	) {
		// What the kernel itself looks at does not depend on anybody's rules.
		filters := []string{"2"}
		if i == 0 && !testing.Short() {
			filters = []string{"0", "1", "2"}
		}
		for _, filter := range filters {
			t.Run(set.String()+" rp_filter="+filter, func(t *testing.T) {
				w := newWorld(t, s.opts, set)
				w.host.sysctl(t, "ipv4/conf/all/rp_filter", filter)
				s.backend(t, w.host).add(t, everything())
				w.forge(t, forgeries(set), func(c forgery, _ family) bool { return c.arrives })
			})
		}
	}
	s.originOfModes(t)
}

// originOfModes does the same to networks in other gateway modes, as far as these
// leave anything closed.
func (s *suite) originOfModes(t *testing.T) {
	set := s.opts.possible(setting{engine: "", policy: "ACCEPT", bridged: true})
	t.Run("other gateway modes", func(t *testing.T) {
		w := newWorld(t, s.opts, set)
		rules := manyModes()
		s.backend(t, w.host).add(t, rules)
		closed := slices.DeleteFunc(forgeries(set), func(c forgery) bool {
			routed := c.victim == "b1" && (c.proto == "echo" || c.proto == "error")
			return routed || c.victim == "n1" || c.victim == "n2" || c.first.port != 0 && !publishes(rules, c.first.port)
		})
		w.forge(t, closed, func(c forgery, _ family) bool { return c.arrives })
	})
}

// publishes says whether a ruleset has a published port.
func publishes(r firewall.Ruleset, port uint16) bool {
	return port == hostPort || slices.ContainsFunc(r.Ports, func(p firewall.Port) bool { return p.First <= port && port <= p.Last })
}

// forge sends the first packets of all forgeries, then all the second ones, and
// counts these at the victims' links.
func (w *world) forge(t *testing.T, list []forgery, arrives func(forgery, family) bool) {
	t.Helper()
	ears, wires := w.ears(t), w.wires(t)
	send := func(by string, packet []byte) {
		if err := wires[by].send(packet); err != nil {
			t.Fatalf("%s: %v", by, err)
		}
	}
	eachForgery(list, func(n int, c forgery, f family) { send(c.first.by, c.firstPacket(n, f)) })
	seen := w.heard(t, ears, "end of the first packets")
	eachForgery(list, func(n int, c forgery, f family) {
		for _, at := range c.targets(carrying(seen[c.reply.as], mark("first", n, f)), n, f) {
			send(c.reply.by, c.replyPacket(n, f, at))
		}
	})
	got := w.heard(t, ears, "end of the replies")
	eachForgery(list, func(n int, c forgery, f family) {
		t.Run(fmt.Sprintf("%s %s", f, c), func(t *testing.T) {
			count, want := len(carrying(got[c.victim], mark("reply", n, f))), arrives(c, f)
			if count > 0 != want {
				t.Errorf("%d packets came in by the victim's link, want %s", count, map[bool]string{true: "some", false: "none"}[want])
			}
			// What comes by another link than its source goes nowhere, and is not
			// translated.
			if first := carrying(seen[c.reply.as], mark("first", n, f)); c.claims() && len(first) > 0 && !arrives(c, f) {
				from, _ := rawip.Source(first[0])
				t.Errorf("the first packet came to %s, as from %s", c.reply.as, from)
			}
		})
	})
}

// ears listen at every link, and make all neighbours known to the host, and
// silent.
func (w *world) ears(t *testing.T) map[string]*capture {
	t.Helper()
	ears := map[string]*capture{}
	for name, n := range w.nodes {
		n.mustCommand(t, silence, "nft", "-f", "-")
		if name == "host" {
			continue
		}
		ears[name] = listen(t, n)
		for _, f := range families {
			if _, err := ask(w.host, "icmp", netip.AddrPortFrom(addresses[name][f], 0), patience); err != nil {
				t.Fatalf("%s of %s: %v", f, name, err)
			}
		}
	}
	return ears
}

// wires lead from every node to the host.
func (w *world) wires(t *testing.T) map[string]*wire {
	t.Helper()
	wires := map[string]*wire{}
	for name, n := range w.nodes {
		if name != "host" {
			wires[name] = newWire(t, n, w.host.link(t, nearEnd(name)).Attrs().HardwareAddr)
		}
	}
	return wires
}

func eachForgery(list []forgery, do func(n int, c forgery, f family)) {
	for n, c := range list {
		for _, f := range families {
			do(n, c, f)
		}
	}
}

// mark tells the packets of all forgeries apart, wherever they show up.
func mark(packet string, n int, f family) string {
	return fmt.Sprintf("<%s of %s %s>", packet, f, strconv.Itoa(10000+n))
}

// ends are both ends of the flow that the first packet claims.
func (c forgery) ends(n int, f family) (victim, other netip.AddrPort) {
	port := c.first.port
	if port == 0 {
		port = firstOtherPort + uint16(n)
	}
	return netip.AddrPortFrom(addresses[c.victim][f], firstVictimPort+uint16(n)),
		netip.AddrPortFrom(addresses[c.first.to][f], port)
}

// targets are where a reply has to go: to where whoever got the first packet saw it
// come from. If nobody did, to wherever that might have been.
func (c forgery) targets(seen [][]byte, n int, f family) []netip.AddrPort {
	victim, _ := c.ends(n, f)
	for _, p := range seen {
		if from, ok := rawip.Source(p); ok {
			return []netip.AddrPort{from}
		}
	}
	return []netip.AddrPort{victim, netip.AddrPortFrom(addresses["host"][f], victim.Port())}
}

func (c forgery) firstPacket(n int, f family) []byte {
	from, to := c.ends(n, f)
	text := mark("first", n, f)
	switch c.proto {
	case "tcp":
		return rawip.Opening(from, to, 1, text)
	case "echo":
		return rawip.EchoRequest(from.Addr(), to.Addr(), from.Port(), text)
	}
	return rawip.Datagram(from, to, text)
}

func (c forgery) replyPacket(n int, f family, to netip.AddrPort) []byte {
	_, other := c.ends(n, f)
	from := netip.AddrPortFrom(addresses[c.reply.as][f], other.Port())
	if c.reply.port != 0 {
		from = netip.AddrPortFrom(from.Addr(), c.reply.port)
	}
	text := mark("reply", n, f)
	switch c.proto {
	case "tcp":
		return rawip.Opening(from, to, 1, text)
	case "echo":
		return rawip.EchoReply(from.Addr(), to.Addr(), to.Port(), text)
	case "error":
		return rawip.Unreachable(from.Addr(), to.Addr(), rawip.Datagram(to, from, text))
	}
	return rawip.Datagram(from, to, text)
}
