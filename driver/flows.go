package driver

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

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

// noteFlows returns the tracked flows that the change has left without a destination,
// for dropFlows, and has those that may lead elsewhere by now dropped soon.
func (d *Driver) noteFlows(c model.Change) plan.Stale {
	s := plan.StaleFlows(c)
	d.taken.change(d, s.Dropped, s.Taken)
	return s
}

// dropFlows forgets flows that are stale. A failure harms nobody but those flows, so it
// is only logged.
func (d *Driver) dropFlows(ctx context.Context, s plan.Stale) {
	if len(s.Left) > 0 {
		if err := d.o.Flows.DropAddresses(ctx, s.Left); err != nil {
			d.o.Log.WithError(err).Warn("tracked flows of a container that left remain")
		}
	}
	if len(s.Bare) > 0 {
		if err := d.o.Flows.DropTranslated(ctx, s.Bare); err != nil {
			d.o.Log.WithError(err).Warn("tracked flows to ports that are not published any more remain")
		}
	}
}

// takenPorts are published UDP ports whose flows may lead elsewhere still: those
// of clients that sent before there was anybody to answer. Finding them takes a
// look at all tracked flows, some 10 ms in a large table, which no container's
// start has to wait for. Flows to who had a port before have gone with that.
type takenPorts struct {
	mu   sync.Mutex
	runs map[spec.Published]struct{}
	// busy says that somebody looks already.
	busy bool
	work sync.WaitGroup
}

// change has the flows of the taken runs dropped soon, those of the dropped ones
// no more. Restore takes all that there are, so that none is forgotten when the
// process ends before.
func (p *takenPorts) change(d *Driver, dropped, taken []spec.Published) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range dropped {
		delete(p.runs, r)
	}
	if p.runs == nil {
		p.runs = map[spec.Published]struct{}{}
	}
	for _, r := range taken {
		p.runs[r] = struct{}{}
	}
	if len(p.runs) == 0 || p.busy {
		return
	}
	p.busy = true
	p.work.Go(func() {
		for next := p.next(); len(next) > 0; next = p.next() {
			ctx, cancel := context.WithTimeout(context.Background(), dropTime)
			if err := d.o.Flows.DropPorts(ctx, next); err != nil {
				d.o.Log.WithError(err).Warn("tracked flows to a moved port remain")
			}
			cancel()
		}
	})
}

// next waits for what comes together, and returns it.
func (p *takenPorts) next() []spec.Published {
	sleep(context.Background(), dropDelay)
	p.mu.Lock()
	defer p.mu.Unlock()
	next := slices.Collect(maps.Keys(p.runs))
	p.runs, p.busy = nil, len(next) > 0
	return next
}

// Wait returns when nothing is left to do that calls have not waited for. No
// call may be running or follow.
func (d *Driver) Wait() { d.taken.work.Wait() }
