package driver

import (
	"context"
	"time"

	"github.com/gangway-net/gangway/driver/drift"
)

// share is how much longer than a comparison the pause behind it is at least,
// so that verbs, which wait for it, and the host have most of the time.
const share = 2

// wholeShare is how much longer than a comparison of everything the time until the
// next one is, up to wholeMost: with thousands of links it takes a good part of a
// second.
const (
	wholeShare = 50
	wholeMost  = 30 * time.Second
)

// Keep compares the kernel with the state whenever changes says that something
// may differ, as far as links go those that it names, and from time to time all
// without that, until ctx ends.
func (d *Driver) Keep(ctx context.Context, changes Changes, p drift.Pace) {
	p = p.OrDefaults()
	pause := p.Least
	changed, next := time.Now(), time.Now().Add(p.Every)
	news, open := changes.Changes(), false
	for {
		waits, early := time.Now(), len(news) > 0
		wait := time.Until(next)
		if open {
			wait = min(wait, p.Every) // to know soon what is lost, or not as it should be
		}
		told, ok := await(ctx, news, wait)
		if !ok || told && !sleep(ctx, p.Settle) {
			return
		}
		if told && !early {
			changed = time.Now()
		}
		told = told || early // though it may be time for all at the same moment
		of := changes.Take()
		once, cancel := context.WithTimeout(ctx, p.Limit)
		start := time.Now()
		if start.Sub(waits) > p.Least {
			pause = min(pause, p.Least)
		}
		of.All = of.All || !start.Before(next)
		r := d.reconcile(once, of, changed)
		d.review(once)
		cancel()
		changed, open = time.Now(), r.open()
		if of.All {
			next = changed.Add(max(p.Every, min(wholeShare*r.took, wholeMost)))
		}
		if len(r.fixed) == 0 && told {
			pause = min(pause+pause/4, p.Most)
		} else {
			pause = p.Least
		}
		if !sleep(ctx, max(pause, p.AfterUndone(r.undone), share*r.took)) {
			return
		}
	}
}

// open says that something is not as it should be and may be soon, without a change that
// tells.
func (r *repair) open() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.missing)+len(r.health.unheld) > 0 || r.rules.Doubts()
}

// await waits for a change or for the time to be over, and says which; ok is
// false at the end of ctx.
func await(ctx context.Context, changes <-chan struct{}, every time.Duration) (told, ok bool) {
	over := time.NewTimer(every)
	defer over.Stop()
	select {
	case <-changes:
		return true, true
	case <-over.C:
		return false, true
	case <-ctx.Done():
		return false, false
	}
}

// sleep returns false at the end of ctx.
func sleep(ctx context.Context, t time.Duration) bool {
	_, ok := await(ctx, nil, t)
	return ok
}
