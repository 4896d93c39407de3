package hostport

import (
	"context"
	"errors"
	"sync"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/spec"
)

// Manager holds host ports for owners (keys of containers' namespaces, whose
// endpoints share them). It is safe for concurrent use.
type Manager struct {
	relays *relays
	fds    *budget

	// mu guards what follows. It is held across bind and listen, so that of
	// two owners that want one port exactly one gets it, and never across
	// anything that waits for somebody else.
	mu     sync.Mutex
	book   book
	cursor map[spec.Protocol]uint16
	closed bool
	calls  uint64
	leaving
}

// leaving is what is left to do for dropped sockets, until finishDrops.
type leaving struct {
	// alone are sockets whose twin was dropped.
	alone []*socket
	// closing are the descriptors of those that were dropped.
	closing []int
}

// New makes a manager that holds nothing yet. It raises the process's limit of
// open files as far as it may, and makes room for many, because each port takes a
// descriptor, two if it is published on different addresses of both families.
// Relays ask origin.
func New(log *logrus.Entry, origin Origin) *Manager {
	limit := raiseFileLimit(log)
	widenFileTable(log, limit)
	return newManager(log, defaultLimits(limit), origin)
}

func newManager(log *logrus.Entry, l limits, origin Origin) *Manager {
	fds := newBudget(l)
	return &Manager{
		relays: newRelays(log, l, fds, origin),
		fds:    fds,
		book:   newBook(),
		cursor: map[spec.Protocol]uint16{},
	}
}

// Reserve binds one host port for each request, in all of its host addresses, so that
// nobody else gets them until Hold or Trim is told what becomes of them. It returns the
// runs that the requests are to be published by, coalesced and in the order of
// spec.ComparePublished.
//
// What owner holds already stays as it is, and satisfies a request if it is within the
// request's bounds and leads to the same container port and addresses, so that
// a repeated request keeps its port. A fixed port that owner holds for another
// container port satisfies one as well. Beyond that, a fixed port is taken if
// it is free, a range (First < Last) gives its lowest free port, and 0 the next
// free one of net.ipv4.ip_local_port_range.
//
// All or nothing: on an error owner has what it had before. A port that
// somebody else holds gives a *ConflictError.
func (m *Manager) Reserve(ctx context.Context, owner string, want []spec.PortRequest) ([]spec.Published, error) {
	reqs, err := parseRequests(want, ipv6Probe{})
	if err != nil {
		return nil, err
	}
	runs, err := m.reserve(ctx, owner, reqs)
	if c := (*ConflictError)(nil); errors.As(err, &c) && c.Owner == "" {
		// The search through /proc is slow, so the book is free meanwhile.
		c.Process = findHolder(ctx, c.key())
	}
	return runs, err
}

func (m *Manager) reserve(ctx context.Context, owner string, reqs []request) ([]spec.Published, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errors.New("reserve host ports: the daemon is shutting down")
	}
	sockets := 0
	for _, q := range reqs {
		sockets += q.descriptors()
	}
	// What owner holds may satisfy as many of them. If it does not, the kernel
	// says so later, and everything is undone.
	if err := m.fds.check(sockets - m.book.descriptors(owner)); err != nil {
		return nil, err
	}
	r := newReservation(m, owner)
	defer r.closeAhead()
	r.openAhead(reqs)
	for i := range reqs {
		err := ctx.Err()
		if err == nil {
			err = r.place(&reqs[i])
		}
		if err != nil {
			r.undo(0, 0)
			return nil, err
		}
	}
	return spec.Coalesce(r.runs), nil
}

// Trim releases every port of their container's that these do not cover, held or only
// reserved. Connections through a released port's relay are closed.
func (m *Manager) Trim(p spec.HostPorts) {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.relays.serve()
	keep := coverOf(p.Runs)
	for s := range m.book.owners[p.Sandbox] {
		if _, ok := keep.target(s.key); !ok {
			m.drop(s)
		}
	}
	m.finishDrops()
}

// Close releases everything, ends all relayed connections and returns when
// they have ended. Reserve fails from then on. It always returns nil.
func (m *Manager) Close() error {
	m.mu.Lock()
	m.closed = true
	for _, sockets := range m.book.owners {
		for s := range sockets {
			m.drop(s)
		}
	}
	m.finishDrops()
	m.mu.Unlock()
	m.relays.close()
	return nil
}

// drop ends a socket, its relay and its entry in the book. The descriptor that
// it shares with a twin is left to that one; finishDrops has to follow.
func (m *Manager) drop(s *socket) {
	m.book.remove(s)
	s.endRelay()
	if t := s.twin; t != nil {
		s.twin, t.twin = nil, nil
		m.alone = append(m.alone, t)
		return
	}
	if s.lost {
		return
	}
	if s.fd >= 0 {
		m.closing = append(m.closing, s.fd)
	}
	m.fds.sockets(-1)
}
