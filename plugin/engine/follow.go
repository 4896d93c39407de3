package engine

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/ipam"
)

// Engine is who is asked; *Client is the real one.
type Engine interface {
	Networks(ctx context.Context) (driver.Inventory, error)
	Addresses(ctx context.Context, networkID string) ([]netip.Addr, error)
}

// Networks is what may have more networks than the engine; *driver.Driver is the
// real one.
type Networks interface {
	Doubts() <-chan struct{}
	NoteInventory(ctx context.Context, r driver.Inventory) (present, absent []driver.Claim, err error)
	Forget(ctx context.Context, networkID string) (bool, error)
}

// Addresses is what may hold more pools and addresses; *ipam.Allocator is the real
// one.
type Addresses interface {
	Unclaimed(ctx context.Context, subnet netip.Prefix) ([]netip.Addr, error)
	AbandonAddresses(ctx context.Context, subnet netip.Prefix, addrs []netip.Addr) error
	AbandonPool(ctx context.Context, subnet netip.Prefix) error
}

// Options are what Follow works with.
type Options struct {
	Engines   []Engine
	Networks  Networks
	Addresses Addresses
	Log       *logrus.Entry
}

// grace is how long something must be missing: longer than an engine goes on
// repeating a call that found nobody (moby pkg/plugins: 30 s at most, and the
// daemon is there for a second already).
const grace = 30 * time.Second

// pace is when the engine is asked: so long after an occasion, and so long after
// each question. The last counts again as long as something is open.
func pace() []time.Duration { return []time.Duration{time.Second, grace, time.Minute} }

// follower asks one engine, and remembers what it has doubts about.
type follower struct {
	Options
	engine Engine
	// missing has what the engine did not name in the last answer, and since when.
	missing map[any]time.Time
	// next is missing of the answer that is being looked at.
	next map[any]time.Time
	// open says that something is missing for less than the time of grace.
	open bool
}

// Follow asks the engines at once, after networks were made and when one could not be
// removed, and gives up what they do not have any more, until ctx ends. Networks
// must be restored.
func Follow(ctx context.Context, o Options) {
	var all []*follower
	for _, e := range o.Engines {
		all = append(all, &follower{Options: o, engine: e})
	}
	pace, step := pace(), 0
	timer := time.NewTimer(0) // who removed a network meanwhile may want its subnet
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.Networks.Doubts():
			if step == 0 {
				continue // it will be asked soon, however many follow
			}
			step = 0
		case <-timer.C:
			again := false
			for _, f := range all {
				done := f.ask(ctx)
				again = again || !done || f.open
			}
			if step++; step == len(pace) && again {
				step--
			}
		}
		if step < len(pace) {
			timer.Reset(pace[step])
		}
	}
}

// ask asks once, and says whether all was done that the answer asks for.
func (f *follower) ask(ctx context.Context) bool {
	listed, err := f.engine.Networks(ctx)
	if err != nil {
		f.Log.WithError(err).Debug("the engine does not say which networks it has")
		return false
	}
	if err := f.compare(ctx, listed); err != nil {
		if ctx.Err() == nil {
			f.Log.WithError(err).Warn("what the engine does not have any more stays for now")
		}
		return false
	}
	return true
}

// compare gives up what was missing for long enough.
func (f *follower) compare(ctx context.Context, listed driver.Inventory) error {
	present, absent, err := f.Networks.NoteInventory(ctx, listed)
	if err != nil {
		return err
	}
	f.next, f.open = map[any]time.Time{}, false
	for _, c := range absent {
		if !f.over(c.NetworkID) {
			continue
		}
		if err := f.forget(ctx, c); err != nil {
			return err
		}
	}
	for _, c := range present {
		if c.Space != ipam.LocalSpace {
			continue
		}
		for _, subnet := range c.Subnets {
			if err := f.sift(ctx, c, subnet); err != nil {
				return err
			}
		}
	}
	f.missing = f.next
	return nil
}

// over says whether something has been missing for the time of grace.
func (f *follower) over(what any) bool {
	since, known := f.missing[what]
	if !known {
		since = time.Now()
	}
	f.next[what] = since
	if time.Since(since) < grace {
		f.open = true
		return false
	}
	return true
}

// forget removes a network, and releases its pools if they are our own.
func (f *follower) forget(ctx context.Context, c driver.Claim) error {
	gone, err := f.Networks.Forget(ctx, c.NetworkID)
	if !gone || c.Space != ipam.LocalSpace {
		return err
	}
	for _, subnet := range c.Subnets {
		err = errors.Join(err, f.Addresses.AbandonPool(ctx, subnet))
	}
	return err
}

// sift releases the addresses of one of a network's subnets that neither its
// endpoints nor the engine have.
func (f *follower) sift(ctx context.Context, c driver.Claim, subnet netip.Prefix) error {
	addrs, err := f.Addresses.Unclaimed(ctx, subnet)
	if err != nil {
		return err
	}
	addrs = slices.DeleteFunc(addrs, func(a netip.Addr) bool { return slices.Contains(c.Addresses, a) || !f.over(a) })
	if len(addrs) == 0 {
		return nil
	}
	used, err := f.engine.Addresses(ctx, c.NetworkID)
	if err != nil {
		return err
	}
	addrs = slices.DeleteFunc(addrs, func(a netip.Addr) bool { return slices.Contains(used, a) })
	if len(addrs) == 0 {
		return nil
	}
	return f.Addresses.AbandonAddresses(ctx, subnet, addrs)
}
