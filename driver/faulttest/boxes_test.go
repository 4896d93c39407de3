package faulttest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// box is a network namespace in the place of a container, or another host.
type box struct {
	name string
	ns   netns.NsHandle
	// v4 and v6 are its addresses, mac that of its link.
	v4, v6 netip.Prefix
	mac    net.HardwareAddr
}

// hostBox is the namespace of the test itself.
func hostBox(t *testing.T) *box {
	t.Helper()
	ns, err := netns.Get()
	must(t, err)
	t.Cleanup(func() { _ = ns.Close() })
	return &box{name: "host", ns: ns}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newBox makes a namespace in which the link is eth0, with the addresses and the gateways as its way out.
func newBox(t *testing.T, name, link string, v4, v6 netip.Prefix, gateways ...netip.Addr) *box {
	t.Helper()
	b := &box{name: name, v4: v4, v6: v6}
	must(t, apart(func() (err error) {
		b.ns, err = netns.New()
		return err
	}))
	t.Cleanup(func() { _ = b.ns.Close() })
	l, err := netlink.LinkByName(link)
	must(t, err)
	must(t, netlink.LinkSetNsFd(l, int(b.ns)))
	must(t, b.in(func() error { return b.configure(link, gateways) }))
	b.mac = l.Attrs().HardwareAddr
	return b
}

func (b *box) configure(link string, gateways []netip.Addr) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err = errors.Join(netlink.LinkSetName(l, "eth0"), netlink.LinkSetUp(lo), netlink.LinkSetUp(l)); err != nil {
		return err
	}
	for _, p := range []netip.Prefix{b.v4, b.v6} {
		a, err := netlink.ParseAddr(p.String())
		if err != nil {
			return err
		}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		if err = netlink.AddrAdd(l, a); err != nil {
			return fmt.Errorf("address %s: %w", p, err)
		}
	}
	for _, g := range gateways {
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: g.AsSlice()}); err != nil {
			return fmt.Errorf("route by %s: %w", g, err)
		}
	}
	return nil
}

// apart runs do on a thread whose namespace may become another, and that ends with it.
func apart(do func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends
		result <- do()
	}()
	return <-result
}

// in runs do in the box.
func (b *box) in(do func() error) error {
	return apart(func() error {
		if err := netns.Set(b.ns); err != nil {
			return err
		}
		return do()
	})
}

// serve answers TCP connections with the client's address, until it is ended.
func (b *box) serve(t *testing.T, port int) (end func()) {
	t.Helper()
	var l net.Listener
	must(t, b.in(func() (err error) {
		l, err = net.Listen("tcp", fmt.Sprintf("[::]:%d", port))
		return err
	}))
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			from, _ := netip.ParseAddrPort(c.RemoteAddr().String())
			_, _ = io.WriteString(c, b.name+" "+from.Addr().Unmap().String())
			_ = c.Close()
		}
	}()
	return func() { _ = l.Close() }
}

// ask returns who answers at an address, and whom he takes the box for; or nobody, and why. What is not to be answered
// ends after a short time.
func (b *box) ask(to netip.Addr, port int, patience time.Duration) (answer string) {
	err := b.in(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		c, err := new(net.Dialer).DialContext(ctx, "tcp", netip.AddrPortFrom(to, uint16(port)).String())
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		text, err := io.ReadAll(c)
		answer = string(text)
		return err
	})
	if err != nil {
		return nobody + ": " + err.Error()
	}
	return answer
}

// nobody is what the answer begins with where there is none.
const nobody = "nobody"

// packets opens a socket for frames of a link of the box that have the type of experiments, or ARP's.
func (b *box) packets(t *testing.T, link string) *os.File {
	t.Helper()
	var fd int
	must(t, b.in(func() (err error) {
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
			return err
		}
		l, err := netlink.LinkByName(link)
		if err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: l.Attrs().Index})
	}))
	f := os.NewFile(uintptr(fd), b.name)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// everything is ETH_P_ALL in the order of the wire.
const everything = 0x0300

// frame is one of experiments, with a text.
func frame(to, from net.HardwareAddr, text string) []byte {
	return append(append(append([]byte{}, to...), append(from[:6:6], 0x88, 0xb5)...), []byte(fmt.Sprintf("%-46s", text))...)
}

// request asks for an address by ARP.
func request(b *box, who netip.Addr) []byte {
	f := append(append(append([]byte{}, everybody...), b.mac...), 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	f = append(append(append(f, b.mac...), b.v4.Addr().AsSlice()...), make([]byte, 6)...)
	return append(f, who.AsSlice()...)
}

var everybody = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// datagramPort is where datagrams with a text are sent to.
const datagramPort = 7001

// textOf is the text of a frame, or of a datagram, or what ARP says; empty for anything else.
func textOf(f []byte) string {
	switch {
	case len(f) > 42 && f[12] == 8 && f[13] == 0 && f[23] == unix.IPPROTO_UDP && binary.BigEndian.Uint16(f[36:]) == datagramPort:
		return string(f[42:])
	case f[12] == 0x88 && f[13] == 0xb5:
		return strings.TrimSpace(string(f[14:]))
	case f[12] == 8 && f[13] == 6 && len(f) >= 42:
		sender, _ := netip.AddrFromSlice(f[28:32])
		return fmt.Sprintf("ARP %d of %s, %s", f[21], sender, net.HardwareAddr(f[22:28]))
	}
	return ""
}

// heard counts how often each text came to a socket until last did, but for what is sent by it, and what the bridge
// sends back to who sent it.
func heard(t *testing.T, f *os.File, last string) map[string]int {
	t.Helper()
	counts, buf := map[string]int{}, make([]byte, 2048)
	must(t, f.SetReadDeadline(time.Now().Add(10*time.Second)))
	for {
		n, err := f.Read(buf)
		if err != nil {
			t.Fatalf("%s did not hear %q: %v", f.Name(), last, err)
		}
		text := textOf(buf[:n])
		if text == last {
			return counts
		}
		if text != "" {
			counts[text]++
		}
	}
}

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

// hostOutside is the host's address towards what is outside.
var hostOutside = addr("192.0.2.1")

// hardwareAddrIn is that of a link in a box.
func hardwareAddrIn(b *box, link string) (mac net.HardwareAddr) {
	_ = b.in(func() error {
		l, err := netlink.LinkByName(link)
		if err == nil {
			mac = l.Attrs().HardwareAddr
		}
		return err
	})
	return mac
}

func groupOf(t *testing.T, link string) uint32 {
	t.Helper()
	l, err := netlink.LinkByName(link)
	must(t, err)
	return l.Attrs().Group
}

// forgetNeighbours has the namespace ask for its neighbours again.
func forgetNeighbours() error {
	eth, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	list, err := netlink.NeighList(eth.Attrs().Index, netlink.FAMILY_V4)
	for _, n := range list {
		err = errors.Join(err, netlink.NeighDel(&n))
	}
	return err
}
