package hostport

import (
	"context"
	"sync"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/spec"
)

// relay serves one socket. Its methods are called with the book locked, and
// never after close.
type relay interface {
	// redirect makes it lead to another container port from now on.
	redirect(target)
	// close ends it with everything that goes through it. The socket stays
	// open: it has to be closed, or detached from the poller.
	close()
}

// relays is what all relays share.
type relays struct {
	log     *logrus.Entry
	l       limits
	fds     *budget
	udp     *udpSessions
	filters *filters
	// ctx ends with close.
	ctx    context.Context
	cancel context.CancelFunc
	// running counts the poller's goroutine and all connections.
	running sync.WaitGroup
	// poll is nil until the first relay starts. The book's lock guards it.
	poll *poller
}

func newRelays(log *logrus.Entry, l limits, fds *budget) *relays {
	r := &relays{log: log, l: l, fds: fds, filters: newFilters()}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.udp = newUDPSessions(l, fds)
	return r
}

// start serves s, which must be TCP or UDP.
func (r *relays) start(s *socket, t target) (relay, error) {
	if r.poll == nil {
		p, err := newPoller(r.log)
		if err != nil {
			return nil, err
		}
		r.poll = p
		r.running.Go(p.run)
	}
	if s.proto == spec.UDP {
		return startUDP(r, s, t)
	}
	return startTCP(r, s, t), nil
}

// serve lets the relays that were started see what comes in.
func (r *relays) serve() {
	if r.poll != nil {
		r.poll.watch()
	}
}

// close is called when no relay is left. It returns when all goroutines have
// ended.
func (r *relays) close() {
	r.cancel()
	r.udp.close()
	if r.poll != nil {
		r.poll.close()
	}
	r.running.Wait()
	r.filters.close()
}
