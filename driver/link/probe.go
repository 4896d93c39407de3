package link

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/bpfprog"
)

// An address is asked for probes times, probeGap apart, and the last answer
// waited for as long. RFC 5227 (IPv4) takes seconds, and RFC 4862 (IPv6) one:
// more than the start of a container can wait for. A machine on an Ethernet
// answers within milliseconds, and three questions get over a lost frame.
const (
	probes   = 3
	probeGap = 80 * time.Millisecond
)

// Occupied asks on a bridge, or by another link, who uses the addresses, and returns the hardware
// address of each one that somebody uses or is about to use: by ARP probes
// (RFC 5227, 2.1.1) and by neighbour solicitations of duplicate address
// detection (RFC 4862, 5.4), which leave no trace in anybody's caches. It takes
// a quarter of a second, unless all are in use.
//
// Only a link that is up is asked by, and of bridges one that has ports of somebody else's, which
// costs nothing for the others: who is on ports of gangway's is known.
func (h *Handle) Occupied(ctx context.Context, name string, addrs []netip.Addr) (map[netip.Addr]net.HardwareAddr, error) {
	link, err := h.find(name)
	if err != nil || link == nil || link.Attrs().Flags&net.FlagUp == 0 || len(link.Attrs().HardwareAddr) != macLen {
		return nil, err
	}
	heard := []int{link.Attrs().Index}
	if link.Type() == kindBridge {
		foreign, failed := h.foreignPorts(ctx, link)
		if failed != nil || len(foreign) == 0 {
			return nil, failed
		}
		heard = append(heard, foreign...)
	}
	p, err := newProber(link, heard, addrs)
	if err != nil {
		return nil, fmt.Errorf("ask on link %s for %s: %w", name, few(addrs), err)
	}
	defer func() { _ = unix.Close(p.fd) }()
	for range probes {
		if err := p.ask(ctx); err != nil {
			return nil, fmt.Errorf("ask on link %s for %s: %w", name, few(addrs), err)
		}
		if err := p.listen(ctx, time.Now().Add(probeGap)); err != nil {
			return nil, fmt.Errorf("ask on link %s for %s: %w", name, few(addrs), err)
		}
	}
	return p.users, nil
}

// few names addresses for people, the first ones of many.
func few(addrs []netip.Addr) string {
	const most = 4
	if len(addrs) <= most {
		return fmt.Sprint(addrs)
	}
	return fmt.Sprintf("%v and %d more", addrs[:most], len(addrs)-most)
}

// foreignPorts are the ports of the bridge that are not gangway's.
func (h *Handle) foreignPorts(ctx context.Context, bridge netlink.Link) (ports []int, err error) {
	all, err := h.links(ctx)
	for _, l := range all {
		if l.Attrs().MasterIndex == bridge.Attrs().Index && owner(l) == "" {
			ports = append(ports, l.Attrs().Index)
		}
	}
	return ports, err
}

// prober asks on one link for a few addresses.
type prober struct {
	fd   int
	link *netlink.LinkAttrs
	// heard are the links by which answers come: of a bridge its ports as well. With br_netfilter rules
	// drop some before the bridge hears them, as what comes in the name of a network's address.
	heard []int
	addrs []netip.Addr
	users map[netip.Addr]net.HardwareAddr
}

// newProber opens a socket that hears what may be an answer, and nothing else:
// the link may carry all of the host's traffic.
func newProber(link netlink.Link, heard []int, addrs []netip.Addr) (*prober, error) {
	// Protocol 0: nothing comes in before the filter is there.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	err = answersOnly().Attach(fd)
	if err == nil {
		// The protocol is in the network's byte order.
		all := binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL & 0xff})
		to := &unix.SockaddrLinklayer{Protocol: all}
		if len(heard) == 1 {
			to.Ifindex = heard[0]
		}
		err = unix.Bind(fd, to)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("set up a packet socket: %w", err)
	}
	return &prober{fd: fd, link: link.Attrs(), heard: heard, addrs: addrs, users: map[netip.Addr]net.HardwareAddr{}}, nil
}

// answersOnly is a socket filter that passes ARP, and of ICMPv6 the neighbour
// solicitations and advertisements.
func answersOnly() *bpfprog.Program {
	const next, pass, drop = bpfprog.Next, bpfprog.Place("pass"), bpfprog.Place("drop")
	var p bpfprog.Program
	p.Load(2*macLen, 2)
	p.Equal(unix.ETH_P_ARP, pass, next)
	p.Equal(unix.ETH_P_IPV6, next, drop)
	p.Load(etherHeader+6, 1)
	p.Equal(unix.IPPROTO_ICMPV6, next, drop)
	p.Load(etherHeader+40, 1)
	p.Equal(solicitation, pass, next)
	p.Equal(advertisement, next, drop)
	p.Mark(pass)
	p.Return(0xffff)
	p.Mark(drop)
	p.Return(0)
	return &p
}

// ask sends one question for each address that nobody has answered for yet.
func (p *prober) ask(ctx context.Context) error {
	for _, a := range p.addrs {
		if p.users[a] != nil {
			continue
		}
		frame := requestARP(netip.IPv4Unspecified(), a, p.link.HardwareAddr)
		if a.Is6() {
			frame = solicit(a, p.link.HardwareAddr)
		}
		to := &unix.SockaddrLinklayer{Ifindex: p.link.Index, Halen: macLen}
		copy(to.Addr[:], frame)
		if err := p.send(ctx, frame, to); err != nil {
			return err
		}
	}
	return nil
}

// send waits while the link has not taken what was sent before, a second at most.
func (p *prober) send(ctx context.Context, frame []byte, to unix.Sockaddr) (err error) {
	for until := time.Now().Add(time.Second); time.Now().Before(until); {
		if err = unix.Sendto(p.fd, frame, 0, to); !errors.Is(err, unix.EAGAIN) {
			return err
		}
		if failed := ctx.Err(); failed != nil {
			return failed
		}
		ready := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLOUT}}
		if _, failed := unix.Poll(ready, int(probeGap.Milliseconds())); failed != nil && !errors.Is(failed, unix.EINTR) {
			return failed
		}
	}
	return err
}

// solicit is the neighbour solicitation of duplicate address detection: from
// the unspecified address to the address's solicited-node group (RFC 4291,
// 2.7.1).
func solicit(a netip.Addr, mac net.HardwareAddr) []byte {
	low := a.As16()
	group := netip.MustParseAddr("ff02::1:ff00:0").As16()
	copy(group[13:], low[13:])
	icmp := append([]byte{solicitation, 0, 0, 0, 0, 0, 0, 0}, a.AsSlice()...)
	return discovery(mac, netip.IPv6Unspecified(), netip.AddrFrom16(group), icmp)
}

// listen notes who claims which address until the deadline, or until all are
// claimed.
func (p *prober) listen(ctx context.Context, until time.Time) error {
	buffer := make([]byte, 256)
	for len(p.users) < len(p.addrs) {
		left := time.Until(until)
		if left <= 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		ready := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(ready, int(left.Milliseconds())+1); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		n, sender, err := unix.Recvfrom(p.fd, buffer, 0)
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		}
		if from, ok := sender.(*unix.SockaddrLinklayer); !ok || from.Pkttype == unix.PACKET_OUTGOING || !slices.Contains(p.heard, from.Ifindex) {
			continue
		}
		a, mac := claim(buffer[:n])
		if slices.Contains(p.addrs, a) && !bytes.Equal(mac, p.link.HardwareAddr) {
			p.users[a] = slices.Clone(mac)
		}
	}
	return nil
}

// claim reads from a frame which address its sender uses, or wants to use and
// asks for like us; no valid address if none. The hardware address is a part
// of the frame.
func claim(f []byte) (a netip.Addr, mac net.HardwareAddr) {
	if len(f) < etherHeader+28 {
		return a, nil
	}
	body := f[etherHeader:]
	switch binary.BigEndian.Uint16(f[2*macLen:]) {
	case unix.ETH_P_ARP:
		return claimARP(body)
	case unix.ETH_P_IPV6:
		return claimDiscovery(body), net.HardwareAddr(f[macLen : 2*macLen])
	}
	return a, nil
}

// claimARP reads an ARP packet of Ethernet and IPv4: it is about its sender's
// address, or, if it has none, a probe for the target's.
func claimARP(b []byte) (netip.Addr, net.HardwareAddr) {
	if !bytes.Equal(b[:6], []byte{0, 1, 8, 0, macLen, 4}) {
		return netip.Addr{}, nil
	}
	a := netip.AddrFrom4([4]byte(b[14:18]))
	if a.IsUnspecified() {
		a = netip.AddrFrom4([4]byte(b[24:28]))
	}
	return a, net.HardwareAddr(b[8:14])
}

// claimDiscovery reads an IPv6 packet with a neighbour advertisement, or with
// a solicitation of duplicate address detection.
func claimDiscovery(b []byte) netip.Addr {
	const header, target = 40, 8
	if len(b) < header+target+16 || b[6] != unix.IPPROTO_ICMPV6 || b[7] != 255 {
		return netip.Addr{}
	}
	detection := netip.AddrFrom16([16]byte(b[8:24])).IsUnspecified()
	if kind := b[header]; kind != advertisement && (kind != solicitation || !detection) {
		return netip.Addr{}
	}
	return netip.AddrFrom16([16]byte(b[header+target:]))
}
