package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/ipam/lease"
)

// The addresses of a pool with the option gangway.dhcp are those of a LAN's DHCP server. The pool
// has the LAN's subnet, and an address is held for as long as there is a lease of it, or a
// container that has it although the lease is lost. Addresses that are asked for without a
// hardware address are no container's (--gateway, --aux-address): the user keeps the server
// off them.

// leased says whether the server gives the pool's addresses.
func (p *pool) leased() bool { return p.options.DHCP != "" && p.id.subnet.Addr().Is4() }

// asksServer says whether a request is for what the server gives.
func (p *pool) asksServer(req AddressRequest) bool {
	reserves := req.Address.IsValid() && req.Options[optionEndpointMAC] == ""
	return p.leased() && !req.Gateway && !reserves
}

// leasedPool grants the pool of a LAN, whose server is asked for it, unless the pool is there:
// an engine that starts asks for its pools again while the server may be away.
func (a *Allocator) leasedPool(ctx context.Context, req PoolRequest, options config.Pool) (Pool, error) {
	switch {
	case a.o.Server == nil:
		return Pool{}, fmt.Errorf("address manager option %s: no DHCP server can be asked here", config.OptionDHCP)
	case req.Space != LocalSpace:
		return Pool{}, fmt.Errorf("address manager option %s: a LAN is one host's, and this network is a swarm's: create it with --scope local", config.OptionDHCP)
	case req.SubPool.IsValid():
		return Pool{}, fmt.Errorf("address manager option %s: the DHCP server chooses addresses, so leave --ip-range %s out, or the option", config.OptionDHCP, req.SubPool)
	case req.Pool.IsValid() && a.local(req.Pool) != nil:
		return a.namedPool(ctx, req, options, nil)
	}
	terms, err := a.leases.Learn(ctx, options.DHCP)
	if err != nil {
		return Pool{}, fmt.Errorf("address manager option %s: %w", config.OptionDHCP, err)
	}
	subnet := terms.Address.Masked()
	if req.Pool.IsValid() && normal(req.Pool) != subnet {
		return Pool{}, fmt.Errorf("subnet %s: the DHCP server %s says that the LAN of %s is %s: leave --subnet out, or give that",
			req.Pool, terms.Server, options.DHCP, subnet)
	}
	explicit := req.Pool.IsValid()
	req.Pool = subnet
	granted, err := a.namedPool(ctx, req, options, nil)
	if err != nil {
		// An engine asks again for another pool, which there is none of.
		if !explicit {
			err = fmt.Errorf("%w; if no network has it, the engine does not take %s for a route or a nameserver of the host that is in it: name it then (--subnet %s)", err, subnet, subnet)
		}
		return Pool{}, err
	}
	return granted, a.withLocal(ctx, subnet, func(p *pool) error {
		p.router = terms.Router
		return nil
	})
}

// routerAddress is the gateway of a network that names none.
func (p *pool) routerAddress() (netip.Addr, error) {
	if !p.router.IsValid() {
		return netip.Addr{}, fmt.Errorf("the DHCP server of the LAN of %s names no router in %s: name one (--gateway)", p.options.DHCP, p.id.subnet)
	}
	return p.router, nil
}

// mostDeclined bounds how many addresses in use the server may grant for one request.
const mostDeclined = 3

// requestLease grants an address that the server gives. The server is asked without the pool's
// lock: others go on while it does not answer.
func (a *Allocator) requestLease(ctx context.Context, req AddressRequest, generation uint64) (netip.Prefix, error) {
	want := wanted{addr: req.Address.Unmap(), record: record(req), generation: generation}
	for range mostDeclined {
		ask, there, err := a.askFor(ctx, req.PoolID, want)
		if err != nil || there.IsValid() {
			return there, err
		}
		l, err := a.leases.Obtain(ctx, ask, func(l lease.Lease) error { return ofPool(req.PoolID, l) })
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("pool %s: %w", req.PoolID, err)
		}
		want.lease = &l
		taken, err := a.holdLease(ctx, req.PoolID, want)
		switch {
		case taken:
			a.o.Log.Warnf("DHCP server %s has granted %s to %s, which somebody of pool %s has: declined", l.Server, l.Address.Addr(), l.MAC, req.PoolID)
			a.leases.Decline(ctx, l)
		case err != nil:
			return netip.Prefix{}, err
		default:
			return l.Address, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("pool %s: its DHCP server grants addresses that others of the network have: see its log, and keep it off them", req.PoolID)
}

// askFor says what to ask the server for. What the container holds already is not asked for: it
// is granted as any other address is.
func (a *Allocator) askFor(ctx context.Context, id string, want wanted) (ask lease.Ask, there netip.Prefix, err error) {
	p, err := a.acquire(ctx, id)
	if errors.Is(err, errGone) {
		return ask, there, unknownPool(id)
	}
	if err != nil {
		return ask, there, err
	}
	defer p.lock.unlock()
	mac := want.record.MAC
	if mac == "" {
		return ask, there, fmt.Errorf("pool %s: the engine did not say the container's hardware address, by which the DHCP server knows it: restart the engine, which asks at its start what gangway needs", id)
	}
	if want.addr.IsValid() {
		if err = p.id.checkAddress(want.addr); err != nil {
			return ask, there, err
		}
	}
	at := want.addr
	for addr, h := range p.held {
		if h.MAC != mac || at.IsValid() && at == addr {
			continue
		}
		if h.confirmed >= want.generation || at.IsValid() {
			return ask, there, fmt.Errorf("pool %s: MAC address %s has the lease of %s, by %s: choose another --mac-address, or stop that container", id, mac, addr, h.holder())
		}
		at = addr
	}
	if p.held[at] != nil {
		want.addr = at
		return ask, netip.PrefixFrom(at, p.id.subnet.Bits()), a.replayAddress(p, want)
	}
	ask = lease.Ask{Link: p.options.DHCP, MAC: mac, Name: lease.HostName(want.record.Name), Wish: want.addr, Must: want.addr.IsValid()}
	if !ask.Must {
		ask.Wish, _ = p.kept.of(want.record.Name)
	}
	return ask, there, nil
}

// ofPool refuses what is no address of the pool.
func ofPool(poolID string, l lease.Lease) error {
	id, err := parsePoolID(poolID)
	if err != nil {
		return err
	}
	if l.Address.Masked() != id.subnet {
		return fmt.Errorf("DHCP server %s offers %s, and the network is %s: the LAN is another one now; create the network anew", l.Server, l.Address, id.subnet)
	}
	return id.checkAddress(l.Address.Addr())
}

// holdLease holds the address of a lease. It says whether somebody else holds it.
func (a *Allocator) holdLease(ctx context.Context, id string, want wanted) (taken bool, err error) {
	l := *want.lease
	want.addr = l.Address.Addr()
	p, err := a.acquire(ctx, id)
	if errors.Is(err, errGone) {
		err = unknownPool(id)
	}
	if err != nil {
		a.leases.GiveBack(ctx, l)
		return false, err
	}
	defer p.lock.unlock()
	switch h := p.held[want.addr]; {
	case h == nil:
		if err = a.grant(p, want); err != nil {
			a.leases.GiveBack(ctx, l)
		}
		return false, err
	case h.MAC == l.MAC:
		// The lease is that of a request that was faster.
		return false, a.replayAddress(p, want)
	}
	return true, nil
}

// keyOf names the lease of an address.
func (p *pool) keyOf(addr netip.Addr) lease.Key { return lease.Key{Pool: p.key, Addr: addr} }

// withoutLeases adds to changes that the leases of a pool's addresses go.
func (a *Allocator) withoutLeases(p *pool, changes map[string][]byte) {
	for addr := range p.held {
		if _, ok := a.leases.Of(p.keyOf(addr)); ok {
			changes[leaseKey(p.key, addr)] = nil
		}
	}
}

// part gives a lease back whose address is held no more. It goes out before the engine hears of
// that: the container's next request is not to be overtaken.
func (a *Allocator) part(p *pool, addr netip.Addr) {
	if l, ok := a.leases.Forget(p.keyOf(addr)); ok {
		a.leases.GiveBack(context.Background(), l)
	}
}

// writeLease stores a lease that has changed.
func (a *Allocator) writeLease(ctx context.Context, key lease.Key, l lease.Lease, still func() bool) error {
	p, err := a.acquire(ctx, key.Pool)
	if errors.Is(err, errGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer p.lock.unlock()
	if p.held[key.Addr] == nil || !still() {
		return nil
	}
	return a.o.Store.Update(map[string][]byte{leaseKey(p.key, key.Addr): encode(l)})
}

// loadLease enters the lease of an address that is loaded. It is asked for again once
// KeepLeases runs.
func (a *Allocator) loadLease(key string, l lease.Lease) error {
	p, addr, err := a.locate(key)
	switch {
	case err != nil:
		return err
	case p.held[addr] == nil:
		return errors.New("the lease of an address that is not held")
	case l.Address.Addr() != addr || l.Link == "" || l.MAC == "" || !l.Server.IsValid():
		return fmt.Errorf("the lease is of %s, by %q for %q from %s", l.Address, l.Link, l.MAC, l.Server)
	}
	a.leases.Keep(p.keyOf(addr), l)
	return nil
}

// KeepLeases extends leases in time, until ctx ends.
func (a *Allocator) KeepLeases(ctx context.Context) { a.leases.Run(ctx) }

// LostLeases returns leases that hold no more, although containers have their addresses.
func (a *Allocator) LostLeases() []lease.Lease { return a.leases.Lost() }

// LeasedBy returns the link of the LAN whose server gives the addresses of the LocalSpace pool
// with this subnet; "" if none does.
func (a *Allocator) LeasedBy(subnet netip.Prefix) string {
	link := ""
	// As with retain, no deadline.
	_ = a.withLocal(context.Background(), subnet, func(p *pool) error {
		if p.leased() {
			link = p.options.DHCP
		}
		return nil
	})
	return link
}
