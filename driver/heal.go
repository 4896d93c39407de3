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
	// Fight after one of a fight.
	Undone, Fight time.Duration
	// Every is the time after which it compares without a change: not every
	// change is told.
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
		{&p.Fight, 20 * time.Second},
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

// Keep compares the kernel with the state whenever changes says that something
// may differ, and from time to time without, until ctx ends. changes must hold
// one value, so that what happens during a comparison leads to another one.
func (d *Driver) Keep(ctx context.Context, changes <-chan struct{}, p Pace) {
	p = p.orDefaults()
	pause := p.Least
	changed := time.Now()
	for {
		waits, early := time.Now(), len(changes) > 0
		told, ok := await(ctx, changes, p.Every)
		if !ok || told && !sleep(ctx, p.Settle) {
			return
		}
		if told && !early {
			changed = time.Now()
		}
		select {
		case <-changes: // told of by this comparison
		default:
		}
		once, cancel := context.WithTimeout(ctx, p.Limit)
		start := time.Now()
		if start.Sub(waits) > p.Least {
			pause = min(pause, p.Least)
		}
		r := d.reconcile(once, changed)
		cancel()
		changed = time.Now()
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
