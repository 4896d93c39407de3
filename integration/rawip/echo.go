package rawip

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// ICMP types: RFC 792 and RFC 4443.
const (
	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129
)

// NetworkICMP names the raw sockets for Ping to an address.
func NetworkICMP(a netip.Addr) string {
	return network(a, unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6)
}

// Ping sends one echo request over a socket that is connected to one address,
// and waits for the reply with the same id and sequence number. It returns where
// the reply came from.
func Ping(c *net.IPConn, id, sequence uint16) (netip.Addr, error) {
	to, ok := c.RemoteAddr().(*net.IPAddr)
	if !ok {
		return netip.Addr{}, fmt.Errorf("ping over a socket to %v", c.RemoteAddr())
	}
	request, reply := byte(echoRequest4), byte(echoReply4)
	if to.IP.To4() == nil {
		request, reply = echoRequest6, echoReply6
	}
	message := make([]byte, 16)
	message[0] = request
	binary.BigEndian.PutUint16(message[4:], id)
	binary.BigEndian.PutUint16(message[6:], sequence)
	copy(message[8:], "gangway!")
	if request == echoRequest4 { // the kernel sums ICMPv6 itself
		binary.BigEndian.PutUint16(message[2:], Checksum(message))
	}
	if _, err := c.Write(message); err != nil {
		return netip.Addr{}, err
	}
	buf := make([]byte, longest)
	for {
		n, from, err := c.ReadFromIP(buf)
		if err != nil {
			return netip.Addr{}, err
		}
		if n >= 8 && buf[0] == reply && binary.BigEndian.Uint16(buf[4:]) == id && binary.BigEndian.Uint16(buf[6:]) == sequence {
			addr, _ := netip.AddrFromSlice(from.IP)
			return addr.Unmap(), nil
		}
	}
}
