package hostport

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// backlog is how many relayed connections may wait to be accepted on one port.
const backlog = 128

// socket holds one port in one host address.
type socket struct {
	key
	owner string
	descriptor
	// target is where the port leads; the zero target until lead was called.
	target target
	// claim is what a call of Reserve wants of it, nil after Hold.
	claim *claim
	// next is another socket of the port in the book.
	next *socket
	// relay serves the socket, nil if it only reserves.
	relay relay
	// twin is the socket of the other family that has the same descriptor, nil
	// if none has.
	twin *socket
}

// descriptor is what a socket has of the kernel.
type descriptor struct {
	// fd is -1 if the kernel offers no such socket to anybody. scope is what its
	// filter lets through.
	fd    int
	scope scope
	// lost says that the port is not held any more, though it should be.
	lost bool
}

// claim is where a socket is to lead, and by which call of Reserve. One a socket would make
// sockets, of which there are thousands, a third larger.
type claim struct {
	to target
	by uint64
}

// claimed says whether a call of Reserve has claimed the socket.
func (s *socket) claimed(by uint64) bool { return s.claim != nil && s.claim.by == by }

// scopeOf says what NAT cannot serve of a port that leads to a container. One without
// an address needs no relay yet, and SCTP has none.
func scopeOf(k key, to target) scope {
	switch {
	case !to.ip.IsValid() || k.proto == spec.SCTP:
		return nothing
	case to.whole || k.ip.Is4() != to.ip.Is4():
		return everything
	case k.ip.Is6():
		return scope{six: leftover, udp: k.proto == spec.UDP}
	case k.ip.IsUnspecified() && k.proto == spec.UDP:
		return scope{four: leftover, udp: true}
	}
	return nothing
}

// pairScope is the scope of a descriptor that holds k's port in both families.
// Of IPv4 it leaves over what NAT does.
func pairScope(k key, six target) scope {
	sc := scopeOf(k, six)
	if sc == nothing {
		return nothing
	}
	four := scopeOf(key{netip.IPv4Unspecified(), k.port, k.proto}, target{ip: netip.IPv4Unspecified()})
	return scope{four: four.four, six: sc.six, udp: four.udp}
}

// binding is how a descriptor holds a port.
type binding struct {
	key
	// scope is what its filter lets through. The rest is dropped, or waits for
	// lead, or is reset.
	scope scope
	// both says that a descriptor for [::] takes 0.0.0.0 as well.
	both bool
}

// bindingOf is how a port that leads to a container before long is held.
func bindingOf(k key, to target) binding {
	return binding{key: k, scope: scopeOf(k, to)}
}

// bind opens a descriptor. It returns -1 if the kernel has no SCTP: then nobody
// else can bind the port either.
func (f *filters) bind(b binding) (int, error) {
	fd, err := newSocket(b.key)
	if b.proto == spec.SCTP && (errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ESOCKTNOSUPPORT)) {
		return -1, nil
	}
	if err != nil {
		return -1, fmt.Errorf("open socket: %w", err)
	}
	if err := f.setUp(fd, b); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func newSocket(k key) (int, error) {
	family, kind, proto := unix.AF_INET, unix.SOCK_STREAM, int(k.proto)
	if k.ip.Is6() {
		family = unix.AF_INET6
	}
	if k.proto == spec.UDP {
		kind = unix.SOCK_DGRAM
	}
	return unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
}

func (f *filters) setUp(fd int, b binding) error {
	if b.ip.Is6() {
		v6only := 1
		if b.both {
			v6only = 0
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, v6only); err != nil {
			return fmt.Errorf("set IPV6_V6ONLY: %w", err)
		}
	}
	// For TCP only: connections of an earlier relay in TIME_WAIT must not keep
	// the port, and once the socket listens nobody can bind the port all the
	// same. For UDP the option would let others share the port.
	if b.proto == spec.TCP {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return fmt.Errorf("set SO_REUSEADDR: %w", err)
		}
	}
	if b.scope != everything {
		if err := f.attach(fd, b.scope); err != nil {
			return err
		}
	}
	switch err := unix.Bind(fd, sockaddr(netip.AddrPortFrom(b.ip, b.port), 0)); {
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("host has no address %s: publish on one that it has: %w", b.ip, err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("bind: %w: the daemon needs CAP_NET_BIND_SERVICE", err)
	case err != nil:
		return fmt.Errorf("bind: %w", err)
	}
	if b.proto == spec.UDP {
		return nil
	}
	if err := unix.Listen(fd, backlog); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return nil
}

// lead makes the port lead to t: it starts, stops or redirects the relay. On
// an error the port is held but leads nowhere.
func (s *socket) lead(r *relays, t target) error {
	if t == s.target {
		return nil
	}
	if s.twin != nil && s.ip.Is4() && scopeOf(s.key, t) == everything {
		if err := s.part(r); err != nil {
			return err
		}
	}
	was, is := s.needs(s.target), s.needs(t)
	if is == was || s.twin != nil && s.ip.Is4() {
		s.target = t
		s.redirect()
		return nil
	}
	s.stop(r)
	s.target = target{}
	if is != nothing {
		if err := s.start(r, t, is); err != nil {
			return fmt.Errorf("relay %s to %s: %w", s.key, t.addrPort(), err)
		}
	}
	s.target = t
	return nil
}

// needs is what the relay of the socket's descriptor has to see where the socket
// leads to t.
func (s *socket) needs(t target) scope {
	if s.twin != nil && s.ip.Is6() {
		return pairScope(s.key, t)
	}
	return scopeOf(s.key, t)
}

// redirect tells the relay of the socket's descriptor where its packets go. That
// of twins is the IPv6 one's.
func (s *socket) redirect() {
	if s.relay != nil {
		s.relay.redirect(s.leads(s.target))
	}
	if s.twin != nil && s.twin.relay != nil {
		s.twin.relay.redirect(s.twin.leads(s.twin.target))
	}
}

// leads says where packets of each family go if the socket leads to t.
func (s *socket) leads(t target) (l leads) {
	if s.ip.Is4() {
		l.four = t
		return l
	}
	l.six = t
	if s.twin != nil {
		l.four = s.twin.target
	}
	return l
}

func (s *socket) start(r *relays, t target, sc scope) error {
	if err := s.filter(r, sc); err != nil {
		return err
	}
	started, err := r.start(s, s.leads(t))
	if err != nil {
		return errors.Join(err, s.filter(r, nothing))
	}
	s.relay = started
	return nil
}

func (s *socket) stop(r *relays) {
	if s.relay == nil {
		return
	}
	s.relay.close()
	r.poll.detach(s.fd)
	s.relay = nil
	// Without the filter, what comes in waits in a queue that nobody reads;
	// with it the queue cannot grow, and emptying it comes to an end.
	if s.filter(r, nothing) == nil {
		drain(s.fd, s.proto)
	}
}

// filter lets the socket see only what the scope says from now on.
func (s *socket) filter(r *relays, sc scope) error {
	if sc == s.scope {
		return nil
	}
	if err := r.filters.attach(s.fd, sc); err != nil {
		return err
	}
	s.scope = sc
	return nil
}

// drain gives up what waits in a socket's queue: connections that the kernel
// has answered are closed, so that their clients do not wait for a server.
func drain(fd int, proto spec.Protocol) {
	for {
		var err error
		conn := -1
		if proto == spec.UDP {
			_, _, err = unix.Recvfrom(fd, nil, unix.MSG_DONTWAIT)
		} else {
			conn, _, err = unix.Accept4(fd, unix.SOCK_CLOEXEC)
		}
		if err != nil {
			return
		}
		if conn >= 0 {
			_ = unix.Close(conn)
		}
	}
}

// endRelay ends the relay of a socket whose descriptor is about to be closed.
func (s *socket) endRelay() {
	if s.relay != nil {
		s.relay.close()
		s.relay = nil
	}
}

// sockaddr converts an address; zone is the interface index of a link-local
// one, else 0.
func sockaddr(a netip.AddrPort, zone uint32) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port()), ZoneId: zone}
}
