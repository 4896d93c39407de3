package hostport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// datagramBatch bounds what one descriptor reads before others have their turn.
const datagramBatch = 64

// udpRelay passes datagrams of one socket on to the container, in one session
// for each client. Everything of it but its constants is guarded by the lock
// of udpSessions.
type udpRelay struct {
	r        *relays
	fd       int
	id       uint32
	to       leads
	sessions map[client]*session
	// clients counts the sessions of each.
	clients map[netip.Addr]int
	ends
	closed bool
}

// ends are those of the list of sessions by last use.
type ends struct{ oldest, newest *session }

// client is who sends, by which link, and the address that it sends to, which is
// where its answers must come from.
type client struct {
	peer  netip.AddrPort
	local netip.Addr
	link  int
	// group says that it sends to more than one host; local is an address of the
	// host at the link then, or, of IPv6, the group's.
	group bool
}

func startUDP(r *relays, s *socket, to leads) (relay, error) {
	type option struct{ level, name int }
	// Who has no address yet is answered by broadcast.
	options := []option{{unix.IPPROTO_IP, unix.IP_PKTINFO}, {unix.SOL_SOCKET, unix.SO_BROADCAST}}
	switch {
	case s.ip.Is6() && s.twin == nil:
		options = []option{{unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO}}
	case s.ip.Is6():
		options = append(options, option{unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO})
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(s.fd, o.level, o.name, 1); err != nil {
			return nil, os.NewSyscallError("setsockopt", err)
		}
	}
	u := &udpRelay{r: r, fd: s.fd, to: to, sessions: map[client]*session{}, clients: map[netip.Addr]int{}}
	r.udp.mu.Lock()
	defer r.udp.mu.Unlock()
	u.id = r.poll.add(s.fd, u)
	return u, nil
}

// ready passes on what clients have sent.
func (u *udpRelay) ready() {
	all := u.r.udp
	all.mu.Lock()
	defer all.mu.Unlock()
	for range datagramBatch {
		if u.closed {
			return
		}
		n, oobn, _, from, err := unix.Recvmsg(u.fd, all.buf, all.oob, 0)
		if err != nil {
			return
		}
		c, ok := clientOf(from, all.oob[:oobn])
		if !ok {
			continue
		}
		s := u.sessions[c]
		if s == nil {
			if s, err = u.admit(c); err != nil {
				u.r.log.WithError(err).Debugf("relay to %s", u.to.of(c.peer.Addr()).addrPort())
				continue
			}
		}
		all.touch(s)
		// What the container does not take, or cannot be sent to it, is lost,
		// as datagrams may be. The error of an earlier datagram (its port is
		// closed) is reported here and takes this one's place: send again.
		if err = unix.Send(s.fd, all.buf[:n], 0); errors.Is(err, unix.ECONNREFUSED) {
			_ = unix.Send(s.fd, all.buf[:n], 0)
		}
	}
}

// admit opens a session if the client may have one. That is the kernel's answer, for which
// nobody waits but the client: the lock, which the caller holds, is given up meanwhile.
func (u *udpRelay) admit(c client) (*session, error) {
	all, to := u.r.udp, u.to.of(c.peer.Addr())
	if c.local.Is4() && to.ip.Is4() && !c.group && !to.whole {
		return nil, errNotAGroup // it is for NAT, which keeps the client's address
	}
	if !to.ip.IsValid() {
		return nil, errNotAdmitted
	}
	all.mu.Unlock()
	admitted := u.r.admits(c, to)
	all.mu.Lock()
	if !admitted || u.closed || to != u.to.of(c.peer.Addr()) {
		return nil, errNotAdmitted
	}
	return all.open(u, c, to)
}

func (u *udpRelay) redirect(to leads) {
	u.r.udp.mu.Lock()
	defer u.r.udp.mu.Unlock()
	u.to = to
	for c, s := range u.sessions {
		if s.to != to.of(c.peer.Addr()) {
			u.r.udp.end(s)
		}
	}
}

func (u *udpRelay) close() {
	all := u.r.udp
	all.mu.Lock()
	defer all.mu.Unlock()
	u.closed = true
	u.r.poll.remove(u.id)
	all.drop(u)
}

// clientOf reads who sent a datagram, by which link, and to which address.
func clientOf(from unix.Sockaddr, oob []byte) (c client, ok bool) {
	switch a := from.(type) {
	case *unix.SockaddrInet4:
		c.peer = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		c.peer = netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	default:
		return c, false
	}
	return c, c.read(oob) == nil && c.peer.Port() != 0
}

// read takes the link and the host's address out of control messages. On a socket
// of both families there are two with an IPv4 datagram; the IPv4 one tells more.
func (c *client) read(oob []byte) error {
	for len(oob) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return err
		}
		oob = rest
		// in_pktinfo: index, local address (what a broadcast came in by),
		// destination. in6_pktinfo: destination, index.
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			c.link = int(binary.NativeEndian.Uint32(data))
			c.local = netip.AddrFrom4([4]byte(data[4:8]))
			c.group = [4]byte(data[4:8]) != [4]byte(data[8:12])
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo && !c.local.Is4():
			c.link = int(binary.NativeEndian.Uint32(data[16:]))
			c.local = netip.AddrFrom16([16]byte(data[:16])).Unmap()
			c.group = c.local.IsMulticast()
		}
	}
	return nil
}

// answerTo is where the client is: one without an address yet, as with DHCP, is
// somewhere on its link.
func (c client) answerTo() unix.Sockaddr {
	if c.peer.Addr() == netip.IPv4Unspecified() {
		return sockaddr(netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), c.peer.Port()), 0)
	}
	return sockaddr(c.peer, c.zone())
}

// zone is the link, where an address has a meaning on its link only.
func (c client) zone() uint32 {
	peer := c.peer.Addr()
	if peer.Is6() && (peer.IsLinkLocalUnicast() || c.local.IsLinkLocalUnicast()) || peer == netip.IPv4Unspecified() {
		return uint32(c.link)
	}
	return 0
}

// answerFrom is the control message that makes a datagram leave with the
// address that the client used. Nobody answers from a multicast address: then
// the kernel chooses.
func (c client) answerFrom() []byte {
	switch {
	case !c.local.IsValid() || c.local.IsMulticast():
		return nil
	case c.local.Is4():
		return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: c.local.As4(), Ifindex: int32(c.zone())})
	}
	return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: c.local.As16(), Ifindex: c.zone()})
}

// dialUDP returns a socket that is connected to the container.
func dialUDP(to target) (int, error) {
	family := unix.AF_INET
	if to.ip.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("open socket: %w", err)
	}
	if err := unix.Connect(fd, sockaddr(to.addrPort(), 0)); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("connect: %w", err)
	}
	return fd, nil
}
