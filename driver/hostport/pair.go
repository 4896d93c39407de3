package hostport

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// A port that is published on every address, 0.0.0.0 and [::], is held by one
// descriptor in both families: two sockets that are twins. It halves what a
// port costs in time, memory and open files, which is what bounds their number.
// Twins part as soon as one of them goes or has to be relayed by itself.

// pair returns the keys of the two sockets of q that can share a descriptor.
// IPv4 must not need a relay: one descriptor has one filter, and that of a pair
// leaves everything of IPv4 to NAT.
func (q *request) pair(port uint16) (v4, v6 key, ok bool) {
	if len(q.ends) != 2 || q.proto == spec.SCTP {
		return v4, v6, false
	}
	a, b := q.ends[0], q.ends[1]
	if a.ip.Is6() {
		a, b = b, a
	}
	ok = a.ip == netip.IPv4Unspecified() && b.ip == netip.IPv6Unspecified() && a.to.ip.Is4()
	return key{a.ip, port, q.proto}, key{b.ip, port, q.proto}, ok
}

// to is where a host address of q leads.
func (q *request) to(host netip.Addr) netip.Addr {
	for _, e := range q.ends {
		if e.ip == host {
			return e.to.ip
		}
	}
	return netip.Addr{}
}

// descriptors is how many files q needs.
func (q *request) descriptors() int {
	if _, _, ok := q.pair(0); ok {
		return 1
	}
	return len(q.ends)
}

// descriptors counts the files of an owner's sockets.
func (b *book) descriptors(owner string) int {
	n := 0
	for _, s := range b.owners[owner] {
		if s.twin == nil || s.ip.Is6() {
			n++
		}
	}
	return n
}

// openPair binds a descriptor for both sockets, of which that of IPv6 leads to
// an address before long, and enters them into the book.
// If anything is in the way it does nothing: then each is opened by itself,
// and what is in the way found for one of them.
func (r *reservation) openPair(v4, v6 key, to netip.Addr) {
	own := r.m.book.owners[r.owner]
	if own[v4] != nil || own[v6] != nil || r.m.book.conflict(v4) != nil || r.m.book.conflict(v6) != nil {
		return
	}
	sc := scopeOf(v6.ip, to)
	if sc == everything {
		sc = onlyIPv6
	}
	fd, err := r.m.relays.filters.bindBoth(v6, sc)
	if err != nil {
		return
	}
	a, b := &socket{key: v4, owner: r.owner, fd: fd}, &socket{key: v6, owner: r.owner, fd: fd, scope: sc}
	a.twin, b.twin = b, a
	r.m.book.add(a)
	r.m.book.add(b)
	r.m.fds.sockets(1)
	r.fresh = append(r.fresh, a, b)
}

// part gives twins descriptors of their own. Between the two, somebody else
// could take the port: then it is lost, and the error says so.
func (s *socket) part(r *relays) error {
	t := s.twin
	s.twin, t.twin = nil, nil
	for _, one := range []*socket{s, t} {
		one.endRelay()
	}
	_ = unix.Close(s.fd)
	r.fds.sockets(-1)
	return errors.Join(s.rebind(r), t.rebind(r))
}

// rebind opens the socket again, whose descriptor is closed, and leads it to
// where it led.
func (s *socket) rebind(r *relays) error {
	to := s.target
	s.target = target{}
	var err error
	s.scope = nothing
	if s.fd, err = r.filters.bind(s.key, s.scope); err != nil {
		s.fd = -1
		return err
	}
	r.fds.sockets(1)
	return s.lead(r, to)
}

// settle gives descriptors of their own to sockets whose twins were dropped. It
// comes after the last of them, so that twins that go together need none.
func (m *Manager) settle() {
	for _, s := range m.widows {
		if m.book.owners[s.owner][s.key] != s {
			continue
		}
		s.endRelay()
		_ = unix.Close(s.fd)
		m.fds.sockets(-1)
		if err := s.rebind(m.relays); err != nil {
			m.relays.log.WithError(err).WithField("ep", short(s.owner)).Warnf("published port %s is not held any more", s.key)
		}
	}
	m.widows = nil
}
