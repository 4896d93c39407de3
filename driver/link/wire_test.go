package link_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/link"
	"github.com/gangway-net/gangway/driver/spec"

	"github.com/gangway-net/gangway/integration/testkit"
)

// wire is a bridge with a container that sends frames and another one that
// listens, as the kernel connects them.
type wire struct {
	fixture
	sender spec.Veth
	// from and host send, by the container and the host; ear and hostEar hear what
	// comes to the other container and to the host.
	from, host, ear, hostEar int
	frames                   uint32
}

// newWire makes two pairs that change makes what they are to be.
func newWire(f fixture, change func(spec.Veth) spec.Veth) *wire {
	f.t.Helper()
	fixMAC(f)
	w := &wire{fixture: f, sender: change(pair("br0"))}
	other := near(w.sender)
	for _, v := range []spec.Veth{w.sender, other} {
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		f.sh("ip link set " + v.Peer + " up")
		f.eventually("forwarding port", func() error {
			if show := f.sh("bridge link show dev " + v.Host); !bytes.Contains([]byte(show), []byte("state forwarding")) {
				return fmt.Errorf("%s", show)
			}
			return nil
		})
	}
	w.from, w.host, w.ear, w.hostEar = w.socket(w.sender.Peer), w.socket("br0"), w.socket(other.Peer), w.socket("br0")
	return w
}

// near is the other container's pair.
func near(v spec.Veth) spec.Veth {
	v.EndpointID, v.Host, v.Peer = "near", "gv-near", "gp-near"
	v.MAC = net.HardwareAddr{2, 0x42, 10, 7, 0, 3}
	v.Addresses = []netip.Addr{netip.MustParseAddr("10.7.0.3"), netip.MustParseAddr("fd07::3")}
	return v
}

func (w *wire) socket(name string) int {
	w.t.Helper()
	iface, err := net.InterfaceByName(name)
	w.ok(err)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	w.ok(err)
	w.t.Cleanup(func() { w.ok(unix.Close(fd)) })
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	w.ok(unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: iface.Index}))
	w.ok(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}))
	return fd
}

func (w *wire) send(fd int, frame []byte) {
	w.t.Helper()
	_, err := unix.Write(fd, frame)
	w.ok(err)
}

// arrives says whether a frame of the sender comes to the other container, and
// whether to the host. A frame that the host always gets comes after it, and then
// one that the other container always does.
func (w *wire) arrives(frame []byte) (there, host bool) {
	w.t.Helper()
	w.frames++
	mark := func(dst, src []byte) []byte {
		return slices.Concat(dst, src, []byte{0x88, 0xb5}, binary.BigEndian.AppendUint32([]byte("mark"), w.frames))
	}
	w.send(w.from, frame)
	last := mark(hostMAC, w.sender.MAC)
	w.send(w.from, last)
	host = w.hears(w.hostEar, frame, last)
	last = mark(everybody, hostMAC)
	w.send(w.host, last)
	return w.hears(w.ear, frame, last), host
}

func tagged(frame []byte) bool { return frame[12] == 0x81 }

// hears says whether a frame comes before the last one.
func (w *wire) hears(ear int, frame, last []byte) (seen bool) {
	w.t.Helper()
	for buf, deadline := make([]byte, 2048), time.Now().Add(5*time.Second); time.Now().Before(deadline); {
		n, _, err := testkit.Receive(ear, buf)
		if err != nil {
			w.t.Errorf("nothing arrives any more: %v", err)
			return seen
		}
		// A packet socket shows a frame without the tag that the kernel took out.
		seen = seen || bytes.Equal(buf[:n], frame) || tagged(frame) && bytes.Equal(buf[:n], slices.Concat(frame[:12], frame[16:]))
		if bytes.Equal(buf[:n], last) {
			return seen
		}
	}
	w.t.Errorf("%x does not arrive", last)
	return seen
}

var (
	everybody = []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	hostMAC   = []byte{2, 0, 0, 0, 0, 0xff} // as set by fixMAC
)

// frame is one that the sender may send, or must not.
type frame struct {
	name string
	data []byte
	// own says that it claims nothing that is another's.
	own bool
}

func framesOf(v spec.Veth) []frame {
	gate4, gate6 := netip.MustParseAddr("10.7.0.1"), netip.MustParseAddr("fd07::1")
	near4, near6 := netip.MustParseAddr("10.7.0.3"), netip.MustParseAddr("fd07::3")
	router := link.UnsolicitedAdvertisement(v.Addresses[1], v.MAC)
	router[54] = 134
	tag := func(frame []byte, tags ...byte) []byte { return slices.Concat(frame[:12], tags, frame[12:]) }
	raw := func(src net.HardwareAddr) []byte {
		return slices.Concat(everybody, src, []byte{0x88, 0xb5}, []byte("hello"))
	}
	packet := func(src netip.Addr) []byte {
		return slices.Concat(everybody, v.MAC, []byte{8, 0}, header4(src))
	}
	dhcp4, dhcp6 := answerOfDHCP(v)
	return []frame{
		{"answer of DHCP", dhcp4, false},
		{"answer of DHCP in a VLAN of number 0", tag(dhcp4, 0x81, 0, 0, 0), false},
		{"answer of DHCPv6", dhcp6, false},
		{"raw frame", raw(v.MAC), true},
		{"raw frame with another's MAC", raw(net.HardwareAddr{2, 0x42, 10, 7, 0, 3}), false},
		{"packet", packet(v.Addresses[0]), true},
		{"packet with a neighbour's address", packet(near4), false},
		{"packet with the gateway's address", packet(gate4), false},
		{"gratuitous ARP", link.GratuitousARP(v.Addresses[0], v.MAC), true},
		{"gratuitous ARP for the gateway", link.GratuitousARP(gate4, v.MAC), false},
		{"gratuitous ARP for a neighbour", link.GratuitousARP(near4, v.MAC), false},
		{"ARP for the gateway in a VLAN of number 0", tag(link.GratuitousARP(gate4, v.MAC), 0x81, 0, 0, 0), false},
		{"ARP for the gateway in two", tag(link.GratuitousARP(gate4, v.MAC), 0x81, 0, 0, 0, 0x81, 0, 0, 0), false},
		{"advertisement", link.UnsolicitedAdvertisement(v.Addresses[1], v.MAC), true},
		{"advertisement for the gateway", link.UnsolicitedAdvertisement(gate6, v.MAC), false},
		{"advertisement for a neighbour", link.UnsolicitedAdvertisement(near6, v.MAC), false},
		{"router", router, false},
	}
}

// header4 is an IPv4 packet to the subnet without a payload.
func header4(src netip.Addr) []byte {
	b := slices.Concat([]byte{0x45, 0, 0, 20, 0, 0, 0, 0, 64, 254, 0, 0}, src.AsSlice(), []byte{10, 7, 0, 255})
	binary.BigEndian.PutUint16(b[10:], link.Checksum(b))
	return b
}

// TestPortFilterOnTheWire: the kernel has frames arrive, or not, as the program says,
// with and without br_netfilter; without a filter all of them do.
func TestPortFilterOnTheWire(t *testing.T) {
	plain := func(v spec.Veth) spec.Veth { v.Addresses = filtered(v).Addresses; return v }
	for _, bridged4 := range []string{"0", "1"} {
		for name, change := range map[string]func(spec.Veth) spec.Veth{"filtered": filtered, "not filtered": plain} {
			t.Run(name+", br_netfilter "+bridged4, func(t *testing.T) {
				bridged(t, func(f fixture, _ spec.Veth) {
					f.sh("sysctl -w net/bridge/bridge-nf-call-iptables=" + bridged4 + " net/bridge/bridge-nf-call-ip6tables=" + bridged4)
					w := newWire(f, change)
					for _, frame := range framesOf(w.sender) {
						want := frame.own || name != "filtered"
						if got, _ := w.arrives(frame.data); got != want {
							t.Errorf("%s: arrives %t, want %t", frame.name, got, want)
						}
					}
				})
			})
		}
	}
}

// TestIsolationOnTheWire: nothing that an isolated container sends reaches
// another one, whatever it is and with br_netfilter as well; the host gets what
// is for it, and what finds it.
func TestIsolationOnTheWire(t *testing.T) {
	isolated := func(v spec.Veth) spec.Veth {
		v = filtered(v)
		v.Isolated = true
		return v
	}
	for _, bridged4 := range []string{"0", "1"} {
		t.Run("br_netfilter "+bridged4, func(t *testing.T) {
			bridged(t, func(f fixture, _ spec.Veth) {
				f.sh("sysctl -w net/bridge/bridge-nf-call-iptables=" + bridged4 + " net/bridge/bridge-nf-call-ip6tables=" + bridged4)
				w := newWire(f, isolated)
				near := []byte{2, 0x42, 10, 7, 0, 3}
				group := []byte{0x33, 0x33, 0xff, 0, 0, 3}
				for _, frame := range framesOf(w.sender) {
					for _, to := range [][]byte{everybody, near, group, frame.data[:6], hostMAC} {
						there, host := w.arrives(slices.Concat(to, frame.data[6:]))
						if there {
							t.Errorf("%s to %x arrives", frame.name, to)
						}
						if host && !frame.own || !host && frame.own && bytes.Equal(to, hostMAC) {
							t.Errorf("%s to %x reaches the host: %t", frame.name, to, host)
						}
					}
				}
				for name, frame := range map[string][]byte{
					"ARP":           link.GratuitousARP(w.sender.Addresses[0], w.sender.MAC),
					"advertisement": link.UnsolicitedAdvertisement(w.sender.Addresses[1], w.sender.MAC),
				} {
					if _, host := w.arrives(frame); !host {
						t.Errorf("%s to all does not reach the host", name)
					}
				}
			})
		})
	}
}
