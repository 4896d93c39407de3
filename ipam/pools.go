package ipam

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"

	"github.com/gangway-net/gangway/config"
)

// RequestPool grants the pool asked for, or one of the configured ranges. An
// explicit pool may overlap the host's routes, but no other pool of its address
// space (not with another range either); an automatic one overlaps nothing of
// the host and no pool of either space, and is another one at each call.
func (a *Allocator) RequestPool(ctx context.Context, req PoolRequest) (Pool, error) {
	options, unknown := poolOptions(req)
	if options.DHCP != "" && !req.v6() && unknown == nil {
		return a.leasedPool(ctx, req, options)
	}
	if !req.Pool.IsValid() {
		if req.SubPool.IsValid() {
			return Pool{}, fmt.Errorf("range %s without a subnet: name the subnet too (--subnet)", req.SubPool)
		}
		if unknown != nil {
			return Pool{}, unknown
		}
		return a.automaticPool(ctx, req, options)
	}
	return a.namedPool(ctx, req, options, unknown)
}

// v6 says whether a pool of IPv6 is asked for.
func (r PoolRequest) v6() bool {
	if r.Pool.IsValid() {
		return normal(r.Pool).Addr().Is6()
	}
	return r.V6
}

// namedPool grants the pool asked for. unknown is as in admit.
func (a *Allocator) namedPool(ctx context.Context, req PoolRequest, options config.Pool, unknown error) (Pool, error) {
	id, err := newPoolID(req.Space, req.Pool, req.SubPool)
	if err != nil {
		return Pool{}, err
	}
	for {
		p, err := a.admit(id, options, unknown)
		if err != nil {
			return Pool{}, err
		}
		if p != nil {
			return a.commitPool(p, nil)
		}
		granted, err := a.replayPool(ctx, id, options)
		if !errors.Is(err, errGone) {
			return granted, err
		}
	}
}

// admit enters a new pool in the indexes, locked, so that nobody else gets an
// overlapping one while it is written to the store. It returns nil if there is
// a pool of that very id. unknown is what is wrong with a new one's options: a pool
// that there is may have been granted by a version that passed over them.
func (a *Allocator) admit(id poolID, options config.Pool, unknown error) (*pool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byID[id.String()] != nil {
		return nil, nil
	}
	if unknown != nil {
		return nil, unknown
	}
	if other := a.space[id.space].overlap(id.subnet); other != nil {
		return nil, fmt.Errorf("subnet %s overlaps pool %s: choose another subnet, or remove the network that has it",
			id.subnet, other.describe())
	}
	return a.enter(id, options), nil
}

// enter adds a pool to the indexes and locks it. a.mu is held.
func (a *Allocator) enter(id poolID, options config.Pool) *pool {
	p := newPool(id, now(), options)
	p.lock <- struct{}{}
	p.confirmed.Store(a.generation.Load())
	a.index(p)
	return p
}

// index adds a pool to the indexes. a.mu is held, or nobody else has a.
func (a *Allocator) index(p *pool) {
	a.byID[p.key] = p
	a.space[p.id.space] = a.space[p.id.space].insert(p)
}

// forget removes a pool, whose lock is held, from the indexes.
func (a *Allocator) forget(p *pool) {
	p.gone = true
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.byID, p.key)
	a.space[p.id.space] = a.space[p.id.space].remove(p)
}

// commitPool writes a pool that enter returned, with further changes in the same
// transaction, and unlocks it.
func (a *Allocator) commitPool(p *pool, more map[string][]byte) (Pool, error) {
	defer p.lock.unlock()
	changes := map[string][]byte{poolKey(p.key): encode(p.record())}
	maps.Copy(changes, more)
	if err := a.o.Store.Update(changes); err != nil {
		a.forget(p)
		return Pool{}, fmt.Errorf("store pool %s: %w", p.key, err)
	}
	return Pool{ID: p.key, Subnet: p.id.subnet}, nil
}

// replayPool confirms a pool that is held, with the options of now: it may be another
// network's, or have lost them with the state. It returns errGone if the pool was
// released meanwhile.
func (a *Allocator) replayPool(ctx context.Context, id poolID, options config.Pool) (Pool, error) {
	generation := a.generation.Load()
	p, err := a.acquire(ctx, id.String())
	if err != nil {
		return Pool{}, err
	}
	defer p.lock.unlock()
	if p.confirmed.Load() >= generation {
		return Pool{}, fmt.Errorf("subnet %s is another network's pool %s: choose another subnet, or remove the network that has it",
			id.subnet, p.describe())
	}
	if err := a.setOptions(p, options); err != nil {
		return Pool{}, err
	}
	p.confirmed.Store(generation)
	p.claim = claim{replayed: true}
	return Pool{ID: p.key, Subnet: p.id.subnet}, nil
}

// ReleasePool gives a pool back, with all addresses still held in it: engines
// from 28.1 on may release the pool before its last addresses. A pool that is
// not held is no error.
func (a *Allocator) ReleasePool(ctx context.Context, id string) error {
	p, err := a.acquire(ctx, id)
	if errors.Is(err, errGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer p.lock.unlock()
	if p.retained {
		p.claim = claim{withdrawn: true}
		return nil
	}
	return a.release(p)
}

// release forgets a pool, whose lock is held, with all addresses in it.
func (a *Allocator) release(p *pool) error {
	changes := map[string][]byte{poolKey(p.key): nil}
	for addr := range p.held {
		changes[addressKey(p.key, addr)] = nil
	}
	for _, addr := range p.kept.all() {
		changes[keptKey(p.key, addr)] = nil
	}
	a.withoutLeases(p, changes)
	if err := a.o.Store.Update(changes); err != nil {
		return fmt.Errorf("store the release of pool %s: %w", p.key, err)
	}
	a.forget(p)
	for addr := range p.held {
		a.part(p, addr)
	}
	return nil
}

// poolOptions reads the user's options. Where they do not hold the defaults count.
func poolOptions(req PoolRequest) (config.Pool, error) {
	options, err := config.ParsePool(req.Options)
	if err != nil {
		return config.DefaultPool(), fmt.Errorf("--ipam-opt: %w; --subnet says how large a network is, and GANGWAY_POOLS how large those are that name none", err)
	}
	return options, nil
}

// RetainPool is told when the driver refused a network although the network's
// pool was granted: with a holding unconfirmed, a second claim of it looks like
// the first one's repetition. The engine will release what the refused network
// claimed. The next release of the pool of LocalSpace that has this subnet, and
// the next release of each address in it, then changes nothing, so that the
// first holder keeps them. Addresses are the network's gateway and auxiliary
// ones.
//
// It affects only what was granted as a repetition; what the refused claim got
// for itself, such as a new auxiliary address, is released as usual. A holding
// that is claimed again before that release is not retained any more.
func (a *Allocator) RetainPool(subnet netip.Prefix, addrs []netip.Addr) {
	a.retain(subnet, addrs, true)
}

// RetainAddresses is RetainPool for a refused endpoint: the pool of LocalSpace
// with this subnet is released by nobody, only the given addresses of it are.
func (a *Allocator) RetainAddresses(subnet netip.Prefix, addrs []netip.Addr) {
	a.retain(subnet, addrs, false)
}

// Fresh says whether the pool of LocalSpace with this subnet was held by nobody
// when it was requested last. It is false when that cannot be told: for a pool
// of an earlier process, and after Greet.
func (a *Allocator) Fresh(subnet netip.Prefix) bool {
	fresh := false
	// As with retain, no deadline.
	err := a.withLocal(context.Background(), subnet, func(p *pool) error {
		fresh = !p.replayed && p.confirmed.Load() >= a.generation.Load()
		return nil
	})
	return fresh && err == nil
}

// local returns the pool of LocalSpace with this subnet, nil if there is none.
func (a *Allocator) local(subnet netip.Prefix) *pool {
	if !subnet.IsValid() {
		return nil
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	p := a.space[LocalSpace].overlap(normal(subnet))
	if p == nil || p.id.subnet != normal(subnet) {
		return nil
	}
	return p
}

// withLocal calls f with the locked pool of LocalSpace that has this subnet, if
// there is one.
func (a *Allocator) withLocal(ctx context.Context, subnet netip.Prefix, f func(p *pool) error) error {
	p := a.local(subnet)
	if p == nil {
		return nil
	}
	p, err := a.acquire(ctx, p.key)
	if errors.Is(err, errGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer p.lock.unlock()
	return f(p)
}

func (a *Allocator) retain(subnet netip.Prefix, addrs []netip.Addr, poolToo bool) {
	// Without a deadline: a claim that is not retained is an address given out
	// twice, and the lock is never held for longer than a transaction. So there is
	// no error.
	_ = a.withLocal(context.Background(), subnet, func(p *pool) error {
		if poolToo {
			p.retained = p.replayed
		}
		for _, addr := range addrs {
			if h := p.held[addr.Unmap()]; h != nil {
				h.retained = h.replayed
			}
		}
		return nil
	})
}
