package hostport

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Origin says who may use relays. To a container a relay is the host, to which all
// is open: so it has to ask by which link a client came, as the firewall does of
// what it forwards. An address tells nothing, whoever sends chooses it.
type Origin interface {
	// Admits says whether what came in by the link of that index may go on to a
	// container; group says that it was sent to more than one host. What is not
	// known is not admitted.
	Admits(link int, to netip.Addr, group bool) bool
}

// loopbackLink is the index of lo, in every network namespace (LOOPBACK_IFINDEX).
const loopbackLink = 1

// admits asks the origin. What is sent to 127.0.0.0/8 by another link than lo is
// not meant for the host, whatever the firewall lets through: the kernel sees to
// that for [::1] alone where route_localnet is on.
func (r *relays) admits(c client, to target) bool {
	if c.local.Is4() && c.local.IsLoopback() && c.link != loopbackLink {
		return false
	}
	return r.origin.Admits(c.link, to.ip, c.group)
}

// originOf says by which link the client of an accepted connection came. The kernel
// keeps it with the connection, and tells it as what would be the control message of
// a datagram.
func originOf(fd int, ipv6 bool) (client, error) {
	if !ipv6 {
		return packetInfo(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, ipPacketOptions)
	}
	return packetInfo(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, unix.IPV6_2292PKTOPTIONS)
}

// CameBy says by which link the client of an accepted connection came.
func CameBy(fd int, ipv6 bool) (link int, err error) {
	c, err := originOf(fd, ipv6)
	return c.link, err
}

// ipPacketOptions is IP_PKTOPTIONS of linux/in.h.
const ipPacketOptions = 9

// packetInfo asks for the link while the option is on, and not longer: with it the
// kernel keeps a copy of what comes in.
func packetInfo(fd, level, option, ask int) (c client, err error) {
	if err = unix.SetsockoptInt(fd, level, option, 1); err != nil {
		return c, fmt.Errorf("setsockopt PKTINFO: %w", err)
	}
	var buf [128]byte
	size := uint32(len(buf))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(ask),
		uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&size)), 0)
	runtime.KeepAlive(&buf)
	if errno != 0 {
		return c, fmt.Errorf("getsockopt PKTOPTIONS: %w", errno)
	}
	if err = unix.SetsockoptInt(fd, level, option, 0); err != nil {
		return c, fmt.Errorf("setsockopt PKTINFO: %w", err)
	}
	if err = c.read(buf[:size]); err == nil && c.link == 0 {
		err = errors.New("the kernel does not tell by which link the client came")
	}
	return c, err
}
