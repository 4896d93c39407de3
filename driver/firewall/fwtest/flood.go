package fwtest

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/rawip"
)

// Ports of the host that random source ports might hit: one that leads to a2, and one
// where the host itself listens. Besides has neither, around has both.
const (
	highPublished = 40500
	highListening = 40600
)

var (
	besides = portRange{40700, 40899}
	around  = portRange{40450, 40649}
)

// portRange is first to last port.
type portRange struct{ first, last uint16 }

func (r portRange) len() int { return int(r.last-r.first) + 1 }

func (r portRange) has(port uint16) bool { return r.first <= port && port <= r.last }

// rules say that masqueraded flows get a port of r.
func (r portRange) rules() (rules firewall.Ruleset) {
	for _, p := range []spec.Protocol{spec.TCP, spec.UDP, spec.SCTP} {
		rules.HighPorts = append(rules.HighPorts, firewall.HighPorts{Proto: p, First: r.first, Last: r.last})
	}
	return rules
}

// portFlood shows that a container which opens so many flows to one peer that it has each
// source port there is takes nothing that this peer sends to a published port or to a
// service of the host, as long as the range has neither; and that it would if it had.
func (s *suite) portFlood(t *testing.T) {
	high := ports([]published{
		{proto: spec.UDP, first: highPublished, last: highPublished, container: "a2", to: 80},
		{proto: spec.TCP, first: highPublished, last: highPublished, container: "a2", to: 80},
	})
	for _, c := range []struct {
		name, by string
		rules    firewall.Ruleset
	}{
		{"masquerade", "a1", everything()},
		{"an address of its own", "n1", manyModes()},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, s.opts, setting{policy: "ACCEPT", bridged: true})
			b := s.backend(t, w.host)
			c.rules.Ports = append(c.rules.Ports, high...)
			c.rules.HighPorts = besides.rules().HighPorts
			b.add(t, c.rules)
			b.settled(t, c.rules)
			f := &flood{world: w, by: c.by, ears: w.ears(t), wires: w.wires(t),
				service: listenUDP(t, w.host, netip.AddrPortFrom(netip.IPv6Unspecified(), highListening))}
			f.attack(t, besides, 0)
			b.apply(t, firewall.Delta{Remove: besides.rules(), Add: around.rules()})
			c.rules.HighPorts = around.rules().HighPorts
			b.settled(t, c.rules)
			s.backend(t, w.host).settled(t, c.rules)
			f.answered(t)
			f.attack(t, around, 1)
		})
	}
}

// flood is a container that sends to one port of the host outside from all its ports.
type flood struct {
	*world
	by    string
	ears  map[string]*capture
	wires map[string]*wire
	// service is a socket of the host at highListening.
	service *net.UDPConn
	// flows are the ends of some at the host outside: the peer's, and the host's.
	flows [][2]netip.AddrPort
}

// attack fills a range by flows to a peer of its own, and has this peer send to the
// host's two ports: what comes to the container was taken, if the range has them.
func (f *flood) attack(t *testing.T, ports portRange, n int) {
	for _, proto := range []string{"udp", "tcp"} {
		for _, fam := range families {
			t.Run(proto+" "+fam.String()+map[bool]string{false: " besides", true: " around"}[ports.has(highPublished)], func(t *testing.T) {
				c := shadow{by: f.by, proto: proto}
				peer := netip.AddrPortFrom(addresses["outside"][fam], firstOtherPort+900+uint16(n))
				host := f.fill(t, c, peer, ports, mark("flood "+proto, n, fam))
				if proto == "udp" {
					f.flows = append(f.flows, [2]netip.AddrPort{peer, netip.AddrPortFrom(host, ports.last)})
				}
				published, listening := mark("published "+proto, n, fam), mark("listening "+proto, n, fam)
				f.send(t, "outside", c.packet(peer, netip.AddrPortFrom(host, highPublished), published))
				f.send(t, "outside", c.packet(peer, netip.AddrPortFrom(host, highListening), listening))
				got := f.heard(t, f.ears, "end of the attack")
				if took := len(carrying(got[f.by], published)) > 0; took != ports.has(highPublished) {
					t.Errorf("%s takes what is for the published port: %t", f.by, took)
				}
				if took := len(carrying(got[f.by], listening)) > 0; took != ports.has(highListening) {
					t.Errorf("%s takes what is for the host's own port: %t", f.by, took)
				}
				if came := len(carrying(got["a2"], published)) > 0; came == ports.has(highPublished) {
					t.Errorf("the published port gets its packet: %t", came)
				}
				if proto == "udp" && f.served(t, listening, !ports.has(highListening)) == ports.has(highListening) {
					t.Errorf("the host's own port gets its packet: %t", !ports.has(highListening))
				}
			})
		}
	}
}

func (f *flood) send(t *testing.T, by string, packet []byte) {
	t.Helper()
	if err := f.wires[by].send(packet); err != nil {
		t.Fatalf("%s: %v", by, err)
	}
}

// fill opens flows until each port of the range is taken, and returns the address that
// they come from.
func (f *flood) fill(t *testing.T, c shadow, peer netip.AddrPort, ports portRange, text string) (host netip.Addr) {
	t.Helper()
	taken, own := map[uint16]bool{}, addresses[c.by][familyOf(peer)]
	for inner := uint16(1024); len(taken) < ports.len() && inner < 30000; {
		for range 1000 {
			f.send(t, c.by, c.packet(netip.AddrPortFrom(own, inner), peer, text))
			inner++
		}
		for _, p := range carrying(f.heard(t, f.ears, "end of a flood")["outside"], text) {
			from, _ := rawip.Source(p)
			if !ports.has(from.Port()) {
				t.Fatalf("a flow comes from %s, which is not among %d to %d", from, ports.first, ports.last)
			}
			taken[from.Port()], host = true, from.Addr()
		}
	}
	if len(taken) < ports.len() {
		t.Fatalf("only %d of %d ports are taken", len(taken), ports.len())
	}
	return host
}

// answered shows that flows keep the ports that they have.
func (f *flood) answered(t *testing.T) {
	t.Helper()
	for _, ends := range f.flows {
		f.send(t, "outside", rawip.Datagram(ends[0], ends[1], "still there"))
	}
	if n := len(carrying(f.heard(t, f.ears, "end of the answers")[f.by], "still there")); n != len(f.flows) {
		t.Errorf("%d of %d UDP flows are answered when the range has moved", n, len(f.flows))
	}
}

func familyOf(peer netip.AddrPort) family {
	if peer.Addr().Is6() {
		return v6
	}
	return v4
}

// served says whether a packet has come to the host's socket; one that is expected may
// be late.
func (f *flood) served(t *testing.T, text string, expected bool) bool {
	t.Helper()
	wait := map[bool]time.Duration{true: patience, false: impatience}[expected]
	if err := f.service.SetReadDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 256)
	for {
		n, err := f.service.Read(buf)
		if err != nil {
			return false
		}
		if bytes.Contains(buf[:n], []byte(text)) {
			return true
		}
	}
}
