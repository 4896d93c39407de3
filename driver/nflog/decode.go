package nflog

import (
	"encoding/binary"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/firewall"
)

// decode reads addresses, protocol and ports from the beginning of a packet.
func decode(r *firewall.Refused, protocol uint16, packet []byte) {
	switch protocol {
	case unix.ETH_P_IP:
		decode4(r, packet)
	case unix.ETH_P_IPV6:
		decode6(r, packet)
	}
}

func decode4(r *firewall.Refused, p []byte) {
	const least = 20
	if len(p) < least {
		return
	}
	r.From = netip.AddrPortFrom(netip.AddrFrom4([4]byte(p[12:])), 0)
	r.To = netip.AddrPortFrom(netip.AddrFrom4([4]byte(p[16:])), 0)
	length := int(p[0]&0xf) * 4
	if length < least || length > len(p) {
		length = len(p)
	}
	rest := p[length:]
	if binary.BigEndian.Uint16(p[6:])&0x1fff != 0 { // a later fragment has no ports
		rest = nil
	}
	transport(r, p[9], rest)
}

// decode6 goes past the extension headers of RFC 8200 that may come before the ports.
func decode6(r *firewall.Refused, p []byte) {
	const fixed = 40
	if len(p) < fixed {
		return
	}
	r.From = netip.AddrPortFrom(netip.AddrFrom16([16]byte(p[8:])), 0)
	r.To = netip.AddrPortFrom(netip.AddrFrom16([16]byte(p[24:])), 0)
	next, rest := p[6], p[fixed:]
	for {
		length := 0
		switch next {
		case unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING, unix.IPPROTO_DSTOPTS:
			if len(rest) >= 2 {
				length = (int(rest[1]) + 1) * 8
			}
		case unix.IPPROTO_FRAGMENT:
			length = 8
			if len(rest) >= 4 && binary.BigEndian.Uint16(rest[2:])&0xfff8 != 0 {
				transport(r, rest[0], nil)
				return
			}
		default:
			transport(r, next, rest)
			return
		}
		if length == 0 || length > len(rest) {
			transport(r, next, nil)
			return
		}
		next, rest = rest[0], rest[length:]
	}
}

func transport(r *firewall.Refused, number byte, header []byte) {
	ports := false
	switch number {
	case unix.IPPROTO_TCP:
		r.Protocol, ports = "tcp", true
	case unix.IPPROTO_UDP:
		r.Protocol, ports = "udp", true
	case unix.IPPROTO_SCTP:
		r.Protocol, ports = "sctp", true
	case unix.IPPROTO_ICMP:
		r.Protocol = "icmp"
	case unix.IPPROTO_ICMPV6:
		r.Protocol = "icmpv6"
	default:
		r.Protocol = strconv.Itoa(int(number))
	}
	if ports && len(header) >= 4 {
		r.From = netip.AddrPortFrom(r.From.Addr(), binary.BigEndian.Uint16(header))
		r.To = netip.AddrPortFrom(r.To.Addr(), binary.BigEndian.Uint16(header[2:]))
	}
}
