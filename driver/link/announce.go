package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// announce tells the host and everybody on the bridge where the addresses of a
// new pair are from now on: whoever talked to the one that had an address
// before would send to that one's hardware address for half a minute and more.
//
// The engine does so too, from the container, since 28.0, but not for IPv4
// addresses from an address manager that is a plugin: it announces 0.0.0.0
// instead. The frames leave by the bridge itself, which sends them out of every
// port: the container's end is not up yet.
//
// To a further bridge they come by the joining pair. In the container's name they would teach it that the container
// is behind that pair, and nothing from the first bridge would reach it until it sends something itself. So
// there they are the host's, which is behind it (see hostBehind); ARP and neighbour discovery read what is in them.
func (h *Handle) announce(v spec.Veth, bridge netlink.Link) error {
	if len(v.MAC) != macLen || len(v.Addresses) == 0 {
		return nil
	}
	for _, a := range v.Addresses {
		if err := h.forgetNeighbour(bridge, a, v.MAC); err != nil {
			return fmt.Errorf("announce %s on bridge %s: %w", a, v.HostBridge(), err)
		}
	}
	to := &unix.SockaddrLinklayer{Ifindex: bridge.Attrs().Index, Halen: macLen}
	for _, a := range v.Addresses {
		frame := gratuitousARP(a, v.MAC)
		if a.Is6() {
			frame = unsolicitedAdvertisement(a, v.MAC)
		}
		if v.First != "" {
			copy(frame[macLen:], bridge.Attrs().HardwareAddr)
		}
		copy(to.Addr[:], frame)
		if err := unix.Sendto(h.packets, frame, 0, to); err != nil {
			return fmt.Errorf("announce %s on bridge %s: %w", a, v.HostBridge(), err)
		}
	}
	return nil
}

// forgetNeighbour removes what the host knows of the address on the bridge if
// that is another hardware address. What an administrator set stays. Kernels
// before 5.0 do not answer for one address; their host finds out by itself.
func (h *Handle) forgetNeighbour(bridge netlink.Link, a netip.Addr, mac net.HardwareAddr) error {
	family := unix.AF_INET
	if a.Is6() {
		family = unix.AF_INET6
	}
	req := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, 0)
	req.Sockets = h.raw
	req.AddData(&netlink.Ndmsg{Family: uint8(family), Index: uint32(bridge.Attrs().Index)})
	req.AddData(nl.NewRtAttr(netlink.NDA_DST, a.AsSlice()))
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
	if err != nil || len(answers) == 0 {
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
			err = nil
		}
		return err
	}
	known, err := netlink.NeighDeserialize(answers[0])
	if err != nil {
		return err
	}
	if known.State&(netlink.NUD_PERMANENT|netlink.NUD_NOARP) != 0 || bytes.Equal(known.HardwareAddr, mac) {
		return nil
	}
	if err := h.nl.NeighDel(known); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

const (
	macLen      = 6
	etherHeader = 14
)

// ether starts a frame with room for a payload.
func ether(dst [macLen]byte, src net.HardwareAddr, etherType uint16, payload int) []byte {
	f := make([]byte, etherHeader, etherHeader+payload)
	copy(f, dst[:])
	copy(f[macLen:], src)
	binary.BigEndian.PutUint16(f[2*macLen:], etherType)
	return f
}

// gratuitousARP is an ARP announcement (RFC 5227, 3): a request of the address
// for itself, to everybody.
func gratuitousARP(a netip.Addr, mac net.HardwareAddr) []byte { return requestARP(a, a, mac) }

// requestARP asks everybody for the owner of target.
func requestARP(sender, target netip.Addr, mac net.HardwareAddr) []byte {
	everybody := [macLen]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	f := ether(everybody, mac, unix.ETH_P_ARP, 28)
	f = append(f, 0, 1, 8, 0, macLen, 4, 0, 1) // Ethernet, IPv4, request
	f = append(append(f, mac...), sender.AsSlice()...)
	return append(append(f, make([]byte, macLen)...), target.AsSlice()...)
}

// The messages of neighbour discovery (RFC 4861, 4.3 and 4.4).
const (
	solicitation  = 135
	advertisement = 136
)

// unsolicitedAdvertisement is a neighbour advertisement (RFC 4861, 7.2.6) that
// overrides what all nodes of the link know of the address.
func unsolicitedAdvertisement(a netip.Addr, mac net.HardwareAddr) []byte {
	const (
		override   = 0x20
		targetLink = 2 // option: the target's link-layer address
	)
	icmp := append([]byte{advertisement, 0, 0, 0, override, 0, 0, 0}, a.AsSlice()...)
	return discovery(mac, a, netip.IPv6LinkLocalAllNodes(), append(append(icmp, targetLink, 1), mac...))
}

// discovery is the frame of a message of neighbour discovery to a multicast
// address. Its checksum is filled in.
func discovery(mac net.HardwareAddr, from, to netip.Addr, icmp []byte) []byte {
	group := to.As16()
	f := ether([macLen]byte{0x33, 0x33, group[12], group[13], group[14], group[15]}, mac, unix.ETH_P_IPV6, 40+len(icmp))
	f = append(f, 0x60, 0, 0, 0, 0, byte(len(icmp)), unix.IPPROTO_ICMPV6, 255)
	f = append(append(f, from.AsSlice()...), to.AsSlice()...)
	// The pseudo header of RFC 8200, 8.1 is summed with the message.
	pseudo := append(append(from.AsSlice(), to.AsSlice()...), 0, 0, 0, byte(len(icmp)), 0, 0, 0, unix.IPPROTO_ICMPV6)
	binary.BigEndian.PutUint16(icmp[2:], checksum(append(pseudo, icmp...)))
	return append(f, icmp...)
}

// checksum is the internet checksum (RFC 1071) of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
