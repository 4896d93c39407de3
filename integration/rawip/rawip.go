// Package rawip asks and answers over raw sockets, with packets that the kernel
// itself would not send: echo requests, and SCTP without SCTP in the kernel. It
// also builds whole packets that claim any source.
//
// Invariant: each packet has the checksum that its protocol asks for, so that no
// filter has a reason to take it for broken. The package opens no socket, for
// only those who call it know in which namespace to do so, and sets no
// deadlines: the sockets' own end the waiting.
package rawip

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// longest is more than any packet that is expected.
const longest = 2048

// network names the raw sockets of a protocol for package net: proto4 for
// addresses of IPv4, proto6 for those of IPv6. Protocols are numbers, since a
// container has no list of their names.
func network(a netip.Addr, proto4, proto6 int) string {
	if a.Unmap().Is4() {
		return fmt.Sprint("ip4:", proto4)
	}
	return fmt.Sprint("ip6:", proto6)
}

// Checksum is the internet checksum (RFC 1071) of an even number of bytes.
func Checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
