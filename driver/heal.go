package driver

import (
	"context"
	"time"
)

// Pace says how often Keep compares the kernel with the state. Zero fields
// stand for the defaults.
type Pace struct {
	// Settle is how long it waits after a change: one rarely comes alone.
	Settle time.Duration
	// Least is the pause after a comparison. While changes go on without a break
	// that need no repair, as with a manager that rewrites its rules all the
	// time, it grows by a quarter each time, up to Most, which leaves a repair
	// within a second.
	Least, Most time.Duration
	// Undone is the longest pause after a repair that somebody had undone at once,
	// Fight after one of a fight. As long as that lasts what he damaged last stays
	// closed, so it is not for sparing work alone.
	Undone, Fight time.Duration
	// Every is the time after which it compares everything without a change of it:
	// not every change is told. It is longer where that takes long.
	Every time.Duration
	// Limit bounds one comparison.
	Limit time.Duration
}

func (p Pace) orDefaults() Pace {
	for _, f := range []struct {
		field    *time.Duration
		fallback time.Duration
	}{
		{&p.Settle, 10 * time.Millisecond},
		{&p.Least, 200 * time.Millisecond},
		{&p.Most, 800 * time.Millisecond},
		{&p.Undone, 400 * time.Millisecond},
		{&p.Fight, 1500 * time.Millisecond},
		{&p.Every, 3 * time.Second},
		{&p.Limit, time.Minute},
	} {
		if *f.field == 0 {
			*f.field = f.fallback
		}
	}
	return p
}

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
func (d *Driver) Keep(ctx context.Context, changes Changes, p Pace) {
	p = p.orDefaults()
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
		if !sleep(ctx, max(pause, p.undone(r.undone), share*r.took)) {
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

// undone is the pause after a repair that somebody undid at once so many times in
// a row. It grows from the first, since that is how a fight begins, but leaves a
// repair within a second until it is sure.
func (p Pace) undone(times int) time.Duration {
	pause, most := p.Least, p.Undone
	if times >= fightRepairs {
		pause, most, times = time.Second, p.Fight, times-fightRepairs
	}
	for ; times > 0 && pause < most; times-- {
		pause *= 2
	}
	return min(pause, most)
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
