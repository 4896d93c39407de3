package trace

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/plugin/enter"
)

// protocols are the numbers and kinds of sockets.
var protocols = map[string]struct{ number, kind int }{
	"tcp": {unix.IPPROTO_TCP, unix.SOCK_STREAM}, "udp": {unix.IPPROTO_UDP, unix.SOCK_DGRAM}, "sctp": {unix.IPPROTO_SCTP, unix.SOCK_STREAM},
}

// socket is one of a probe. It stays in the network namespace that it was made in,
// whichever thread uses it.
type socket struct {
	fd     int
	udp    bool
	target unix.Sockaddr
}

// open makes a socket at From with the source address that packets to the destination
// have, and a port of its own: the flow is known before a packet is sent. A packet of
// ours alone (a raw SYN) is the rejected alternative: it would not tell whether the
// connection is answered.
func open(f Flow) (s *socket, from netip.AddrPort, err error) {
	in := func() error {
		s, from, err = openHere(f)
		return err
	}
	if path := f.From.Sandbox(); path != "" {
		err = enter.Namespace(path, in)
	} else {
		err = in()
	}
	return s, from, err
}

func openHere(f Flow) (*socket, netip.AddrPort, error) {
	source := f.Source
	if !source.IsValid() {
		var err error
		if source, err = sourceHere(f.Destination); err != nil {
			return nil, netip.AddrPort{}, err
		}
	}
	p := protocols[f.Protocol]
	fd, err := unix.Socket(family(f.Destination.Addr()), p.kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, p.number)
	if err != nil {
		return nil, netip.AddrPort{}, fmt.Errorf("open a %s socket: %w", f.Protocol, err)
	}
	s := &socket{fd: fd, udp: f.Protocol == "udp", target: sockaddr(f.Destination)}
	if err = unix.Bind(fd, sockaddr(netip.AddrPortFrom(source, 0))); err != nil {
		s.close()
		return nil, netip.AddrPort{}, fmt.Errorf("bind %s: %w", source, err)
	}
	from, err := s.local()
	if err != nil {
		s.close()
	}
	return s, from, err
}

// Source is the address from which packets of From to a destination come, as the routes
// there say. Nothing is sent.
func Source(from Party, to netip.AddrPort) (a netip.Addr, err error) {
	if from.Addr.IsValid() && !from.Host {
		return from.Addr, nil
	}
	in := func() error {
		a, err = sourceHere(to)
		return err
	}
	if path := from.Sandbox(); path != "" {
		err = enter.Namespace(path, in)
	} else if from.Host {
		err = in()
	}
	return a, err
}

func sourceHere(to netip.AddrPort) (netip.Addr, error) {
	fd, err := unix.Socket(family(to.Addr()), unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("look for the way to %s: %w", to.Addr(), err)
	}
	s := &socket{fd: fd}
	defer s.close()
	if err = unix.Connect(fd, sockaddr(to)); err != nil { // of UDP: a look at the routes
		return netip.Addr{}, fmt.Errorf("no way to %s: %w", to.Addr(), err)
	}
	at, err := s.local()
	return at.Addr(), err
}

func (s *socket) close() { _ = unix.Close(s.fd) }

func (s *socket) local() (netip.AddrPort, error) {
	name, err := unix.Getsockname(s.fd)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("ask for the address of a socket: %w", err)
	}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)), nil //nolint:gosec // a port
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)), nil //nolint:gosec // a port
	}
	return netip.AddrPort{}, fmt.Errorf("the address of a socket is %T", name)
}

// send sends the SYN or datagram, waits for an answer, and says what came in words.
func (s *socket) send(ctx context.Context) string {
	err := unix.Connect(s.fd, s.target)
	wanted := int16(unix.POLLOUT)
	if err == nil && s.udp {
		_, err = unix.Write(s.fd, []byte{'\n'})
		wanted = unix.POLLIN
	}
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return "cannot be sent: " + err.Error()
	}
	for ctx.Err() == nil {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: wanted}}, int(pollTime.Milliseconds())) //nolint:gosec // a descriptor
		if errors.Is(err, unix.EINTR) || err == nil && n == 0 {
			continue
		}
		if err != nil {
			return "cannot be waited for: " + err.Error()
		}
		return s.answer()
	}
	if s.udp {
		return noAnswer + " (a program need not answer a datagram)"
	}
	return noAnswer
}

// noAnswer begins the words for no answer.
const noAnswer = "none"

// accepted is the answer to a probe that was connected.
const accepted = "the connection was accepted"

// pollTime is how long a wait lasts before its end is looked at.
const pollTime = 50 * time.Millisecond

func (s *socket) answer() string {
	code, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case err != nil:
		return "unknown: " + err.Error()
	case unix.Errno(code) == unix.ECONNREFUSED:
		return "refused: nobody listens there, or a rule rejects"
	case code != 0:
		return unix.Errno(code).Error()
	case s.udp:
		return "a datagram"
	}
	// The program that accepted it sees the connection's end at once.
	_ = unix.SetsockoptLinger(s.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	return accepted
}

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}
