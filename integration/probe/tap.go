package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// machine is a virtual machine at a tap: it has one address, and knows ARP, ICMP echo, and of TCP
// enough to answer whoever connects with its identity line.
type machine struct {
	tap     *os.File
	mac     net.HardwareAddr
	addr    netip.Addr
	gateway netip.Addr
	router  net.HardwareAddr
	// target is who is pinged until he answers.
	target netip.Addr
}

// tap runs a machine at a tap of that name, which it makes, with the address, and the gateway,
// and pings the target until he answers. It says so, and goes on answering others.
func tap(name string, addr, gateway, target netip.Addr) error {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("open the tap: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return fmt.Errorf("make tap %s: %w", name, err)
	}
	m := &machine{tap: os.NewFile(uintptr(fd), name), mac: net.HardwareAddr{0x02, 0x54, 0x41, 0x50, 0, addr.As4()[3]}, addr: addr, gateway: gateway, target: target}
	fmt.Println("ready", m.mac)
	buf, next := make([]byte, 1<<16), time.Now()
	for {
		if m.target.IsValid() && time.Now().After(next) {
			next = time.Now().Add(200 * time.Millisecond)
			m.ask()
		}
		if err = m.tap.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			return err
		}
		n, err := m.tap.Read(buf)
		switch {
		case os.IsTimeout(err):
		case err != nil:
			return err
		case n >= 42:
			m.frame(buf[:n])
		}
	}
}

// ask looks for the gateway, or pings the target by it.
func (m *machine) ask() {
	if m.router == nil {
		m.arp(1, net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, m.gateway)
		return
	}
	m.ip(m.router, m.target, unix.IPPROTO_ICMP, icmp(8, []byte{0, 7, 0, 7, 't', 'a', 'p', '!'}))
}

func icmp(kind byte, rest []byte) []byte {
	b := append([]byte{kind, 0, 0, 0}, rest...)
	binary.BigEndian.PutUint16(b[2:], checksum(b, 0))
	return b
}

func (m *machine) frame(f []byte) {
	switch kind := binary.BigEndian.Uint16(f[12:]); {
	case kind == 0x0806 && netip.AddrFrom4([4]byte(f[38:42])) == m.addr:
		from := netip.AddrFrom4([4]byte(f[28:32]))
		if from == m.gateway {
			m.router = net.HardwareAddr(append([]byte{}, f[22:28]...))
		}
		if f[21] == 1 {
			m.arp(2, net.HardwareAddr(f[22:28]), from)
		}
	case kind == 0x0800 && netip.AddrFrom4([4]byte(f[30:34])) == m.addr:
		header := int(f[14]&15) * 4
		body := f[14+header : 14+int(binary.BigEndian.Uint16(f[16:]))]
		m.packet(net.HardwareAddr(f[6:12]), netip.AddrFrom4([4]byte(f[26:30])), f[23], body)
	}
}

func (m *machine) packet(mac net.HardwareAddr, from netip.Addr, proto byte, body []byte) {
	switch {
	case proto == unix.IPPROTO_ICMP && len(body) >= 8 && body[0] == 8:
		m.ip(mac, from, proto, icmp(0, body[4:]))
	case proto == unix.IPPROTO_ICMP && body[0] == 0 && from == m.target:
		fmt.Println("reached", from)
		m.target = netip.Addr{}
	case proto == unix.IPPROTO_TCP && len(body) >= 20:
		m.tcp(mac, from, body)
	}
}

// Flags of TCP.
const fin, syn, push, ack = 1, 2, 8, 16

// tcp answers a segment. What it knows of a connection is what the segment says.
func (m *machine) tcp(mac net.HardwareAddr, from netip.Addr, b []byte) {
	const first = 1000
	peer, own := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	seq, acked := binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	data := len(b) - int(b[12]>>4)*4
	send := func(seq, upTo uint32, flags byte, text string) {
		s := make([]byte, 20, 20+len(text))
		binary.BigEndian.PutUint16(s, own)
		binary.BigEndian.PutUint16(s[2:], peer)
		binary.BigEndian.PutUint32(s[4:], seq)
		binary.BigEndian.PutUint32(s[8:], upTo)
		s[12], s[13] = 5<<4, flags
		binary.BigEndian.PutUint16(s[14:], 1<<14)
		s = append(s, text...)
		binary.BigEndian.PutUint16(s[16:], checksum(s, pseudo(m.addr, from, len(s))))
		m.ip(mac, from, unix.IPPROTO_TCP, s)
	}
	line := fmt.Sprintf("client=%s local=%s host=tap\n", netip.AddrPortFrom(from, peer), netip.AddrPortFrom(m.addr, own))
	switch flags := b[13]; {
	case flags&syn != 0:
		send(first, seq+1, syn|ack, "")
	case flags&fin != 0:
		send(acked, seq+uint32(data)+1, fin|ack, "") //nolint:gosec // of one segment
	case flags&ack != 0 && acked == first+1 && data == 0:
		send(first+1, seq, push|ack, line)
	case data > 0:
		send(acked, seq+uint32(data), ack, "") //nolint:gosec // of one segment
	}
}

func pseudo(from, to netip.Addr, length int) uint32 {
	a, b := from.As4(), to.As4()
	sum := uint32(unix.IPPROTO_TCP) + uint32(length) //nolint:gosec // of one packet
	for i := 0; i < 4; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(a[i:])) + uint32(binary.BigEndian.Uint16(b[i:]))
	}
	return sum
}

func checksum(b []byte, sum uint32) uint16 {
	for i := 0; i < len(b); i += 2 {
		word := uint32(b[i]) << 8
		if i+1 < len(b) {
			word += uint32(b[i+1])
		}
		sum += word
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum) //nolint:gosec // folded
}

func (m *machine) ip(to net.HardwareAddr, dst netip.Addr, proto byte, body []byte) {
	h := []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, proto, 0, 0}
	binary.BigEndian.PutUint16(h[2:], uint16(20+len(body))) //nolint:gosec // of one packet
	h = append(append(h, m.addr.AsSlice()...), dst.AsSlice()...)
	binary.BigEndian.PutUint16(h[10:], checksum(h, 0))
	m.send(to, 0x0800, append(h, body...))
}

func (m *machine) arp(op byte, to net.HardwareAddr, who netip.Addr) {
	b := []byte{0, 1, 8, 0, 6, 4, 0, op}
	b = append(append(b, m.mac...), m.addr.AsSlice()...)
	b = append(append(b, to...), who.AsSlice()...)
	m.send(to, 0x0806, b)
}

func (m *machine) send(to net.HardwareAddr, kind uint16, body []byte) {
	f := append(append(append([]byte{}, to...), m.mac...), byte(kind>>8), byte(kind))
	_, _ = m.tap.Write(append(f, body...)) // before it is up, nobody hears it
}

// tapOf is tap with the words of a command line.
func tapOf(words []string) error {
	var addrs []netip.Addr
	for _, w := range words[1:] {
		a, err := netip.ParseAddr(w)
		if err != nil || !a.Is4() {
			return fmt.Errorf("%q is no IPv4 address", w)
		}
		addrs = append(addrs, a)
	}
	return tap(words[0], addrs[0], addrs[1], addrs[2])
}
