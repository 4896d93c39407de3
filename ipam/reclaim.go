package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/gangway-net/gangway/config"
)

// Holding is what an engine says that one of its networks has of a LocalSpace pool.
type Holding struct {
	// Subnet and Range are as in PoolRequest.
	Subnet, Range netip.Prefix
	// Gateway has the subnet's prefix length. If it is not known (the zero Prefix), the
	// first address of the range is taken for it, which is what is given to a gateway.
	Gateway netip.Prefix
	// Addresses are those of endpoints, and what the user keeps for others.
	Addresses []netip.Addr
}

// Reclaim makes the allocator hold again what it has lost the state of. What is held
// already stays as it is, so that it may be repeated.
func (a *Allocator) Reclaim(ctx context.Context, h Holding) error {
	if !h.Subnet.IsValid() {
		return errors.New("take back a pool: it has no subnet")
	}
	id, err := newPoolID(LocalSpace, h.Subnet, h.Range)
	if err != nil {
		return err
	}
	p, err := a.admit(id, config.DefaultPool(), nil)
	if err != nil {
		return err
	}
	if p != nil {
		if _, err = a.commitPool(p, nil); err != nil {
			return err
		}
		a.o.Log.Warnf("pool %s is a running container's and was in no stored state: taken back", p.key)
	}
	for _, addr := range h.Addresses {
		err = errors.Join(err, a.reclaim(ctx, id, addr, false))
	}
	gateway := h.Gateway.Addr()
	if !gateway.IsValid() {
		gateway, _ = id.bounds()
	}
	return errors.Join(err, a.reclaim(ctx, id, gateway, true))
}

// reclaim holds an address that is not held.
func (a *Allocator) reclaim(ctx context.Context, id poolID, addr netip.Addr, gateway bool) error {
	p, err := a.acquire(ctx, id.String())
	if err != nil {
		return fmt.Errorf("take back address %s of pool %s: %w", addr, id, err)
	}
	defer p.lock.unlock()
	if p.held[addr] != nil {
		return nil
	}
	if err := id.checkAddress(addr); err != nil {
		return err
	}
	r := record(AddressRequest{Address: addr})
	return a.grant(p, wanted{addr: addr, gateway: gateway, record: r, generation: a.generation.Load()})
}
