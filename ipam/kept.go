package ipam

import (
	"container/list"
	"fmt"
	"net/netip"

	"github.com/gangway-net/gangway/config"
)

// An address that a container with a name has given back is kept: a container of that
// name gets it again, and others get it only when nothing else is free. It is free all
// the same, and being kept is never a reason to refuse anything. An address is kept for
// who had it last, and a name has one address of a pool at most, so none of it is ever
// given out twice.

const (
	// mostKept bounds what a pool remembers of names that never come back, such as
	// those of containers that were not named by anybody: 100 kB of the state file.
	mostKept = 1024
	// longestName is in bytes. Engines have no limit of their own.
	longestName = 255
)

// keptAddress is a free address, with the name of who had it.
type keptAddress struct {
	addr netip.Addr
	keptRecord
}

// keptAddresses are those of a pool.
type keptAddresses struct {
	byAddr map[netip.Addr]*list.Element
	byName map[string]*list.Element
	// order has them by turn, the one that was released first in front.
	order *list.List
	// turn is that of the one that was released last.
	turn uint64
}

func noneKept() keptAddresses {
	return keptAddresses{byAddr: map[netip.Addr]*list.Element{}, byName: map[string]*list.Element{}, order: list.New()}
}

func (k *keptAddresses) len() int { return k.order.Len() }

func (k *keptAddresses) has(addr netip.Addr) bool { return k.byAddr[addr] != nil }

// of returns the address that is kept for a name.
func (k *keptAddresses) of(name string) (netip.Addr, bool) { return addressOf(k.byName[name]) }

// oldest returns the address that was released first.
func (k *keptAddresses) oldest() (netip.Addr, bool) { return addressOf(k.order.Front()) }

func addressOf(e *list.Element) (netip.Addr, bool) {
	if e == nil {
		return netip.Addr{}, false
	}
	return value(e).addr, true
}

func value(e *list.Element) keptAddress {
	k, _ := e.Value.(keptAddress) // nothing else is put in
	return k
}

// all returns the addresses, the one that was released first in front.
func (k *keptAddresses) all() (all []netip.Addr) {
	for e := k.order.Front(); e != nil; e = e.Next() {
		all = append(all, value(e).addr)
	}
	return all
}

// keep remembers a free address, whose turn is the highest.
func (p *pool) keep(k keptAddress) {
	e := p.kept.order.PushBack(k)
	p.kept.byAddr[k.addr], p.kept.byName[k.Name] = e, e
	p.kept.turn = k.Turn
	p.used.add(numberOf(k.addr))
}

// keepNoMore forgets who had an address. It is free for everybody, if it is not held.
func (p *pool) keepNoMore(addr netip.Addr) {
	e := p.kept.byAddr[addr]
	if e == nil {
		return
	}
	delete(p.kept.byName, value(e).Name)
	delete(p.kept.byAddr, addr)
	p.kept.order.Remove(e)
	if p.held[addr] == nil {
		p.used.remove(numberOf(addr))
	}
}

// giveBack releases an address that is held, and keeps it for who had it.
func (a *Allocator) giveBack(p *pool, addr netip.Addr) error {
	r, changes := p.record(), map[string][]byte{addressKey(p.key, addr): nil}
	if addr == p.gateway {
		r.Gateway = netip.Addr{}
	}
	name := p.held[addr].Name
	keeps := p.options.Sticky && name != "" && len(name) <= longestName && p.inRange(addr)
	var gone []netip.Addr
	fresh := keptAddress{addr, keptRecord{Since: now(), Name: name, Turn: p.kept.turn + 1}}
	if keeps {
		changes[keptKey(p.key, addr)] = encode(fresh.keptRecord)
		if other, had := p.kept.of(name); had {
			gone = append(gone, other)
		} else if oldest, _ := p.kept.oldest(); p.kept.len() >= mostKept {
			gone = append(gone, oldest)
		}
	}
	for _, other := range gone {
		changes[keptKey(p.key, other)] = nil
	}
	if _, leased := a.leases.Of(p.keyOf(addr)); leased {
		changes[leaseKey(p.key, addr)] = nil
	}
	if err := a.update(p, r, changes); err != nil {
		return fmt.Errorf("store the release of address %s of pool %s: %w", addr, p.key, err)
	}
	p.drop(addr)
	a.part(p, addr)
	for _, other := range gone {
		p.keepNoMore(other)
	}
	if keeps {
		p.keep(fresh)
	}
	return nil
}

// setOptions gives a pool, whose lock is held, other options. What it keeps it forgets
// if it is not to keep anything.
func (a *Allocator) setOptions(p *pool, options config.Pool) error {
	r, changes := p.record(), map[string][]byte{}
	r.Options = options
	var gone []netip.Addr
	if !options.Sticky {
		gone = p.kept.all()
	}
	for _, addr := range gone {
		changes[keptKey(p.key, addr)] = nil
	}
	if err := a.update(p, r, changes); err != nil {
		return fmt.Errorf("store the options of pool %s: %w", p.key, err)
	}
	for _, addr := range gone {
		p.keepNoMore(addr)
	}
	return nil
}
