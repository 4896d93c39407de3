package hostport

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// udpSessions is what all UDP relays share: the buffers, and the knowledge
// which of them have sessions. One lock suffices, because the poller's
// goroutine does nearly all of the work.
type udpSessions struct {
	l   limits
	fds *budget

	mu       sync.Mutex
	buf, oob []byte
	// active are the relays that have sessions.
	active map[*udpRelay]struct{}
	// sweeper is nil while there are no sessions.
	sweeper *time.Timer
	closed  bool
}

// session is one client of one relay: a socket that is connected to the
// container, so that the container sees each client with a port of its own.
type session struct {
	u    *udpRelay
	from client
	to   target
	fd   int
	id   uint32
	answers
	recency
	closed bool
}

// answers says how a session's answers are sent.
type answers struct {
	// addr is where they go, oob where they come from.
	addr unix.Sockaddr
	oob  []byte
}

// recency is a session's place among the others by last use.
type recency struct {
	used         time.Time
	older, newer *session
}

func newUDPSessions(l limits, fds *budget) *udpSessions {
	return &udpSessions{
		l: l, fds: fds,
		buf:    make([]byte, 1<<16),
		oob:    make([]byte, 128),
		active: map[*udpRelay]struct{}{},
	}
}

var (
	errNoSession   = errors.New("no descriptor is left for a session")
	errNotAGroup   = errors.New("a datagram to this host alone has passed the rules: they are not there, or nothing tracks its flow")
	errNotAdmitted = errors.New("a client comes by a link that may not use it, or is a neighbour of the container, or the port has moved")
)

// open starts a session. At a limit another one gives way, see makeRoom.
func (all *udpSessions) open(u *udpRelay, c client, to target) (*session, error) {
	if !all.makeRoom(u, c) {
		return nil, errNoSession
	}
	fd, err := dialUDP(to)
	if err != nil {
		return nil, err
	}
	s := &session{u: u, from: c, to: to, fd: fd, answers: answers{addr: c.answerTo(), oob: c.answerFrom()}}
	s.id = u.r.poll.add(fd, s)
	u.r.poll.watch()
	all.fds.take(1, networkOf(c.peer.Addr()))
	u.sessions[c] = s
	u.clients[networkOf(c.peer.Addr())]++
	all.active[u] = struct{}{}
	if all.sweeper == nil && !all.closed {
		all.sweeper = time.AfterFunc(all.l.idle/4, all.sweep)
	}
	return s, nil
}

// makeRoom ends a session if that of c would be one too many: the oldest of its
// client, if that has its share of the port, else the oldest of the port; if that has
// none, the oldest of the port that has most.
func (all *udpSessions) makeRoom(u *udpRelay, c client) bool {
	from := networkOf(c.peer.Addr())
	fits := func() bool {
		ok, _ := all.fds.fits(1, len(u.sessions), all.l.sessions, nil)
		return ok
	}
	if n := u.clients[from]; n > 0 && !all.fds.clientFits(from, 1, n, len(u.sessions), all.l.sessions) {
		s := u.oldest
		for networkOf(s.from.peer.Addr()) != from {
			s = s.newer
		}
		all.end(s)
	}
	if fits() {
		return true
	}
	victim := u.oldest
	if victim == nil {
		for a := range all.active {
			if victim == nil || len(a.sessions) > len(victim.u.sessions) {
				victim = a.oldest
			}
		}
	}
	if victim != nil {
		all.end(victim)
	}
	return fits()
}

// end closes a session.
func (all *udpSessions) end(s *session) {
	s.closed = true
	s.unlink()
	delete(s.u.sessions, s.from)
	if from := networkOf(s.from.peer.Addr()); s.u.clients[from] > 1 {
		s.u.clients[from]--
	} else {
		delete(s.u.clients, from)
	}
	if len(s.u.sessions) == 0 {
		delete(all.active, s.u)
	}
	s.u.r.poll.remove(s.id)
	_ = unix.Close(s.fd)
	all.fds.give(1, networkOf(s.from.peer.Addr()))
}

// drop ends all sessions of a relay.
func (all *udpSessions) drop(u *udpRelay) {
	for u.oldest != nil {
		all.end(u.oldest)
	}
}

// touch makes s the newest of its relay.
func (all *udpSessions) touch(s *session) {
	s.used = time.Now()
	if s.u.newest == s {
		return
	}
	s.unlink()
	s.older = s.u.newest
	if s.older != nil {
		s.older.newer = s
	} else {
		s.u.oldest = s
	}
	s.u.newest = s
}

// unlink takes s out of its relay's list, if it is in there.
func (s *session) unlink() {
	switch {
	case s.older != nil:
		s.older.newer = s.newer
	case s.u.oldest == s:
		s.u.oldest = s.newer
	}
	switch {
	case s.newer != nil:
		s.newer.older = s.older
	case s.u.newest == s:
		s.u.newest = s.older
	}
	s.older, s.newer = nil, nil
}

// sweep ends idle sessions, and comes again as long as there are others.
func (all *udpSessions) sweep() {
	all.mu.Lock()
	defer all.mu.Unlock()
	deadline := time.Now().Add(-all.l.idle)
	for u := range all.active {
		for u.oldest != nil && u.oldest.used.Before(deadline) {
			all.end(u.oldest)
		}
	}
	all.sweeper = nil
	if len(all.active) > 0 && !all.closed {
		all.sweeper = time.AfterFunc(all.l.idle/4, all.sweep)
	}
}

// close is called when no relay is left.
func (all *udpSessions) close() {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.closed = true
	if all.sweeper != nil {
		all.sweeper.Stop()
	}
}

// ready passes the container's answers back to the client.
func (s *session) ready() {
	all := s.u.r.udp
	all.mu.Lock()
	defer all.mu.Unlock()
	for range datagramBatch {
		if s.closed {
			return
		}
		n, err := unix.Read(s.fd, all.buf)
		switch {
		case err == nil:
			all.touch(s)
			_ = unix.Sendmsg(s.u.fd, all.buf[:n], s.oob, s.addr, 0)
		case errors.Is(err, unix.EAGAIN):
			return
		}
		// Any other error is an ICMP message about an earlier datagram: the
		// container does not listen (yet). The session waits, as docker-proxy's.
	}
}
