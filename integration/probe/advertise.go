package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// advertise sends one IPv6 router advertisement (RFC 4861, 4.2) to all nodes of
// the interface's link: it offers the sender as default router, and the prefix
// for addresses and as on-link.
func advertise(iface, prefix string) error {
	p, err := netip.ParsePrefix(prefix)
	if err != nil {
		return err
	}
	from, err := linkLocal(iface)
	if err != nil {
		return err
	}
	conn, err := net.DialIP("ip6:58", from, &net.IPAddr{IP: net.IPv6linklocalallnodes, Zone: iface})
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // the datagram is out or not
	if err = unforwarded(conn); err != nil {
		return err
	}
	_, err = conn.Write(advertisement(p))
	return err
}

// linkLocal is the address that hosts take advertisements from. To bind to it
// fails as long as the kernel looks for duplicates of it.
func linkLocal(iface string) (*net.IPAddr, error) {
	link, err := net.InterfaceByName(iface)
	if err != nil {
		return nil, err
	}
	addrs, err := link.Addrs()
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		if a, ok := a.(*net.IPNet); ok && a.IP.To4() == nil && a.IP.IsLinkLocalUnicast() {
			return &net.IPAddr{IP: a.IP, Zone: iface}, nil
		}
	}
	return nil, fmt.Errorf("%s has no link-local IPv6 address", iface)
}

// advertisement is the message; the kernel adds the checksum.
func advertisement(p netip.Prefix) []byte {
	const (
		routerAdvertisement = 134
		prefixInformation   = 3
		onLinkAutonomous    = 0xc0
		lifetime            = 600 // seconds
	)
	m := make([]byte, 16+32)
	m[0] = routerAdvertisement
	m[4] = 64 // hop limit to use
	binary.BigEndian.PutUint16(m[6:], lifetime)
	o := m[16:]
	o[0], o[1], o[2], o[3] = prefixInformation, 4, byte(p.Bits()), onLinkAutonomous
	binary.BigEndian.PutUint32(o[4:], lifetime)
	binary.BigEndian.PutUint32(o[8:], lifetime)
	copy(o[16:], p.Masked().Addr().AsSlice())
	return m
}

// unforwarded gives the packets the hop limit of 255 that shows receivers that
// no router has passed them on.
func unforwarded(conn *net.IPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		serr = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255)
	})
	return errors.Join(err, serr)
}
