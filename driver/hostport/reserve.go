package hostport

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// reservation is one call of Reserve on its way.
type reservation struct {
	m     *Manager
	owner string
	taken
	// ahead are descriptors that are bound and wait for their socket.
	ahead map[binding]int
	// held lists the ports that owner held before, by what they do; made when
	// it is needed first.
	held map[heldKey][]uint16
	runs []spec.Published
	ephemeral
}

// taken is what a call of Reserve has taken.
type taken struct {
	// fresh are the sockets that it has bound, claims all that it uses.
	fresh, claims []*socket
	// number tells what it has claimed from what earlier ones had.
	number uint64
}

// ephemeral are the ports for automatic choice: low to high, but for those that are kept
// from it; 0 until they are needed.
type ephemeral struct {
	low, high uint16
	kept      []portRange
}

type heldKey struct {
	proto spec.Protocol
	end   end
}

func newReservation(m *Manager, owner string) *reservation {
	m.calls++
	return &reservation{m: m, owner: owner, taken: taken{number: m.calls}}
}

// place finds a port for q and claims it.
func (r *reservation) place(q *request) error {
	if q.fixed() {
		return r.try(q, q.first)
	}
	done, err := r.placeHeld(q)
	if done || err != nil {
		return err
	}
	if q.last != 0 {
		return r.placeIn(q, q.first, q.last, q.first)
	}
	if r.low == 0 {
		r.low, r.high = ephemeralRange()
		r.kept = reservedPorts()
	}
	start := r.m.cursor[q.proto]
	if start < r.low || start > r.high {
		start = r.low
	}
	if err := r.placeIn(q, r.low, r.high, start); err != nil {
		return err
	}
	// The next search starts behind this port, so that a port is not given
	// out again as soon as it is released.
	if last := r.runs[len(r.runs)-1].Last; last == r.high {
		r.m.cursor[q.proto] = r.low
	} else {
		r.m.cursor[q.proto] = last + 1
	}
	return nil
}

// placeIn tries first..last once around, from start on. A range that a user names may
// have ports that are kept from automatic choice: that is what they are kept for.
func (r *reservation) placeIn(q *request, first, last, start uint16) error {
	var held *ConflictError
	for i, n := 0, int(last)-int(first)+1; i < n; i++ {
		port := int(start) + i
		if port > int(last) {
			port -= n
		}
		if q.last == 0 && isKept(r.kept, uint16(port)) {
			continue
		}
		err := r.try(q, uint16(port))
		busy := (*ConflictError)(nil)
		if !errors.As(err, &busy) {
			return err
		}
		if held == nil {
			held = busy
			held.First, held.Last = first, last
		}
	}
	if held == nil {
		return fmt.Errorf("no %s port of net.ipv4.ip_local_port_range (%d-%d) may be chosen: net.ipv4.ip_local_reserved_ports has all of them; name the host port", q.proto, first, last)
	}
	return held
}

// placeHeld tries the ports that owner held before and that lead to where q
// wants to lead.
func (r *reservation) placeHeld(q *request) (done bool, err error) {
	if r.held == nil {
		r.indexHeld()
	}
	for _, e := range q.ends {
		for _, port := range r.held[heldKey{q.proto, e}] {
			if q.last != 0 && (port < q.first || port > q.last) {
				continue
			}
			if s := r.m.book.find(r.owner, key{e.ip, port, q.proto}); s != nil && s.claimed(r.number) {
				continue
			}
			err := r.try(q, port)
			if busy := (*ConflictError)(nil); !errors.As(err, &busy) {
				return err == nil, err
			}
		}
	}
	return false, nil
}

func (r *reservation) indexHeld() {
	r.held = map[heldKey][]uint16{}
	fresh := map[*socket]bool{}
	for _, s := range r.fresh {
		fresh[s] = true
	}
	for s := range r.m.book.owners[r.owner] {
		if !fresh[s] {
			hk := heldKey{s.proto, end{s.ip, s.target}}
			r.held[hk] = append(r.held[hk], s.port)
		}
	}
	for _, ports := range r.held {
		slices.Sort(ports)
	}
}

// try claims one port in all of q's host addresses, or none.
func (r *reservation) try(q *request, port uint16) error {
	claims, fresh := len(r.claims), len(r.fresh)
	if b, ok := q.pair(port); ok {
		r.openPair(b)
	}
	for _, e := range q.ends {
		if err := r.claim(key{e.ip, port, q.proto}, e.to, q.fixed()); err != nil {
			r.undo(claims, fresh)
			return err
		}
	}
	for i, e := range q.ends {
		r.publish(len(q.ends)-i, spec.Published{
			Proto: q.proto, HostIP: e.ip, First: port, Last: port,
			ContainerIP: e.to.ip, ContainerFirst: e.to.port, ByDaemon: e.to.whole,
		})
	}
	return nil
}

// publish notes a port. That of a range continues the run which the one before it
// has in the same host address, as far from the end of the list as there are
// addresses to come; what it does not find there is for spec.Coalesce.
func (r *reservation) publish(back int, p spec.Published) {
	if at := len(r.runs) - back; at >= 0 {
		run := &r.runs[at]
		if run.Proto == p.Proto && run.HostIP == p.HostIP && run.ContainerIP == p.ContainerIP && run.ByDaemon == p.ByDaemon &&
			run.Last+1 == p.First && p.ContainerFirst-run.ContainerFirst == p.First-run.First {
			run.Last = p.Last
			return
		}
	}
	r.runs = append(r.runs, p)
}

// claim takes one port in one host address: what owner holds, else a new
// socket. Only a fixed port is taken away from where it led before, and only a
// fixed port may be asked for twice, if it leads to the same place.
func (r *reservation) claim(k key, to target, fixed bool) error {
	s := r.m.book.find(r.owner, k)
	if s != nil && s.claimed(r.number) {
		if fixed && s.claim.to == to {
			return nil
		}
		return r.busy(k)
	}
	if s != nil && s.target.ip.IsValid() && s.target != to && !fixed {
		return r.busy(k)
	}
	if s == nil {
		var err error
		if s, err = r.open(bindingOf(k, to)); err != nil {
			return err
		}
	}
	s.claim = &claim{to: to, by: r.number}
	r.claims = append(r.claims, s)
	return nil
}

// open makes a socket and enters it into the book.
func (r *reservation) open(b binding) (*socket, error) {
	if other := r.m.book.conflict(b.key); other != nil {
		return nil, &ConflictError{Proto: b.proto, HostIP: b.ip, Port: b.port, Owner: other.holder(), self: other.owner == r.owner}
	}
	fd, err := r.bind(b)
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return nil, &ConflictError{Proto: b.proto, HostIP: b.ip, Port: b.port}
	case errors.Is(err, unix.EMFILE):
		return nil, fmt.Errorf("reserve %s: %w", b.key, r.m.fds.exhausted(1))
	case err != nil:
		return nil, fmt.Errorf("reserve %s: %w", b.key, err)
	}
	s := &socket{key: b.key, owner: r.owner, descriptor: descriptor{fd: fd, scope: b.scope}}
	r.m.book.add(s)
	r.m.fds.sockets(1)
	r.fresh = append(r.fresh, s)
	return s, nil
}

func (r *reservation) busy(k key) error {
	return &ConflictError{Proto: k.proto, HostIP: k.ip, Port: k.port, Owner: r.owner, self: true}
}

// undo gives up all but the first claims and fresh sockets.
func (r *reservation) undo(claims, fresh int) {
	for _, s := range r.claims[claims:] {
		s.claim = nil
	}
	for _, s := range r.fresh[fresh:] {
		r.m.drop(s)
	}
	r.m.finishDrops()
	r.claims, r.fresh = r.claims[:claims], r.fresh[:fresh]
}
