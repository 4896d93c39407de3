package ipam

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the property test; 0 for a random one")

// observed renders the real one as the model renders itself.
func observed(a *Allocator) string {
	m := &model{pools: map[string]*modelPool{}}
	generation := a.generation.Load()
	for id, p := range a.byID {
		q := &modelPool{next: p.next, gate: p.gateway, held: map[netip.Addr]*modelAddress{},
			modelClaim: modelClaim{p.confirmed.Load() == generation, p.replayed, p.retained}, sticky: p.options.Sticky}
		for addr, h := range p.held {
			q.held[addr] = &modelAddress{modelClaim{h.confirmed == generation, h.replayed, h.retained}, h.Name}
		}
		for e := p.kept.order.Front(); e != nil; e = e.Next() {
			q.kept = append(q.kept, modelKept{value(e).addr, value(e).Name})
		}
		m.pools[id] = q
	}
	return m.String()
}

// world is what the random verbs are about: small enough that they meet.
var (
	worldSpaces  = []string{LocalSpace, LocalSpace, GlobalSpace}
	worldSubnets = []string{"10.0.0.0/29", "10.0.0.0/28", "10.0.0.8/30", "10.0.0.16/28", "10.0.1.0/31", "fd00::/125", "fd00::8/127", "10.9.0.0/28"}
	worldSubs    = map[string][]string{"10.0.0.0/29": {"10.0.0.4/30"}, "10.0.0.16/28": {"10.0.0.16/29", "10.0.0.20/32", "10.0.0.24/29"}, "fd00::/125": {"fd00::4/126"}}
	worldRanges  = []config.PoolRange{rng("10.0.0.0/27", 29), rng("10.0.1.0/29", 30), rng("fd00::/124", 126)}
	worldNames   = []string{"", "web", "db", "cache", "queue"}
	worldUsed    = []netip.Prefix{pfx("10.0.0.24/32"), pfx("10.0.1.4/31")}
)

type property struct {
	t     *testing.T
	r     *rand.Rand
	store *memory
	a     *Allocator
	m     *model
	log   []string
}

func (x *property) open() {
	a, err := New(Options{Ranges: worldRanges, Store: x.store,
		Used: func(context.Context) ([]netip.Prefix, error) { return worldUsed, nil }})
	if err != nil {
		x.t.Fatal(err)
	}
	x.a = a
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// poolID is most often one that is held.
func (x *property) poolID() (string, netip.Prefix) {
	if ids := slices.Sorted(maps.Keys(x.m.pools)); len(ids) > 0 && x.r.IntN(10) > 0 {
		id := pick(x.r, ids)
		return id, x.m.pools[id].subnet
	}
	s := pick(x.r, worldSubnets)
	return LocalSpace + "/" + s, pfx(s)
}

func (x *property) addressIn(p netip.Prefix) netip.Addr {
	a := p.Addr()
	for range x.r.IntN(1 << (a.BitLen() - p.Bits())) {
		a = a.Next()
	}
	return a
}

// step does one random verb with both, and returns what each answered.
func (x *property) step(m *model) (verb, want, got string, err error) {
	switch n := x.r.IntN(100); {
	case n < 30:
		return x.stepPool(m, n)
	case n < 88:
		return x.stepAddress(m, n)
	case n < 98:
		return x.stepClaims(m, n), "", "", nil
	}
	x.open()
	m.forgetClaims(true)
	return "restart", "", "", nil
}

// answered is s, or that the verb was refused.
func answered(s string, ok bool) string {
	if !ok {
		return "refused"
	}
	return s
}

// stepPool is a step with a pool; n below 30 says which.
func (x *property) stepPool(m *model, n int) (verb, want, got string, err error) {
	ctx := context.Background()
	switch {
	case n < 15:
		req := PoolRequest{Space: pick(x.r, worldSpaces)}
		s := pick(x.r, worldSubnets)
		req.Pool = pfx(s)
		if subs := worldSubs[s]; len(subs) > 0 && x.r.IntN(2) == 0 {
			req.SubPool = pfx(pick(x.r, subs))
		}
		sticky := x.r.IntN(4) > 0
		if !sticky {
			req.Options = map[string]string{"gangway.sticky": "false"}
		}
		var p Pool
		p, err = x.a.RequestPool(ctx, req)
		w, ok := m.requestPool(req.Space, req.Pool, req.SubPool, sticky)
		return fmt.Sprintf("RequestPool %+v", req), answered(w, ok), answered(p.ID, err == nil), err
	case n < 25:
		req := PoolRequest{Space: pick(x.r, worldSpaces), V6: x.r.IntN(3) == 0}
		var p Pool
		p, err = x.a.RequestPool(ctx, req)
		w, ok := m.automatic(req.Space, req.V6, worldUsed)
		return fmt.Sprintf("RequestPool %+v", req), answered(w, ok), answered(p.ID, err == nil), err
	}
	id, _ := x.poolID()
	err = x.a.ReleasePool(ctx, id)
	m.releasePool(id)
	return "ReleasePool " + id, "", "", err
}

// stepAddress is a step with an address; n from 30 to 87 says which.
func (x *property) stepAddress(m *model, n int) (verb, want, got string, err error) {
	ctx := context.Background()
	id, subnet := x.poolID()
	addr := x.addressIn(subnet)
	if n < 65 {
		req := AddressRequest{PoolID: id, Gateway: x.r.IntN(5) == 0}
		if x.r.IntN(2) == 0 {
			req.Address = addr
		}
		name := ""
		if !req.Gateway {
			name = pick(x.r, worldNames)
			req.Options = map[string]string{optionEndpointName: name}
		}
		var p netip.Prefix
		p, err = x.a.RequestAddress(ctx, req)
		w, ok := m.requestAddress(id, req.Address, req.Gateway, name)
		return fmt.Sprintf("RequestAddress %+v", req), answered(w.String(), ok), answered(p.String(), err == nil), err
	}
	err = x.a.ReleaseAddress(ctx, id, addr)
	m.releaseAddress(id, addr)
	return fmt.Sprintf("ReleaseAddress %s %s", id, addr), "", "", err
}

// stepClaims is a step with what was claimed and may be claimed again; n from
// 88 to 97 says which.
func (x *property) stepClaims(m *model, n int) (verb string) {
	_, subnet := x.poolID()
	addr := x.addressIn(subnet)
	switch {
	case n < 91:
		addrs := []netip.Addr{addr, x.addressIn(subnet)}
		x.a.RetainPool(subnet, addrs)
		m.retain(subnet, addrs, true)
		return fmt.Sprintf("RetainPool %s %s", subnet, addrs)
	case n < 95:
		x.a.RetainAddresses(subnet, []netip.Addr{addr})
		m.retain(subnet, []netip.Addr{addr}, false)
		return fmt.Sprintf("RetainAddresses %s %s", subnet, addr)
	}
	x.a.Greet()
	m.forgetClaims(false)
	return "Greet"
}

func (x *property) run(steps int) {
	for range steps {
		x.store.fail = nil
		if x.r.IntN(20) == 0 {
			x.store.fail = errDisk
		}
		m := x.m.clone()
		verb, want, got, err := x.step(m)
		x.log = append(x.log, fmt.Sprintf("%s = %s, %v", verb, got, err))
		switch {
		case errors.Is(err, errDisk):
			// A failed transaction changes nothing: the model stays.
		case got != want || (err != nil && want != "refused"):
			x.fail("answered %q, %v; want %q", got, err, want)
		default:
			x.m = m
		}
		if g, w := observed(x.a), x.m.String(); g != w {
			x.fail("holds\n%s\nwant\n%s", g, w)
		}
	}
}

func (x *property) fail(format string, args ...any) {
	x.t.Helper()
	x.t.Fatalf("after\n%s\n"+format, append([]any{strings.Join(x.log[max(0, len(x.log)-30):], "\n")}, args...)...)
}

// TestAgainstModel lets random verbs, restarts, greetings and failing
// transactions run against the model.
func TestAgainstModel(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("repeat with -seed %d", seed)
	for round := range uint64(20) {
		x := &property{t: t, r: rand.New(rand.NewPCG(seed, round)), store: newMemory(),
			m: &model{ranges: worldRanges, pools: map[string]*modelPool{}, cursor: map[bool]netip.Prefix{}}}
		x.open()
		x.run(600)
	}
}
