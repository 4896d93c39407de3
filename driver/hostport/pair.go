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

// pair returns the one descriptor that both sockets of q can share. IPv4 must
// be served by NAT: one descriptor has one filter, and that of a pair takes of IPv4
// what NAT leaves over.
func (q *request) pair(port uint16) (b binding, ok bool) {
	if len(q.ends) != 2 || q.proto == spec.SCTP {
		return b, false
	}
	v4, v6 := q.ends[0], q.ends[1]
	if v4.ip.Is6() {
		v4, v6 = v6, v4
	}
	if v4.ip != netip.IPv4Unspecified() || v6.ip != netip.IPv6Unspecified() || !v4.to.ip.Is4() || v4.to.whole {
		return b, false
	}
	k := key{v6.ip, port, q.proto}
	return binding{key: k, scope: pairScope(k, v6.to), both: true}, true
}

// bindings are all descriptors that q needs to have a port.
func (q *request) bindings(port uint16) []binding {
	if b, ok := q.pair(port); ok {
		return []binding{b}
	}
	var out []binding
	for _, e := range q.ends {
		out = append(out, bindingOf(key{e.ip, port, q.proto}, e.to))
	}
	return out
}

// descriptors is how many files q needs.
func (q *request) descriptors() int {
	if _, ok := q.pair(0); ok {
		return 1
	}
	return len(q.ends)
}

// descriptors counts the files of an owner's sockets.
func (b *book) descriptors(owner string) int {
	n := 0
	for s := range b.owners[owner] {
		if s.twin == nil || s.ip.Is6() {
			n++
		}
	}
	return n
}

// openPair makes both sockets of a pair and enters them into the book.
// If anything is in the way it does nothing: then each is opened by itself,
// and what is in the way found for one of them.
func (r *reservation) openPair(b binding) {
	v4 := b.key
	v4.ip = netip.IPv4Unspecified()
	if r.m.book.conflict(v4) != nil || r.m.book.conflict(b.key) != nil {
		return
	}
	fd, err := r.bind(b)
	if err != nil {
		return
	}
	one, other := &socket{key: v4, owner: r.owner, descriptor: descriptor{fd: fd}}, &socket{key: b.key, owner: r.owner, descriptor: descriptor{fd: fd, scope: b.scope}}
	one.twin, other.twin = other, one
	r.m.book.add(one)
	r.m.book.add(other)
	r.m.fds.sockets(1)
	r.fresh = append(r.fresh, one, other)
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
// where it led. One that somebody took meanwhile is lost, until Hold.
func (s *socket) rebind(r *relays) error {
	to := s.target
	s.target = target{}
	var err error
	s.scope = nothing
	if s.fd, err = r.filters.bind(binding{key: s.key, scope: s.scope}); err != nil {
		s.fd, s.lost = -1, true
		return err
	}
	r.fds.sockets(1)
	return s.lead(r, to)
}

// finishDrops closes the descriptors of dropped sockets, and gives descriptors of
// their own to sockets whose twins were dropped. It comes after the last of
// them, so that twins that go together need none.
func (m *Manager) finishDrops() {
	closeAll(m.closing)
	m.closing = nil
	for _, s := range m.alone {
		if _, still := m.book.owners[s.owner][s]; !still {
			continue
		}
		s.endRelay()
		_ = unix.Close(s.fd)
		m.fds.sockets(-1)
		if err := s.rebind(m.relays); err != nil {
			m.relays.log.WithError(err).WithField("ep", short(s.owner)).Warnf("published port %s is not held any more", s.key)
		}
	}
	m.alone = nil
}
