package drift

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/lock"
	"github.com/gangway-net/gangway/driver/spec"
)

// Changes tells that the kernel may differ from the state. Package watch is the
// real one.
type Changes interface {
	// Changes receives a value after a change. It holds one, so that what happens
	// during a comparison leads to another one.
	Changes() <-chan struct{}
	// Take returns the links that have changed, or of which something has, since
	// the last call. What it does not return yet Changes tells later.
	Take() spec.Scope
}

// Keeper decides when the kernel is compared with the state, and tells what was mended. Its
// methods are safe for concurrent use.
type Keeper struct {
	compare func(ctx context.Context, of spec.Scope) *Comparison
	// collect removes what a comparison has found lost.
	collect func(context.Context, *Comparison)
	suspect func() string
	journal *events.Journal
	log     *logrus.Entry
	// reconciling lets one Reconcile run at a time, and guards flapping.
	reconciling *lock.Lock
	flapping    *flapping
	told        lines
}

// lines are those of Flapping after the last comparison; mu guards them.
type lines struct {
	mu              sync.Mutex
	certain, likely []string
}

// NewKeeper returns a keeper that compares by a function, and removes by collect what that has
// found lost. suspect names who changed the firewall's rules last; empty for nobody.
func NewKeeper(
	compare func(context.Context, spec.Scope) *Comparison, collect func(context.Context, *Comparison), suspect func() string,
	j *events.Journal, log *logrus.Entry,
) *Keeper {
	return &Keeper{compare: compare, collect: collect, suspect: suspect, journal: j, log: log, reconciling: lock.New(), flapping: newFlapping()}
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

// Run reconciles whenever changes says that something may differ, as far as links go those
// that it names, and from time to time all without that, until ctx ends. review is called
// after each time.
func (k *Keeper) Run(ctx context.Context, changes Changes, p Pace, review func(context.Context)) {
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
		if !ok || told && !sleep(ctx, p.Quiet) {
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
		r := k.Reconcile(once, of, changed)
		review(once)
		cancel()
		changed, open = time.Now(), r.Open
		if of.All {
			next = changed.Add(max(p.Every, min(wholeShare*r.Took, wholeMost)))
		}
		if r.Fixed == 0 && told {
			pause = min(pause+pause/4, p.Most)
		} else {
			pause = p.Least
		}
		rest := max(pause, p.afterUndone(r.undone), share*r.Took)
		k.explain(told, of, r, rest)
		if !sleep(ctx, rest) {
			return
		}
	}
}

// explain says why the kernel was compared, and what came of it. What is looked at from time to
// time, and is as it should be, is left out.
func (k *Keeper) explain(told bool, of spec.Scope, r Result, rest time.Duration) {
	why := "it was time to"
	switch {
	case told:
		why = "the kernel told of a change"
	case r.Fixed == 0:
		return
	}
	undone := ""
	if r.undone > 0 {
		undone = fmt.Sprintf(", undone at once %d times in a row", r.undone)
	}
	k.log.Debugf("compared rules and %s, since %s: %d repaired%s, in %s; the next comparison is in %s at the earliest",
		of, why, r.Fixed, undone, r.Took.Round(time.Microsecond), rest)
}

// Result is what is to be known of a comparison afterwards: how many things were mended, and
// as in Comparison.
type Result struct {
	Fixed int
	Took  time.Duration
	Open  bool
	// undone is how often in a row what was mended had been undone at once.
	undone int
}

// Reconcile compares the kernel with the state as far as links of the scope go, mends what
// differs, and removes what is lost. Until changed, nothing changed since the last time. Each
// repair is one Warn line and an event, but for those of flapping, which is told of when it
// begins and ends. Where another one does not end before ctx, nothing is compared.
func (k *Keeper) Reconcile(ctx context.Context, of spec.Scope, changed time.Time) Result {
	unlock, err := k.reconciling.Take(ctx)
	if err != nil {
		return Result{}
	}
	defer unlock()
	c := k.compare(ctx, of)
	fixed := c.Fixed()
	for _, line := range fixed {
		if k.flapping.known(line) { // has been told, and would take the place of what has not
			k.log.Debug("repaired: " + line)
			continue
		}
		k.log.Warn("repaired: " + line)
		k.journal.Repaired(line)
	}
	undone := k.judge(changed, fixed)
	if ctx.Err() == nil { // else nothing can be removed any more
		k.collect(ctx, c)
	}
	return Result{Fixed: len(fixed), Took: c.Took(), Open: c.Open(), undone: undone}
}

// judge tells repairs that last from those that somebody undoes.
func (k *Keeper) judge(changed time.Time, fixed []string) (undone int) {
	began, over := k.flapping.note(changed, time.Now(), fixed)
	if len(began) > 0 {
		text := fmt.Sprintf("somebody undoes the same repair again and again, %d times by now: %s", CertainRepairs, strings.Join(began, ", "))
		if who := k.suspect(); who != "" {
			text += "; the firewall's rules were changed last by " + who
		}
		const done = "as long as that happens at once, it is repaired less often, and not told each time"
		k.log.Error(text + "; " + done)
		k.journal.Add(events.Flapping, text, done)
	}
	for _, line := range over {
		k.log.Info("nobody undoes the repair any more: " + line)
		k.journal.Add(events.FlappingOver, line, "")
	}
	k.told.mu.Lock()
	defer k.told.mu.Unlock()
	k.told.certain, k.told.likely = k.flapping.certain(), k.flapping.likely()
	return k.flapping.undone(fixed)
}

// Flapping has a sorted line for each repair that somebody keeps undoing, and one for each
// that does not last for now, those among them.
func (k *Keeper) Flapping() (certain, likely []string) {
	k.told.mu.Lock()
	defer k.told.mu.Unlock()
	return slices.Clone(k.told.certain), slices.Clone(k.told.likely)
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
