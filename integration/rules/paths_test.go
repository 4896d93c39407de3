package rules

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/gangway-net/gangway/integration/wiring"
)

// journey is a datagram and its answer.
type journey struct {
	// name is the golden file; title is for the pages.
	name, title string
	// from and to are places; at, if set, is the address that is asked in place
	// of the one of to.
	from, to string
	at       netip.AddrPort
	// dropped says that it does not arrive.
	dropped bool
	bridged bool
	// front puts it on the front page.
	front bool
}

// The ports of journeys: of who asks and who answers.
const askPort, servePort = 40000, 80

// journeys are the ways that a newcomer asks for.
func journeys() []journey {
	at := func(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
	return []journey{
		{name: "published", title: "From outside to a published port", from: "outside", to: "a2", at: at("192.0.2.1:8000"), front: true},
		{name: "out", title: "From a container to the outside", from: "a2", to: "outside", front: true},
		{name: "same-network", title: "From a container to another of the same network", from: "a3", to: "a2", front: true},
		{name: "same-network-bridged", title: "The same with br_netfilter", from: "a3", to: "a2", bridged: true},
		{name: "host", title: "From the host to a container", from: "host", to: "a2", front: true},
		{name: "host-published", title: "From the host to a published port on 127.0.0.1", from: "host", to: "a2", at: at("127.0.0.1:8000")},
		{name: "hairpin", title: "From a container to a published port of its own network", from: "a3", to: "a2", at: at("192.0.2.1:8000")},
		{name: "unpublished", title: "From outside to a container, past the published port", from: "outside", to: "a2", dropped: true},
		{name: "other-network", title: "From a container to one of another network", from: "a2", to: "c2", at: at("10.200.2.2:81"), dropped: true},
		{name: "routed", title: "From outside to a published port of a routed network", from: "outside", to: "c2"},
		{name: "internal", title: "From an internal network to the outside", from: "b2", to: "outside", dropped: true},
	}
}

// testPaths sends packets, and compares the way through the rules that the
// kernel reports with golden files.
func testPaths(t *testing.T) {
	for _, backend := range wiring.Backends() {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			files := newGoldens("paths/" + backend)
			m := newMap(t, backend)
			var tr *tracer
			m.host.do(func() { tr = m.host.trace() })
			for _, j := range journeys() {
				m.host.do(func() { m.host.bridged(j.bridged) })
				tr.packets(false)
				from, to, arrives := m.travel(t, j)
				steps := tr.packets(j.dropped)
				lines := append([]string{"packet from " + from + " to " + to}, stepsOf(steps, 0)...)
				if !j.dropped {
					lines = append(lines, "arrives at "+arrives, "answer")
					lines = append(lines, stepsOf(steps, 1)...)
				}
				files.compare(t, j.name, lines)
			}
			files.settled(t, false)
		})
	}
}

// stepsOf returns those of the packet with that number.
func stepsOf(packets [][]string, n int) []string {
	if len(packets) == 0 {
		return []string{unseen}
	}
	return packets[n]
}

// unseen stands for the steps of a packet that the kernel does not report.
const unseen = "no rule sees it"

// places are a host with three networks, what is on them, and the outside.
type places struct {
	host  *host
	nodes map[string]*node
	addrs map[string]netip.Addr
}

// newMap makes a network with a published port and two containers, an internal
// one and a routed one.
func newMap(t *testing.T, backend string) *places {
	h := newHost(t, backend)
	m := &places{host: h, nodes: map[string]*node{"host": h.node}, addrs: map[string]netip.Addr{"outside": netip.MustParseAddr("192.0.2.9")}}
	h.do(func() {
		h.grant(0, wish{"", "-p 8000:80/udp"})
		h.join(0, firstContainer+1, wish{})
		h.grant(1, wish{"--internal", ""})
		h.grant(2, wish{"-o gateway_mode_ipv4=routed", "-p 80:80/udp"})
	})
	for _, c := range []struct {
		name       string
		network, n int
	}{{"a2", 0, firstContainer}, {"a3", 0, firstContainer + 1}, {"b2", 1, firstContainer}, {"c2", 2, firstContainer}} {
		p := place(c.network, c.n, false)
		m.addrs[c.name] = p.Addr()
		m.nodes[c.name] = h.move(t, "gp-"+endpointID(c.network, c.n)[:12], p, place(c.network, 1, false).Addr())
	}
	m.nodes["outside"] = h.move(t, uplink+farEnd, netip.MustParsePrefix("192.0.2.9/24"), netip.MustParseAddr("192.0.2.1"))
	return m
}

// move puts a link into a namespace of its own, as the engine does.
func (h *host) move(t *testing.T, name string, p netip.Prefix, gateway netip.Addr) *node {
	t.Helper()
	n := newNode(t)
	l, err := h.nl.LinkByName(name)
	h.ok(err)
	h.ok(h.nl.LinkSetNsFd(l, int(n.ns.Fd())))
	n.addresses(name, p)
	l, err = n.nl.LinkByName(name)
	h.ok(err)
	h.ok(n.nl.LinkSetUp(l))
	h.ok(n.nl.RouteAdd(&netlink.Route{Gw: gateway.AsSlice()}))
	return n
}

// travel sends the datagram and, if it arrives, the answer. It says who asks
// whom, and what arrives where.
func (m *places) travel(t *testing.T, j journey) (from, to, arrives string) {
	t.Helper()
	target := j.at
	if !target.IsValid() {
		target = netip.AddrPortFrom(m.addrs[j.to], servePort)
	}
	if from = "the host"; m.addrs[j.from].IsValid() {
		from = m.addrs[j.from].String()
	}
	to = target.String()
	server, client := m.socket(j.to, servePort), m.socket(j.from, askPort)
	defer server.Close()
	defer client.Close()
	_, err := client.WriteToUDPAddrPort([]byte("ask"), target)
	m.host.ok(err)
	if j.dropped {
		return from, to, ""
	}
	_, peer, err := server.ReadFromUDPAddrPort(make([]byte, 16))
	if err != nil {
		t.Fatalf("%s: nothing arrived: %v", j.name, err)
	}
	_, err = server.WriteToUDPAddrPort([]byte("answer"), peer)
	m.host.ok(err)
	if _, sender, err := client.ReadFromUDPAddrPort(make([]byte, 16)); err != nil || sender != target {
		t.Fatalf("%s: an answer from %s, %v", j.name, sender, err)
	}
	return from, to, fmt.Sprintf("%s:%d, from %s", m.addrs[j.to], servePort, peer.Addr())
}

func (m *places) socket(name string, port int) (c *net.UDPConn) {
	n := m.nodes[name]
	n.t.Helper()
	n.do(func() {
		var err error
		c, err = net.ListenUDP("udp4", &net.UDPAddr{Port: port})
		n.ok(err)
		n.ok(c.SetDeadline(time.Now().Add(10 * time.Second)))
	})
	return c
}
