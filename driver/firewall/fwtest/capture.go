package fwtest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/integration/testkit"
)

// capture hears every packet that comes in by a node's own end of its only link,
// before that node's rules and sockets have a say: what is not heard was
// dropped on the way.
type capture struct {
	fd   int
	node *node
}

// captureBuffer holds all that one case sends to a node.
const captureBuffer = 16 << 20

// listen begins to hear.
func listen(t *testing.T, n *node) *capture {
	t.Helper()
	c := &capture{node: n}
	index := n.link(t, farEnd).Attrs().Index
	n.must(t, func() (err error) {
		if c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		t.Cleanup(func() { _ = unix.Close(c.fd) })
		if err = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureBuffer); err != nil {
			return err
		}
		wait := unix.NsecToTimeval(patience.Nanoseconds())
		if err = unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
			return err
		}
		return unix.Bind(c.fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: index})
	})
	return c
}

// until returns the packets that came in up to the last one of so many with mark in it,
// which must come.
func (c *capture) until(t *testing.T, mark string, times int) [][]byte {
	t.Helper()
	var packets [][]byte
	buf := make([]byte, 4096)
	for times > 0 {
		size, from, err := testkit.Receive(c.fd, buf)
		if err != nil {
			t.Fatalf("%s: %q did not arrive %d more times: %v", c.node.name, mark, times, err)
		}
		if link, ok := from.(*unix.SockaddrLinklayer); ok && link.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if bytes.Contains(buf[:size], []byte(mark)) {
			times--
			continue
		}
		packets = append(packets, bytes.Clone(buf[:size]))
	}
	return packets
}

// carrying are those of the packets that have a mark in them.
func carrying(packets [][]byte, mark string) [][]byte {
	var out [][]byte
	for _, p := range packets {
		if bytes.Contains(p, []byte(mark)) {
			out = append(out, p)
		}
	}
	return out
}

// heard returns what each node heard of what was sent up to now.
func (w *world) heard(t *testing.T, ears map[string]*capture, mark string) map[string][][]byte {
	t.Helper()
	var c net.PacketConn
	w.host.must(t, func() (err error) {
		c, err = net.ListenPacket("udp", ":0")
		return err
	})
	defer c.Close() //nolint:errcheck // nothing of it is left to be written
	out := map[string][][]byte{}
	afterAll(t, mark, func(last string) {
		for name := range ears {
			for _, f := range families {
				if _, err := c.WriteTo([]byte(last), net.UDPAddrFromAddrPort(netip.AddrPortFrom(addresses[name][f], 9))); err != nil {
					t.Fatalf("%s to %s: %v", last, name, err)
				}
			}
		}
	}, func(last string, times int) {
		for name, ear := range ears {
			out[name] = append(out[name], ear.until(t, last, times*len(families))...)
		}
	})
	return out
}

// hops are how often a packet waits on its way: at the host's end of the link that it
// comes by, at the bridge's that it crosses, and at the end of the link that it leaves by.
const hops = 3

// afterAll has marks sent by the host, and awaited, that come after all that was sent before.
// A packet that has come over a veth waits in a queue of the processor that sent it
// (netif_rx), and on a busy machine one of another processor overtakes it there. So marks
// are sent by each processor, and again when these have come, for each time that a packet waits.
func afterAll(t *testing.T, mark string, send func(mark string), await func(mark string, times int)) {
	t.Helper()
	for hop := range hops {
		last := fmt.Sprintf("%s, hop %d", mark, hop)
		await(last, testkit.OnEachProcessor(t, func() { send(last) }))
	}
}

// nearEnd is the host's link to a node: what is sent to its hardware address is
// routed, not bridged.
func nearEnd(name string) string {
	for _, l := range lans {
		if slices.Contains(l.members, name) {
			return l.bridge
		}
	}
	return "v-" + name
}

// wire is a node's own end of its only link, to which whole IP packets are given,
// past the node's routes, addresses and rules.
type wire struct {
	fd int
	to unix.SockaddrLinklayer
}

// newWire makes the way from a node to a hardware address of the host.
func newWire(t *testing.T, n *node, to net.HardwareAddr) *wire {
	t.Helper()
	w := &wire{to: unix.SockaddrLinklayer{Ifindex: n.link(t, farEnd).Attrs().Index, Halen: 6}}
	copy(w.to.Addr[:], to)
	n.must(t, func() (err error) {
		w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		return err
	})
	t.Cleanup(func() { _ = unix.Close(w.fd) })
	return w
}

func (w *wire) send(packet []byte) error {
	to := w.to
	to.Protocol = networkOrder(unix.ETH_P_IP)
	if packet[0]>>4 == 6 {
		to.Protocol = networkOrder(unix.ETH_P_IPV6)
	}
	return unix.Sendto(w.fd, packet, 0, &to)
}

func networkOrder(protocol uint16) uint16 {
	return binary.NativeEndian.Uint16([]byte{byte(protocol >> 8), byte(protocol)})
}
