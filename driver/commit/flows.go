package commit

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// dropTime bounds one look at all tracked flows.
const dropTime = 10 * time.Second

// dropDelay is how long a look at all tracked flows waits for more to look for.
// Containers start together, and some end at once: what they had published needs
// no look then.
const dropDelay = 100 * time.Millisecond

// Tracker drops connection tracking entries. Package conntrack is the real one.
type Tracker interface {
	// DropAddresses forgets every flow to or from the given container addresses.
	DropAddresses(ctx context.Context, addrs []netip.Addr) error
	// DropTranslated forgets the UDP flows that reach the given container
	// addresses by published ports.
	DropTranslated(ctx context.Context, addrs []netip.Addr) error
	// DropPorts forgets UDP flows to the host ports of the given runs that do
	// not lead to the runs' containers, but to where the port led before, or
	// nowhere, and flows of others that were given one of these as their source. Of a
	// run without a container, which is the host's own, it forgets the latter alone.
	DropPorts(ctx context.Context, runs []spec.Published) error
	// DropRenumbered forgets flows of the given subnets that are translated into, or come to,
	// other addresses than of what each is outside, or of the host, and those that are not translated though
	// they leave all subnets of networks.
	DropRenumbered(ctx context.Context, outside map[netip.Prefix]netip.Prefix, networks []netip.Prefix) error
}

// Flows are tracked flows that changes leave without a destination, or that may lead
// elsewhere. The latter are those of published UDP ports, to which clients sent before there
// was anybody to answer. Finding them takes a look at all tracked flows, some 10 ms in a large
// table, which no container's start has to wait for. Flows to who had a port before have gone
// with that.
type Flows struct {
	tracker Tracker
	log     *logrus.Entry
	mu      sync.Mutex
	// taken are the ports whose flows are to be dropped soon.
	taken map[spec.Published]struct{}
	// busy says that somebody looks already.
	busy bool
	work sync.WaitGroup
}

// NewFlows returns flows of which none are to be dropped.
func NewFlows(t Tracker, log *logrus.Entry) *Flows { return &Flows{tracker: t, log: log} }

// Note returns the tracked flows that the change has left without a destination,
// for Drop, and has those that may lead elsewhere by now dropped soon.
func (f *Flows) Note(c model.Change) plan.Stale {
	s := plan.StaleFlows(c)
	f.Soon(s.Dropped, s.Taken)
	return s
}

// Drop forgets flows that are stale. A failure harms nobody but those flows, so it
// is only logged.
func (f *Flows) Drop(ctx context.Context, s plan.Stale) {
	if len(s.Left) > 0 {
		if err := f.tracker.DropAddresses(ctx, s.Left); err != nil {
			f.log.WithError(err).Warn("tracked flows of a container that left remain")
		}
	}
	if len(s.Bare) > 0 {
		if err := f.tracker.DropTranslated(ctx, s.Bare); err != nil {
			f.log.WithError(err).Warn("tracked flows to ports that are not published any more remain")
		}
	}
}

// Renumber forgets flows of subnets that are others outside than before, or were not translated; what they are now is
// given by what they are inside.
func (f *Flows) Renumber(ctx context.Context, outside map[netip.Prefix]netip.Prefix, networks []netip.Prefix) {
	if err := f.tracker.DropRenumbered(ctx, outside, networks); err != nil {
		f.log.WithError(err).Warn("tracked flows with addresses of a former prefix remain")
	}
}

// Soon has the flows of the taken runs dropped soon, those of the dropped ones
// no more. A restore takes all that there are, so that none is forgotten when the
// process ends before.
func (f *Flows) Soon(dropped, taken []spec.Published) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range dropped {
		delete(f.taken, r)
	}
	if f.taken == nil {
		f.taken = map[spec.Published]struct{}{}
	}
	for _, r := range taken {
		f.taken[r] = struct{}{}
	}
	if len(f.taken) == 0 || f.busy {
		return
	}
	f.busy = true
	f.work.Go(func() {
		for next := f.next(); len(next) > 0; next = f.next() {
			ctx, cancel := context.WithTimeout(context.Background(), dropTime)
			if err := f.tracker.DropPorts(ctx, next); err != nil {
				f.log.WithError(err).Warn("tracked flows to a moved port remain")
			}
			cancel()
		}
	})
}

// next waits for what comes together, and returns it.
func (f *Flows) next() []spec.Published {
	<-time.After(dropDelay)
	f.mu.Lock()
	defer f.mu.Unlock()
	next := slices.Collect(maps.Keys(f.taken))
	f.taken, f.busy = nil, len(next) > 0
	return next
}

// Wait returns when nothing is left to drop. No change may be under way or follow.
func (f *Flows) Wait() { f.work.Wait() }
