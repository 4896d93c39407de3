package fwtest

import (
	"net"
	"net/netip"
)

// way is one way of a packet. prepare sends what comes before the packet in its flow, and
// returns what sends the packet. One that begins a flow begins another one each time.
type way struct {
	name string
	// end and port are where it comes to; none for the host itself.
	end     string
	port    uint16
	prepare func(h *crossing) (send func(i int), err error)
}

const clientPort, containerClientPort, outsidePort = 5000, 6000, 53

// ways are all ways: of the first packet of a flow, and of those that follow, as they are
// asked and answered.
func ways() []way {
	return []way{
		{"others", "lan", containerPort, plain((*crossing).passing)},
		{"published/first", "container", containerPort, plain(func(h *crossing) func(int) { return h.published(true) })},
		{"published/asked", "container", containerPort, known((*crossing).publishedFlow, 0)},
		{"published/answered", "outside", clientPort, known((*crossing).publishedFlow, 1)},
		{"outside/first", "outside", outsidePort, plain(func(h *crossing) func(int) { return h.outward(true) })},
		{"outside/asked", "outside", outsidePort, known((*crossing).outwardFlow, 0)},
		{"outside/answered", "container", containerClientPort, known((*crossing).outwardFlow, 1)},
		{"host/first", "", 0, plain(func(h *crossing) func(int) { return h.toHost(true) })},
		{"host/asked", "", 0, plain(func(h *crossing) func(int) { return h.toHost(false) })},
		{"within/first", "second", containerPort, plain(func(h *crossing) func(int) { return h.neighbours(true)[0] })},
		{"within/asked", "second", containerPort, known(func(h *crossing) ([2]func(int), error) { return h.neighbours(false), nil }, 0)},
	}
}

// on prepares the way on a host, and demands that its packets arrive.
func (w way) on(h *crossing) (send func(i int)) {
	h.Helper()
	send, err := w.prepare(h)
	if err == nil && w.end != "" {
		_, err = h.heard(w.end, w.port, func() { send(0) })
	}
	if err != nil {
		h.Fatalf("%s: %v", w.name, err)
	}
	return send
}

func plain(send func(*crossing) func(int)) func(*crossing) (func(int), error) {
	return func(h *crossing) (func(int), error) { return send(h), nil }
}

// known has a packet go in both directions first, and returns one of them.
func known(flow func(*crossing) ([2]func(int), error), direction int) func(*crossing) (func(int), error) {
	return func(h *crossing) (func(int), error) {
		both, err := flow(h)
		if err != nil {
			return nil, err
		}
		both[0](0)
		both[1](0)
		return both[direction], nil
	}
}

func (h *crossing) address(name string) netip.Addr { return crossingAddresses[name][h.family] }

// host is the hardware address of the host's link that an end sends to.
func (h *crossing) host(end string) net.HardwareAddr { return h.ends[end].to }

// passing passes from a link of others to one of others.
func (h *crossing) passing() func(int) {
	return h.datagram("outside", h.host("outside"), netip.AddrPortFrom(h.address("outside"), clientPort), netip.AddrPortFrom(h.address("lan"), containerPort), false)
}

// published asks a published port from outside.
func (h *crossing) published(fresh bool) func(int) {
	port := uint16(publishedPort)
	if h.BuiltIn {
		port = enginePort
	}
	return h.datagram("outside", h.host("outside"), netip.AddrPortFrom(h.address("outside"), clientPort), netip.AddrPortFrom(h.address("host"), port), fresh)
}

func (h *crossing) publishedFlow() ([2]func(int), error) {
	answer := h.datagram("container", h.host("container"), netip.AddrPortFrom(h.container, containerPort), netip.AddrPortFrom(h.address("outside"), clientPort), false)
	return [2]func(int){h.published(false), answer}, nil
}

// outward goes from a container to the outside.
func (h *crossing) outward(fresh bool) func(int) {
	return h.datagram("container", h.host("container"), netip.AddrPortFrom(h.container, containerClientPort), netip.AddrPortFrom(h.address("outside"), outsidePort), fresh)
}

func (h *crossing) outwardFlow() ([2]func(int), error) {
	ask := h.outward(false)
	port, err := h.heard("outside", outsidePort, func() { ask(0) })
	answer := h.datagram("outside", h.host("outside"), netip.AddrPortFrom(h.address("outside"), outsidePort), netip.AddrPortFrom(h.address("host"), port), false)
	return [2]func(int){ask, answer}, err
}

// toHost goes from a container to a socket of the host, which keeps a few of the packets.
func (h *crossing) toHost(fresh bool) func(int) {
	h.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{Port: listeningPort})
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = c.Close() })
	return h.datagram("container", h.host("container"), netip.AddrPortFrom(h.container, containerClientPort), netip.AddrPortFrom(h.address("host"), listeningPort), fresh)
}

// neighbours are what two containers of the network send each other. The host's rules see
// it, since engines have bridged packets go there.
func (h *crossing) neighbours(fresh bool) [2]func(int) {
	a, b := netip.AddrPortFrom(h.container, containerClientPort), netip.AddrPortFrom(h.second, containerPort)
	return [2]func(int){h.datagram("container", farAddress["second"], a, b, fresh), h.datagram("second", farAddress["container"], b, a, false)}
}
