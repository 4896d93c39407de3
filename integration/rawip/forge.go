package rawip

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Whole IP packets, of either family, with whatever source the caller says.
const (
	header4, header6 = 20, 40
	udpHeader        = 8
	tcpHeader        = 20
	icmpHeader       = 8
	hopLimit         = 64

	unreachable4, unreachable6         = 3, 1
	portUnreachable4, portUnreachable6 = 3, 4

	tcpSYN, tcpWindow = 0x02, 65535
)

// Datagram is a UDP packet.
func Datagram(from, to netip.AddrPort, payload string) []byte {
	b := make([]byte, udpHeader, udpHeader+len(payload))
	binary.BigEndian.PutUint16(b[0:], from.Port())
	binary.BigEndian.PutUint16(b[2:], to.Port())
	binary.BigEndian.PutUint16(b[4:], uint16(udpHeader+len(payload)))
	b = append(b, payload...)
	binary.BigEndian.PutUint16(b[6:], sum(from.Addr(), to.Addr(), unix.IPPROTO_UDP, b))
	return wrap(from.Addr(), to.Addr(), unix.IPPROTO_UDP, b)
}

// Opening is the first segment of a TCP connection (SYN). Its payload is data
// that the receiver may keep for later or pass over.
func Opening(from, to netip.AddrPort, sequence uint32, payload string) []byte {
	b := make([]byte, tcpHeader, tcpHeader+len(payload))
	binary.BigEndian.PutUint16(b[0:], from.Port())
	binary.BigEndian.PutUint16(b[2:], to.Port())
	binary.BigEndian.PutUint32(b[4:], sequence)
	b[12], b[13] = tcpHeader/4<<4, tcpSYN
	binary.BigEndian.PutUint16(b[14:], tcpWindow)
	b = append(b, payload...)
	binary.BigEndian.PutUint16(b[16:], sum(from.Addr(), to.Addr(), unix.IPPROTO_TCP, b))
	return wrap(from.Addr(), to.Addr(), unix.IPPROTO_TCP, b)
}

// EchoRequest is an echo request with an id.
func EchoRequest(from, to netip.Addr, id uint16, payload string) []byte {
	kind := byte(echoRequest4)
	if from.Is6() {
		kind = echoRequest6
	}
	return icmp(from, to, kind, 0, id, []byte(payload))
}

// EchoReply is an echo reply with an id.
func EchoReply(from, to netip.Addr, id uint16, payload string) []byte {
	kind := byte(echoReply4)
	if from.Is6() {
		kind = echoReply6
	}
	return icmp(from, to, kind, 0, id, []byte(payload))
}

// Unreachable is the error message "port unreachable" about a whole packet.
func Unreachable(from, to netip.Addr, about []byte) []byte {
	if from.Is6() {
		return icmp(from, to, unreachable6, portUnreachable6, 0, about)
	}
	return icmp(from, to, unreachable4, portUnreachable4, 0, about)
}

func icmp(from, to netip.Addr, kind, code byte, id uint16, body []byte) []byte {
	b := make([]byte, icmpHeader, icmpHeader+len(body))
	b[0], b[1] = kind, code
	binary.BigEndian.PutUint16(b[4:], id)
	b = append(b, body...)
	if from.Is6() {
		binary.BigEndian.PutUint16(b[2:], sum(from, to, unix.IPPROTO_ICMPV6, b))
		return wrap(from, to, unix.IPPROTO_ICMPV6, b)
	}
	binary.BigEndian.PutUint16(b[2:], Checksum(even(b)))
	return wrap(from, to, unix.IPPROTO_ICMP, b)
}

// sum is the checksum over a payload with its pseudo header (RFC 768, RFC 8200).
func sum(from, to netip.Addr, proto byte, payload []byte) uint16 {
	pseudo := append(from.AsSlice(), to.AsSlice()...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(payload)))
	pseudo = append(pseudo, 0, 0, 0, proto)
	s := Checksum(even(append(pseudo, payload...)))
	if s == 0 {
		return 0xffff // zero says that there is none
	}
	return s
}

// even is b with a zero at its end if its length is odd.
func even(b []byte) []byte {
	if len(b)%2 == 0 {
		return b
	}
	return append(b[:len(b):len(b)], 0)
}

// wrap puts the header of the family before a payload.
func wrap(from, to netip.Addr, proto byte, payload []byte) []byte {
	if from.Is6() {
		b := make([]byte, header6-32, header6+len(payload))
		b[0] = 0x60
		binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
		b[6], b[7] = proto, hopLimit
		b = append(append(b, from.AsSlice()...), to.AsSlice()...)
		return append(b, payload...)
	}
	b := make([]byte, header4, header4+len(payload))
	b[0] = 0x45
	binary.BigEndian.PutUint16(b[2:], uint16(header4+len(payload)))
	b[8], b[9] = hopLimit, proto
	copy(b[12:], from.AsSlice())
	copy(b[16:], to.AsSlice())
	binary.BigEndian.PutUint16(b[10:], Checksum(b))
	return append(b, payload...)
}

// Source is where a whole packet says that it comes from. The port is the id for
// ICMP, and zero where a packet has none.
func Source(packet []byte) (netip.AddrPort, bool) {
	var addr netip.Addr
	var proto byte
	var rest []byte
	switch {
	case len(packet) >= header6 && packet[0]>>4 == 6:
		addr, proto, rest = netip.AddrFrom16([16]byte(packet[8:24])), packet[6], packet[header6:]
	case len(packet) >= header4 && packet[0]>>4 == 4 && len(packet) >= int(packet[0]&15)*4:
		addr, proto, rest = netip.AddrFrom4([4]byte(packet[12:16])), packet[9], packet[int(packet[0]&15)*4:]
	default:
		return netip.AddrPort{}, false
	}
	at := 0
	switch proto {
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		at = 4
	case unix.IPPROTO_UDP, unix.IPPROTO_TCP, unix.IPPROTO_SCTP:
	default:
		return netip.AddrPortFrom(addr, 0), true
	}
	if len(rest) < at+2 {
		return netip.AddrPortFrom(addr, 0), true
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(rest[at:])), true
}
