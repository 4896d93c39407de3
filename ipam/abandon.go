package ipam

import (
	"context"
	"net/netip"
)

// Engines do not repeat a release that found nobody. What was held when the
// process began, and was not asked for since, may be left over from one; who has
// asked the engine whether it is gives it back here.

// unclaimed says whether no claim has stood since the process began, given the number
// of the last confirmation.
func (c claim) unclaimed(confirmed uint64) bool { return confirmed == 0 || c.withdrawn }

// Unclaimed returns the addresses of the LocalSpace pool with this subnet, without
// its gateway, that were held when the process began and that no engine has asked
// for since. Most of them are in use.
func (a *Allocator) Unclaimed(ctx context.Context, subnet netip.Prefix) ([]netip.Addr, error) {
	var out []netip.Addr
	err := a.withLocal(ctx, subnet, func(p *pool) error {
		for addr, h := range p.held {
			if h.unclaimed(h.confirmed) && addr != p.gateway {
				out = append(out, addr)
			}
		}
		return nil
	})
	return out, err
}

// AbandonAddresses releases those of the addresses that are unclaimed still.
func (a *Allocator) AbandonAddresses(ctx context.Context, subnet netip.Prefix, addrs []netip.Addr) error {
	return a.withLocal(ctx, subnet, func(p *pool) error {
		for _, addr := range addrs {
			if h := p.held[addr]; h == nil || !h.unclaimed(h.confirmed) || addr == p.gateway {
				continue
			}
			if err := a.giveBack(p, addr); err != nil {
				return err
			}
			a.o.Log.Warnf("address %s of pool %s is free: the engine's call for that was lost", addr, p.key)
		}
		return nil
	})
}

// AbandonPool releases the LocalSpace pool with this subnet, and all addresses in
// it, unless an engine has asked for it since the process began.
func (a *Allocator) AbandonPool(ctx context.Context, subnet netip.Prefix) error {
	return a.withLocal(ctx, subnet, func(p *pool) error {
		if !p.unclaimed(p.confirmed.Load()) {
			return nil
		}
		if err := a.release(p); err != nil {
			return err
		}
		a.o.Log.Warnf("pool %s is free: the engine's call for that was lost", p.key)
		return nil
	})
}
