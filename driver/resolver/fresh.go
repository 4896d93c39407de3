package resolver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
)

const (
	// askedAtOnce bounds how many names are asked for at a time.
	askedAtOnce = 8
	// soonest and latest bound when a name is asked for again: before its addresses end, and
	// for one without addresses or an answer, after nothingTime and failedTime, twice as long
	// with each failure.
	nothingTime = time.Minute
	failedTime  = time.Second
	latest      = 30 * time.Minute
)

// fresh keeps the addresses of names that stand for themselves alone, for all who have their
// policies.
type fresh struct {
	learn func(ctx context.Context, list []policy.Learned) error
	ask   func(ctx context.Context, name string, kind uint16) (answer, error)
	log   *logrus.Entry

	mu       sync.Mutex
	policies map[config.Policy]policy.Policy
	names    map[wanted]*task
	wake     chan struct{}
	// end ends run, and waits.
	end func()
}

// wanted is a name with what is asked of it.
type wanted struct {
	name string
	kind uint16
}

// task is when it is asked for next. failed is how often there was no answer in a row, err the
// last reason.
type task struct {
	due    time.Time
	failed int
	err    error
}

// certainFailures is how often in a row there is no answer until that is told.
const certainFailures = 3

func newFresh(learn func(context.Context, []policy.Learned) error, ask func(context.Context, string, uint16) (answer, error), log *logrus.Entry) *fresh {
	ctx, stop := context.WithCancel(context.Background())
	f := &fresh{learn: learn, ask: ask, log: log, names: map[wanted]*task{}, wake: make(chan struct{}, 1)}
	var running sync.WaitGroup
	running.Go(func() { f.run(ctx) })
	f.end = func() {
		stop()
		running.Wait()
	}
	return f
}

// follow takes over which policies there are. A policy that is new has its names asked for at
// once.
func (f *fresh) follow(policies map[config.Policy]policy.Policy) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if maps.EqualFunc(f.policies, policies, func(policy.Policy, policy.Policy) bool { return true }) {
		return // of a policy that stays nothing is other
	}
	next := map[wanted]*task{}
	for texts, p := range policies {
		_, known := f.policies[texts]
		for _, name := range p.Plain() {
			for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
				w := wanted{name, kind}
				switch t := f.names[w]; {
				case next[w] != nil && known:
				case t == nil || !known:
					next[w] = &task{}
				default:
					next[w] = t
				}
			}
		}
	}
	f.policies, f.names = policies, next
	f.wakeUp()
}

// run asks for what is due, until ctx ends.
func (f *fresh) run(ctx context.Context) {
	room := make(chan struct{}, askedAtOnce)
	var running sync.WaitGroup
	defer running.Wait()
	for ctx.Err() == nil {
		due, wait := f.due(time.Now())
		for _, w := range due {
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
				return
			}
			running.Go(func() {
				defer func() { <-room }()
				f.renew(ctx, w)
			})
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-f.wake:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// due are the names to ask for, and how long it is to the next one. They are not due again
// before the answer, or questionTime.
func (f *fresh) due(now time.Time) (all []wanted, wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	wait = latest
	for w, t := range f.names {
		if !now.Before(t.due) {
			all = append(all, w)
			t.due = now.Add(2 * questionTime)
		}
		wait = min(wait, t.due.Sub(now))
	}
	return all, wait
}

// renew asks for a name, and opens its addresses.
func (f *fresh) renew(ctx context.Context, w wanted) {
	ctx, cancel := context.WithTimeout(ctx, questionTime)
	defer cancel()
	a, err := f.ask(ctx, w.name, w.kind)
	var list []policy.Learned
	if err == nil && a.message.Rcode != dns.RcodeSuccess {
		err = fmt.Errorf("the answer is %s", dns.RcodeToString[a.message.Rcode])
	}
	if err == nil {
		f.mu.Lock()
		for texts, p := range f.policies {
			if len(p.Opens(w.name)) > 0 {
				list = append(list, take(a.message.Copy(), a.question, p, texts, []policy.Who{{Policy: texts}})...)
			}
		}
		f.mu.Unlock()
	}
	if err == nil && len(list) > 0 {
		err = f.learn(ctx, list)
	}
	f.again(w, list, err)
}

// again notes when a name is asked for next.
func (f *fresh) again(w wanted, list []policy.Learned, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.names[w]
	if t == nil {
		return
	}
	defer f.wakeUp()
	now := time.Now()
	switch {
	case err != nil:
		t.due = now.Add(min(failedTime<<min(t.failed, 6), nothingTime))
		t.err = err
		if t.failed++; t.failed == certainFailures {
			f.log.WithError(err).Warnf("the addresses of %s, which a policy names, are not known", w.name)
		}
		return
	case len(list) == 0:
		t.due = now.Add(nothingTime)
	default:
		wait := latest
		for _, l := range list {
			wait = min(wait, l.Until.Sub(now)*2/3)
		}
		t.due = now.Add(wait)
	}
	if t.failed >= certainFailures {
		f.log.Infof("the addresses of %s are known again", w.name)
	}
	t.failed = 0
}

// trouble says of which names nobody answers; empty for none.
func (f *fresh) trouble() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	why := map[string]error{}
	for w, t := range f.names {
		if t.failed >= certainFailures && f.onlyHostAsked(w.name) {
			why[w.name] = t.err
		}
	}
	if len(why) == 0 {
		return ""
	}
	names := slices.Sorted(maps.Keys(why))
	others := ""
	if len(names) > 1 {
		others = fmt.Sprintf(" and %d others", len(names)-1)
	}
	return fmt.Sprintf("the addresses of %s%s, which a policy names, are not known: %v", names[0], others, why[names[0]])
}

// onlyHostAsked says that somebody has a policy with the name and without a server of its own: one
// that a policy names may know more than the host's.
func (f *fresh) onlyHostAsked(name string) bool {
	for _, p := range f.policies {
		if len(p.Opens(name)) > 0 && !p.NamesServer() {
			return true
		}
	}
	return false
}

// wakeUp has run look what is due.
func (f *fresh) wakeUp() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}
