package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/gangway-net/gangway/ipam/lease"
)

// RequestAddress grants an address, with the prefix length of its pool. One that
// is not asked for by name comes from the pool's range: it is the one that is kept for
// the endpoint, else the next free one after the one chosen last, for a gateway the
// range's first free one. An address asked for may lie anywhere in the pool.
func (a *Allocator) RequestAddress(ctx context.Context, req AddressRequest) (netip.Prefix, error) {
	got, err := a.requestAddress(ctx, req)
	var held *heldError
	if errors.As(err, &held) && a.o.Holder != nil && held.pool.space == LocalSpace {
		held.who = a.o.Holder(held.addr)
	}
	return got, err
}

func (a *Allocator) requestAddress(ctx context.Context, req AddressRequest) (netip.Prefix, error) {
	generation := a.generation.Load()
	p, err := a.acquire(ctx, req.PoolID)
	if errors.Is(err, errGone) {
		return netip.Prefix{}, unknownPool(req.PoolID)
	}
	if err != nil {
		return netip.Prefix{}, err
	}
	if p.asksServer(req) {
		p.lock.unlock()
		return a.requestLease(ctx, req, generation)
	}
	defer p.lock.unlock()

	want := wanted{
		addr:       req.Address.Unmap(),
		record:     record(req),
		generation: generation,
	}
	want.gateway = req.Gateway && p.gatewayOpen(want)
	if !want.addr.IsValid() {
		want.addr, err = p.choose(want)
	} else {
		err = p.id.checkAddress(want.addr)
	}
	if err != nil {
		return netip.Prefix{}, err
	}
	switch h := p.held[want.addr]; {
	case h == nil:
		err = a.grant(p, want)
	case h.confirmed < want.generation || !a.shared(p, want.addr):
		err = a.replayAddress(p, want)
	}
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(want.addr, p.id.subnet.Bits()), nil
}

// shared says whether an address that is held for a network is a container's to
// have as well.
func (a *Allocator) shared(p *pool, addr netip.Addr) bool {
	return p.id.space == LocalSpace && a.o.Shared != nil && a.o.Shared(addr)
}

// wanted is a request for an address on its way.
type wanted struct {
	// addr is the zero Addr until it is chosen.
	addr netip.Addr
	// gateway says that the address becomes the pool's gateway.
	gateway bool
	record  addressRecord
	// lease is the server's that grants it; nil where none does.
	lease *lease.Lease
	// generation is the number of Greets when the request came.
	generation uint64
}

// unknownPool explains a request for an address of a pool that is not held.
func unknownPool(id string) error {
	if _, err := parsePoolID(id); err != nil {
		return err
	}
	return fmt.Errorf("pool %s is not held: restart the engine, so that it announces its networks again, or create the network anew", id)
}

// record is what the store will hold of the address.
func record(req AddressRequest) addressRecord {
	r := addressRecord{
		Since: now(),
		Kind:  kindFixed,
		Name:  req.Options[optionEndpointName],
		MAC:   req.Options[optionEndpointMAC],
	}
	if !req.Address.IsValid() {
		r.Kind = kindChosen
	}
	return r
}

// gatewayOpen says whether a request for a gateway can become the pool's.
//
// In GlobalSpace the first one stays it: swarm's allocator leaves the mark of a
// gateway on requests for tasks' addresses. In LocalSpace the user's word moves
// it. A gateway left to us is the one there is, if nobody has confirmed it since
// the pool was claimed again: it is left from a network that the engine removed
// while the driver was not there, and is now made anew.
func (p *pool) gatewayOpen(want wanted) bool {
	switch {
	case !p.gateway.IsValid():
		return true
	case p.id.space != LocalSpace:
		return want.addr == p.gateway
	case want.addr.IsValid():
		return true
	}
	return p.replayed && p.held[p.gateway].confirmed < want.generation
}

// choose finds an address.
func (p *pool) choose(want wanted) (netip.Addr, error) {
	from := p.next
	if want.gateway {
		if p.gateway.IsValid() {
			return p.gateway, nil
		}
		if p.leased() {
			return p.routerAddress()
		}
		from = p.first
	} else if addr, ok := p.kept.of(want.record.Name); ok {
		return addr, nil
	}
	if addr, ok := p.free(from); ok {
		return addr, nil
	}
	if addr, ok := p.kept.oldest(); ok {
		return addr, nil
	}
	all := count(p.first, p.last)
	if p.id.sub.IsValid() {
		return netip.Addr{}, fmt.Errorf("pool %s has no free address: all %s of range %s are in use; remove containers, name an address of %s outside the range (--ip), or create the network with a larger range (--ip-range)",
			p.key, all, p.id.sub, p.id.subnet)
	}
	return netip.Addr{}, fmt.Errorf("pool %s has no free address: all %s are in use; remove containers or create a network with a larger subnet",
		p.key, all)
}

// grant holds a free address.
func (a *Allocator) grant(p *pool, want wanted) error {
	r := p.record()
	if want.gateway {
		r.Gateway = want.addr
	} else if want.record.Kind == kindChosen && want.lease == nil && !p.kept.has(want.addr) {
		// One that was kept moves nothing: those behind it were released not long ago.
		r.Next = p.after(want.addr)
	}
	changes := map[string][]byte{addressKey(p.key, want.addr): encode(want.record)}
	if p.kept.has(want.addr) {
		changes[keptKey(p.key, want.addr)] = nil
	}
	if want.lease != nil {
		changes[leaseKey(p.key, want.addr)] = encode(*want.lease)
	}
	if err := a.update(p, r, changes); err != nil {
		return fmt.Errorf("store address %s of pool %s: %w", want.addr, p.key, err)
	}
	if want.lease != nil {
		a.leases.Keep(p.keyOf(want.addr), *want.lease)
	}
	p.hold(want.addr, &holding{addressRecord: want.record, confirmed: want.generation})
	return nil
}

// update writes changes, and the pool's record if it is another one, in one
// transaction.
func (a *Allocator) update(p *pool, r poolRecord, changes map[string][]byte) error {
	if r != p.record() {
		changes[poolKey(p.key)] = encode(r)
	}
	if len(changes) == 0 {
		return nil
	}
	if err := a.o.Store.Update(changes); err != nil {
		return err
	}
	p.next, p.gateway, p.options = r.Next, r.Gateway, r.Options
	return nil
}

// replayAddress confirms an address that is held, or refuses it. What the
// request tells of the holder replaces what was known.
func (a *Allocator) replayAddress(p *pool, want wanted) error {
	h := p.held[want.addr]
	if h.confirmed >= want.generation {
		return &heldError{pool: p.id, addr: want.addr, by: h.addressRecord, gateway: want.addr == p.gateway}
	}
	r, changes := p.record(), map[string][]byte{}
	if want.gateway {
		r.Gateway = want.addr
	}
	known := h.addressRecord
	if want.record.Name != "" || want.record.MAC != "" {
		known.Name, known.MAC = want.record.Name, want.record.MAC
	}
	if known != h.addressRecord {
		changes[addressKey(p.key, want.addr)] = encode(known)
	}
	if err := a.update(p, r, changes); err != nil {
		return fmt.Errorf("store address %s of pool %s: %w", want.addr, p.key, err)
	}
	h.addressRecord = known
	h.confirmed = want.generation
	h.claim = claim{replayed: true}
	return nil
}

// ReleaseAddress gives an address back, and keeps it for the endpoint that had it, if
// its name is known. A pool or an address that is not held is no error: engines from
// 28.1 on may release the pool first.
func (a *Allocator) ReleaseAddress(ctx context.Context, poolID string, addr netip.Addr) error {
	p, err := a.acquire(ctx, poolID)
	if errors.Is(err, errGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer p.lock.unlock()
	addr = addr.Unmap()
	h := p.held[addr]
	if h == nil {
		return nil
	}
	if h.retained {
		h.claim = claim{withdrawn: true}
		return nil
	}
	if a.shared(p, addr) {
		return nil
	}
	return a.giveBack(p, addr)
}

// heldError says who has an address.
type heldError struct {
	pool poolID
	addr netip.Addr
	by   addressRecord
	// gateway says that it is the network's gateway.
	gateway bool
	// who is what Options.Holder knows.
	who string
}

func (e *heldError) Error() string {
	who := e.who
	switch {
	case e.gateway:
		who = "the network's gateway"
	case who == "":
		who = e.by.holder()
	}
	return fmt.Sprintf("address %s of pool %s is in use by %s since %s: choose another one, or leave it out to get a free one",
		e.addr, e.pool, who, stamp(e.by.Since))
}

// holder names who has an address as well as the engine told: it does not tell
// auxiliary addresses from containers with a fixed one.
func (r addressRecord) holder() string {
	who := "a container"
	switch {
	case r.Name != "":
		who = fmt.Sprintf("container %q", r.Name)
	case r.MAC == "" && r.Kind == kindFixed:
		who = "a container with a fixed address (--ip) or a reservation (--aux-address)"
	}
	if r.MAC != "" {
		who += fmt.Sprintf(" with MAC address %s", r.MAC)
	}
	return who
}
