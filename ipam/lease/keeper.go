package lease

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// Key names a lease: an address of a pool.
type Key struct {
	Pool string
	Addr netip.Addr
}

// Options are what a Keeper works with.
type Options struct {
	Server Server
	// Write stores a lease that has changed, if still says that it is kept; that has an answer
	// as long as the caller holds what guards the address.
	Write func(ctx context.Context, key Key, l Lease, still func() bool) error
	// Name says what the container is called that has an address; "" if that is not known.
	Name func(netip.Addr) string
	// Tell is told of a lease that is lost, or that holds again. It waits for nothing.
	Tell func(l Lease)
	Log  *logrus.Entry
}

// Keeper keeps leases as long as somebody has their addresses. It is safe for concurrent use.
type Keeper struct {
	o Options

	mu      sync.Mutex
	entries map[Key]*entry
	// woken is told when there is something else to wait for.
	woken chan struct{}
}

type entry struct {
	lease Lease
	// due is when to ask; the zero Time for never. busy says that somebody asks.
	due  time.Time
	busy bool
}

// New returns a Keeper without leases.
func New(o Options) *Keeper {
	return &Keeper{o: o, entries: map[Key]*entry{}, woken: make(chan struct{}, 1)}
}

// Keep extends a lease from now on, in the place of one that was kept.
func (k *Keeper) Keep(key Key, l Lease) {
	e := &entry{lease: l, due: l.Renew}
	if l.Gone != "" {
		e.due = time.Now()
	}
	k.mu.Lock()
	k.entries[key] = e
	k.mu.Unlock()
	k.wake()
}

func (k *Keeper) wake() {
	select {
	case k.woken <- struct{}{}:
	default:
	}
}

// Of returns the lease of an address.
func (k *Keeper) Of(key Key) (l Lease, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.entries[key]
	if e == nil {
		return l, false
	}
	return e.lease, true
}

// Forget keeps a lease no more, and returns it. The caller gives it back once that is stored.
func (k *Keeper) Forget(key Key) (l Lease, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.entries[key]
	if e == nil {
		return l, false
	}
	delete(k.entries, key)
	return e.lease, true
}

// Lost returns the leases that hold no more.
func (k *Keeper) Lost() (lost []Lease) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range k.entries {
		if e.lease.Gone != "" {
			lost = append(lost, e.lease)
		}
	}
	return lost
}

// Times of Run.
const (
	// namesEvery is how often it is asked for names that are not known yet.
	namesEvery = 2 * time.Second
	// mostAsked bounds how many servers are asked at once.
	mostAsked = 16
)

// Run extends leases in time until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	var asking sync.WaitGroup
	defer asking.Wait()
	slots := make(chan struct{}, mostAsked)
	for {
		due, wait := k.take(time.Now())
		for key, e := range due {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			asking.Go(func() {
				defer func() { <-slots }()
				k.extend(ctx, key, e)
			})
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-k.woken:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// take returns the entries that are due, which are busy from now on, and for how long nothing is.
func (k *Keeper) take(now time.Time) (due map[Key]*entry, wait time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	due, wait = map[Key]*entry{}, time.Hour
	for key, e := range k.entries {
		if e.busy {
			continue
		}
		nameless := e.lease.Name == ""
		if name := k.name(key.Addr); nameless && name != "" {
			e.lease.Name, e.due, nameless = name, now, false
		}
		if nameless {
			wait = min(wait, namesEvery)
		}
		switch {
		case e.due.IsZero():
		case e.due.After(now):
			wait = min(wait, e.due.Sub(now))
		default:
			e.busy = true
			due[key] = e
		}
	}
	return due, wait
}

func (k *Keeper) name(a netip.Addr) string {
	if k.o.Name == nil {
		return ""
	}
	return HostName(k.o.Name(a))
}

// extend asks for one lease, and notes what became of it.
func (k *Keeper) extend(ctx context.Context, key Key, e *entry) {
	k.mu.Lock()
	l := e.lease
	k.mu.Unlock()
	if name := k.name(key.Addr); name != "" {
		l.Name = name
	}
	begun := time.Now()
	fresh, err := k.ask(ctx, l)
	due := fresh.Renew
	if err == nil {
		fresh.Name = l.Name
	} else {
		fresh = l
		fresh.Gone = lostBy(l, err)
		due = fresh.next(begun)
	}
	still := func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.entries[key] == e
	}
	if ctx.Err() == nil && (err == nil || fresh.Gone != l.Gone) {
		if failed := k.o.Write(ctx, key, fresh, still); failed != nil {
			k.o.Log.WithError(failed).Warnf("the lease of %s is not stored: a restart would go on with the one from before", key.Addr)
		}
	}
	k.settle(ctx, key, outcome{fresh, due, err}, e)
}

// outcome is what became of a question: the lease as it is now, and when to ask again.
type outcome struct {
	lease Lease
	due   time.Time
	err   error
}

// settle notes what became of a lease. One that was given back meanwhile is given back again:
// the server may have heard that first.
func (k *Keeper) settle(ctx context.Context, key Key, o outcome, e *entry) {
	k.mu.Lock()
	was, kept := e.lease, k.entries[key] == e
	e.lease, e.busy, e.due = o.lease, false, o.due
	k.mu.Unlock()
	defer k.wake()
	switch log := k.o.Log; {
	case !kept && o.err == nil:
		k.giveUp(ctx, o.lease, false)
	case !kept || ctx.Err() != nil:
	case (was.Gone == "") != (o.lease.Gone == ""):
		k.o.Tell(o.lease)
	case o.err != nil && o.lease.Gone == "":
		log.Infof("the lease of %s is not extended yet, it ends %s: %v", key.Addr, stamp(o.lease.Until), o.err)
	case o.err == nil:
		log.Debugf("the lease of %s is extended until %s", key.Addr, stamp(o.lease.Until))
	}
}

// ask has a lease extended. One that is refused, or has ended, is asked for anew, for the same
// address alone.
func (k *Keeper) ask(ctx context.Context, l Lease) (Lease, error) {
	asked, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var refused error
	if state := l.State(time.Now()); state != Lost {
		fresh, err := k.o.Server.Extend(asked, l, state == Rebinding)
		var by *RefusedError
		switch {
		case err == nil && fresh.Address.Addr() != l.Address.Addr():
			refused = fmt.Errorf("DHCP server %s grants %s in its place", fresh.Server, fresh.Address.Addr())
		case !errors.As(err, &by):
			return fresh, err
		default:
			refused = err
		}
	}
	anew, err := k.Obtain(ctx, Ask{Link: l.Link, MAC: l.MAC, Name: l.Name, Wish: l.Address.Addr(), Must: true}, func(Lease) error { return nil })
	if err != nil && refused != nil {
		return Lease{}, &takenError{refused}
	}
	return anew, err
}

// takenError says that a server has taken an address back, and does not grant it anew.
type takenError struct{ why error }

func (e *takenError) Error() string { return e.why.Error() }

// lostBy says why a lease that could not be extended holds no more; "" if it still does.
func lostBy(l Lease, err error) string {
	var taken *takenError
	switch {
	case errors.As(err, &taken):
		return taken.why.Error()
	case l.Gone != "" || l.State(time.Now()) != Lost:
		return l.Gone
	}
	return fmt.Sprintf("it ended %s: %v", stamp(l.Until), err)
}
