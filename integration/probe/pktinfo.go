package main

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// enablePktinfo makes the socket tell the destination address of each datagram.
func enablePktinfo(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		var domain int
		if domain, serr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN); serr != nil {
			return
		}
		if domain == unix.AF_INET {
			serr = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
			return
		}
		serr = errors.Join(
			unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1))
	})
	return errors.Join(err, serr)
}

// destination reads the address a datagram was sent to from its control
// messages, and returns the control message that sends the answer from there; of a
// broadcast from the address of the link.
func destination(oob []byte) (net.IP, []byte, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, nil, err
	}
	for _, m := range messages {
		d := m.Data
		switch h := m.Header; {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(d) >= 12:
			// struct in_pktinfo: ifindex, spec_dst, addr.
			dst := net.IP(append([]byte(nil), d[8:12]...))
			return dst, unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: [4]byte(d[4:8])}), nil
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(d) >= 20 && net.IP(d[:16]).To4() == nil:
			dst := net.IP(append([]byte(nil), d[:16]...))
			return dst, unix.PktInfo6(&unix.Inet6Pktinfo{Addr: [16]byte(d[:16])}), nil
		}
	}
	return nil, nil, errors.New("datagram without its destination address")
}
