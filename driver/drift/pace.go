package drift

import "time"

// Pace says how often Keeper.Run compares the kernel with the state. Zero fields
// stand for the defaults.
type Pace struct {
	// Quiet is how long it waits after a change: one rarely comes alone.
	Quiet time.Duration
	// Least is the pause after a comparison. While changes go on without a break
	// that need no repair, as with a manager that rewrites its rules all the
	// time, it grows by a quarter each time, up to Most, which leaves a repair
	// within a second.
	Least, Most time.Duration
	// Undone is the longest pause after a repair that somebody had undone at once,
	// Flapping after one that somebody keeps undoing. As long as that lasts what he damaged
	// last stays closed, so it is not for sparing work alone.
	Undone, Flapping time.Duration
	// Every is the time after which it compares everything without a change of it:
	// not every change is told. It is longer where that takes long.
	Every time.Duration
	// Limit bounds one comparison.
	Limit time.Duration
}

// orDefaults returns the pace with the defaults in the place of zero fields.
func (p Pace) orDefaults() Pace {
	for _, f := range []struct {
		field    *time.Duration
		fallback time.Duration
	}{
		{&p.Quiet, 10 * time.Millisecond},
		{&p.Least, 200 * time.Millisecond},
		{&p.Most, 800 * time.Millisecond},
		{&p.Undone, 400 * time.Millisecond},
		{&p.Flapping, 1500 * time.Millisecond},
		{&p.Every, 3 * time.Second},
		{&p.Limit, time.Minute},
	} {
		if *f.field == 0 {
			*f.field = f.fallback
		}
	}
	return p
}

// afterUndone is the pause after a repair that somebody undid at once so many times in
// a row. It grows from the first, since that is how flapping begins, but leaves a
// repair within a second until it is sure.
func (p Pace) afterUndone(times int) time.Duration {
	pause, most := p.Least, p.Undone
	if times >= CertainRepairs {
		pause, most, times = time.Second, p.Flapping, times-CertainRepairs
	}
	for ; times > 0 && pause < most; times-- {
		pause *= 2
	}
	return min(pause, most)
}
