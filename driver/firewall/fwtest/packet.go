package fwtest

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/integration/rawip"
)

// ping sends one echo request and waits for its reply. The answer is the
// address it came from, since an echo reply says no more.
func ping(n *node, to netip.Addr, deadline time.Time) (string, error) {
	c, err := dialRaw(n, rawip.NetworkICMP(to), to, deadline)
	if err != nil {
		return "", err
	}
	defer c.Close() //nolint:errcheck // the reply is what counts
	from, err := rawip.Ping(c, nextID(), 0)
	if err != nil {
		return "", err
	}
	return "echo " + from.String(), nil
}

// sendFrame puts an IPv4 datagram on a node's only link, past its routes and
// addresses: no kernel would send to 127.0.0.1 over a wire by itself.
func sendFrame(n *node, to net.HardwareAddr, from, dst netip.AddrPort, payload string) error {
	const ipHeader, udpHeader = 20, 8
	b := make([]byte, ipHeader+udpHeader, ipHeader+udpHeader+len(payload))
	b[0] = 0x45
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(payload)))
	b[8], b[9] = 64, unix.IPPROTO_UDP
	copy(b[12:], from.Addr().AsSlice())
	copy(b[16:], dst.Addr().AsSlice())
	binary.BigEndian.PutUint16(b[10:], rawip.Checksum(b[:ipHeader]))
	udp := b[ipHeader:]
	binary.BigEndian.PutUint16(udp[0:], from.Port())
	binary.BigEndian.PutUint16(udp[2:], dst.Port())
	binary.BigEndian.PutUint16(udp[4:], uint16(udpHeader+len(payload)))
	// Without a checksum, which IPv4 allows (RFC 768).
	b = append(b, payload...)

	link, err := n.nl.LinkByName(farEnd)
	if err != nil {
		return err
	}
	return n.do(func() error {
		ethertype := binary.NativeEndian.Uint16([]byte{unix.ETH_P_IP >> 8, unix.ETH_P_IP & 0xff})
		s, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("packet socket: %w", err)
		}
		defer unix.Close(s) //nolint:errcheck // nothing is lost
		addr := &unix.SockaddrLinklayer{Protocol: ethertype, Ifindex: link.Attrs().Index, Halen: 6}
		copy(addr.Addr[:], to)
		return unix.Sendto(s, b, 0, addr)
	})
}
