package hostport

import (
	"context"
	"net/netip"
	"sync"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/spec"
)

// relay serves one socket. Its methods are called with the book locked, and
// never after close.
type relay interface {
	// redirect makes it lead elsewhere from now on.
	redirect(leads)
	// close ends it with everything that goes through it. The socket stays
	// open: it has to be closed, or detached from the poller.
	close()
}

// leads are the container ports that a relay leads to, by the family of the client.
// A descriptor of both families may have both.
type leads struct{ four, six target }

func (l leads) of(client netip.Addr) target {
	if client.Is4() {
		return l.four
	}
	return l.six
}

// relays is what all relays share.
type relays struct {
	log     *logrus.Entry
	l       limits
	fds     *budget
	udp     *udpSessions
	filters *filters
	origin  Origin
	life
	// poll is nil until the first relay starts. The book's lock guards it.
	poll *poller
}

// life is that of all that goes on until close.
type life struct {
	// ctx ends with close.
	ctx    context.Context
	cancel context.CancelFunc
	// running counts the poller's goroutine and all connections.
	running sync.WaitGroup
}

func newRelays(log *logrus.Entry, l limits, fds *budget, origin Origin) *relays {
	r := &relays{log: log, l: l, fds: fds, filters: newFilters(), origin: origin}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.udp = newUDPSessions(l, fds)
	return r
}

// start serves s, which must be TCP or UDP.
func (r *relays) start(s *socket, l leads) (relay, error) {
	if r.poll == nil {
		p, err := newPoller(r.log)
		if err != nil {
			return nil, err
		}
		r.poll = p
		r.running.Go(p.run)
	}
	if s.proto == spec.UDP {
		return startUDP(r, s, l)
	}
	return startTCP(r, s, l), nil
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
