package ipam

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/gangway-net/gangway/ipam/lease"
)

// PoolStatus is one pool as the allocator holds it in memory.
type PoolStatus struct {
	ID string
	// InUse counts the addresses held, gateway and auxiliary ones included.
	InUse int
	// Free is how many more can be chosen. A range of IPv6 has more than a whole number
	// holds.
	Free float64
	// Confirmed says that the engine claimed the pool since its last greeting.
	Confirmed bool
}

// Pools lists the pools, sorted by space and subnet. It waits for no verb. It is
// there to be held against the store and against what was asked for.
func (a *Allocator) Pools() []PoolStatus {
	a.mu.RLock()
	defer a.mu.RUnlock()
	out := make([]PoolStatus, 0, len(a.byID))
	for _, space := range []string{GlobalSpace, LocalSpace} {
		for _, p := range a.space[space] {
			out = append(out, PoolStatus{ID: p.key, InUse: int(p.inUse.Load()), Free: p.left(), Confirmed: p.confirmed.Load() == a.generation.Load()})
		}
	}
	return out
}

// The states of an address.
const (
	// StateGateway is the network's gateway, StateUsed any other address in use: a
	// container's, or one that the user keeps for something else.
	StateGateway = "gateway"
	StateUsed    = "used"
	// StateKept is free, and kept for who had it last.
	StateKept = "kept"
)

// AddressStatus is an address that is in use or kept.
type AddressStatus struct {
	// Pool is the pool's id, Subnet its subnet. Local says that it is of LocalSpace.
	Pool   string
	Subnet netip.Prefix
	Local  bool

	Address netip.Addr
	State   string
	// Name is of the endpoint that has the address, or had it last; "" if no engine told.
	Name string
	// Since is when the address got its state, to the second.
	Since time.Time
	// Lease is the DHCP server's that has granted the address; nil if none has.
	Lease *lease.Lease
}

// Addresses lists the addresses of all pools, pools in the order of Pools, addresses in
// theirs. It waits for verbs; the only error is that of ctx.
func (a *Allocator) Addresses(ctx context.Context) ([]AddressStatus, error) {
	var out []AddressStatus
	for _, s := range a.Pools() {
		p, err := a.acquire(ctx, s.ID)
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list := p.status()
		for i, s := range list {
			if l, ok := a.leases.Of(p.keyOf(s.Address)); ok {
				list[i].Lease = &l
			}
		}
		p.lock.unlock()
		slices.SortFunc(list, func(a, b AddressStatus) int { return a.Address.Compare(b.Address) })
		out = append(out, list...)
	}
	return out, nil
}

// status lists the addresses of a pool, whose lock is held.
func (p *pool) status() (list []AddressStatus) {
	of := AddressStatus{Pool: p.key, Subnet: p.id.subnet, Local: p.id.space == LocalSpace}
	for addr, h := range p.held {
		of.Address, of.State, of.Name, of.Since = addr, StateUsed, h.Name, h.Since
		if addr == p.gateway {
			of.State = StateGateway
		}
		list = append(list, of)
	}
	for e := p.kept.order.Front(); e != nil; e = e.Next() {
		k := value(e)
		of.Address, of.State, of.Name, of.Since = k.addr, StateKept, k.Name, k.Since
		list = append(list, of)
	}
	return list
}
