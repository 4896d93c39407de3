package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/gangway-net/gangway/config"
)

// pool is one pool and the addresses held in it.
type pool struct {
	identity
	// Read without the lock, written with it.
	inUse     atomic.Int64
	ranged    atomic.Int64 // those in use that lie between first and last
	confirmed atomic.Uint64

	lock ctxLock
	// The rest is guarded by lock.

	// gone says that the pool has left the allocator: look it up again.
	gone bool
	addresses
	claim
}

// identity is what of a pool never changes.
type identity struct {
	id  poolID
	key string
	// first and last bound the addresses that are chosen automatically.
	first, last netip.Addr
	since       time.Time
}

// addresses are those of a pool.
type addresses struct {
	// options are what the user asks of them.
	options config.Pool
	held    map[netip.Addr]*holding
	// kept are free.
	kept keptAddresses
	// used has the addresses that are held, and those that are kept.
	used addrSet
	// next is where the search for a free address starts: one after the address
	// chosen last, so that a released one rests for a whole turn.
	next netip.Addr
	// gateway is the address held by the network's gateway; the zero Addr if
	// none is. router is what the LAN's server names for it, as long as the process that
	// has learned that lives.
	gateway, router netip.Addr
}

// claim says how the engine's claims on a holding stand.
type claim struct {
	// replayed says that the last claim was accepted as a repetition of an
	// earlier one.
	replayed bool
	// retained says that the next release belongs to a claim the driver refused.
	retained bool
	// withdrawn says that the last claim was such a one, and is released: the first
	// holder is who it was.
	withdrawn bool
}

// holding is an address in use.
type holding struct {
	addressRecord
	confirmed uint64
	claim
}

func newPool(id poolID, since time.Time, options config.Pool) *pool {
	p := &pool{
		identity: identity{id: id, key: id.String(), since: since},
		lock:     make(ctxLock, 1), addresses: addresses{options: options, held: map[netip.Addr]*holding{}, kept: noneKept()},
	}
	p.first, p.last = id.bounds()
	p.next = p.first
	return p
}

func (p *pool) hold(a netip.Addr, h *holding) {
	if p.held[a] == nil && p.inRange(a) {
		p.ranged.Add(1)
	}
	p.held[a] = h
	p.keepNoMore(a)
	p.used.add(numberOf(a))
	p.inUse.Store(int64(len(p.held)))
}

func (p *pool) drop(a netip.Addr) {
	if p.held[a] != nil && p.inRange(a) {
		p.ranged.Add(-1)
	}
	delete(p.held, a)
	p.used.remove(numberOf(a))
	p.inUse.Store(int64(len(p.held)))
}

// inRange says whether the address is one that could be chosen.
func (p *pool) inRange(a netip.Addr) bool { return !a.Less(p.first) && !p.last.Less(a) }

// left is how many addresses can still be chosen.
func (p *pool) left() float64 {
	return max(0, numberOf(p.last).less(numberOf(p.first))+1-float64(p.ranged.Load()))
}

// free finds the first free address from a on that is kept for nobody, and goes on at
// the beginning of the range after its end.
func (p *pool) free(from netip.Addr) (netip.Addr, bool) {
	if a := p.freeFrom(from); a.IsValid() {
		return a, true
	}
	a := p.freeFrom(p.first)
	return a, a.IsValid()
}

func (p *pool) freeFrom(from netip.Addr) netip.Addr {
	a := p.used.nextFree(numberOf(from)).addr(from.Is4())
	if a.Less(from) || p.last.Less(a) {
		return netip.Addr{}
	}
	return a
}

// after is the address to start from after a was chosen.
func (p *pool) after(a netip.Addr) netip.Addr {
	if a == p.last {
		return p.first
	}
	return a.Next()
}

// describe says how a pool is occupied, for an error about it.
func (p *pool) describe() string {
	return fmt.Sprintf("%s (%s in use, held since %s)", p.key, plural(int(p.inUse.Load()), "address", "addresses"), stamp(p.since))
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// now has the precision that the store keeps.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }

// ctxLock is a mutex whose waiters give up with their context, so that a stuck
// disk does not pile up requests for ever.
type ctxLock chan struct{}

func (l ctxLock) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l ctxLock) unlock() { <-l }

// errGone says that there is no such pool.
var errGone = errors.New("no such pool")

// acquire returns the pool with its lock held, or errGone.
func (a *Allocator) acquire(ctx context.Context, id string) (*pool, error) {
	for {
		a.mu.RLock()
		p := a.byID[id]
		a.mu.RUnlock()
		if p == nil {
			return nil, errGone
		}
		if err := p.lock.lock(ctx); err != nil {
			return nil, fmt.Errorf("wait for another request on pool %s: %w", id, err)
		}
		if !p.gone {
			return p, nil
		}
		p.lock.unlock()
	}
}
