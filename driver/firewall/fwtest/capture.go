package fwtest

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

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

// until returns the packets that came in up to the one with mark in it, which
// must come.
func (c *capture) until(t *testing.T, mark string) [][]byte {
	t.Helper()
	var packets [][]byte
	buf := make([]byte, 4096)
	for {
		size, from, err := testkit.Receive(c.fd, buf)
		if err != nil {
			t.Fatalf("%s: %q did not arrive: %v", c.node.name, mark, err)
		}
		if link, ok := from.(*unix.SockaddrLinklayer); ok && link.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if bytes.Contains(buf[:size], []byte(mark)) {
			return packets
		}
		packets = append(packets, bytes.Clone(buf[:size]))
	}
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

// heard returns what each node heard up to now. A packet over veths has arrived
// when it is sent, so what the host sends now comes after it.
func (w *world) heard(t *testing.T, ears map[string]*capture, mark string) map[string][][]byte {
	t.Helper()
	out := map[string][][]byte{}
	for name, c := range ears {
		for _, f := range families {
			last := mark + " " + f.String()
			conn, err := dial(w.host, "udp", netip.AddrPortFrom(addresses[name][f], 9), time.Now().Add(patience))
			if err != nil {
				t.Fatal(err)
			}
			_, err = conn.Write([]byte(last))
			_ = conn.Close()
			if err != nil {
				t.Fatal(err)
			}
			out[name] = append(out[name], c.until(t, last)...)
		}
	}
	return out
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
