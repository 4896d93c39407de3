package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/gangway-net/gangway/config"
)

func TestExplicitPools(t *testing.T) {
	a := open(t, newMemory())
	p := mustPool(t, a, "10.50.0.9/24", "10.50.0.128/25")
	if want := (Pool{ID: "gangway-local/10.50.0.0/24/10.50.0.128/25", Subnet: pfx("10.50.0.0/24")}); p != want {
		t.Fatalf("got %v, want %v", p, want)
	}
	mustAddress(t, a, p.ID, "")
	for _, c := range []struct {
		name, space, pool, sub string
		v6                     bool
		err                    string
	}{
		{name: "same again", pool: "10.50.0.0/24", sub: "10.50.0.128/25", err: "subnet 10.50.0.0/24 is another network's pool gangway-local/10.50.0.0/24/10.50.0.128/25 (1 address in use|choose another subnet"},
		{name: "same with another range", pool: "10.50.0.0/24", err: "overlaps pool gangway-local/10.50.0.0/24/10.50.0.128/25 (1 address in use, held since 2"},
		{name: "inside", pool: "10.50.0.64/26", err: "overlaps pool"},
		{name: "around", pool: "10.0.0.0/8", err: "overlaps pool"},
		{name: "range only", sub: "10.50.1.0/24", err: "range 10.50.1.0/24 without a subnet|--subnet"},
		{name: "neighbour", pool: "10.50.1.0/24"},
		{name: "other neighbour", pool: "10.49.255.0/24"},
		{name: "other space", space: GlobalSpace, pool: "10.50.0.0/24"},
		{name: "ipv6 with the flag unset", pool: "fd00:50::/64"},
		{name: "ipv4 with the flag set", pool: "10.51.0.0/24", v6: true},
		{name: "no ranges", err: "no range is configured for automatic ipv4 pools|--subnet|GANGWAY_POOLS"},
		{name: "no ranges ipv6", v6: true, err: "automatic ipv6 pools"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := a.Pools()
			req := PoolRequest{Space: LocalSpace, Pool: pfx(c.pool), SubPool: pfx(c.sub), V6: c.v6}
			if c.space != "" {
				req.Space = c.space
			}
			_, err := a.RequestPool(context.Background(), req)
			if c.err == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantErr(t, err, c.err)
			if got := a.Pools(); fmt.Sprint(got) != fmt.Sprint(before) {
				t.Errorf("a refused request changed %v to %v", before, got)
			}
		})
	}
}

// TestExplicitPoolMayOverlapHost is the engine's own behaviour: what the user
// names is granted even where the host has a route.
func TestExplicitPoolMayOverlapHost(t *testing.T) {
	a, err := New(Options{Store: newMemory(), Used: uses("10.0.0.0/8")})
	if err != nil {
		t.Fatal(err)
	}
	mustPool(t, a, "10.50.0.0/24", "")
}

func automatic(t testing.TB, a *Allocator, v6 bool) netip.Prefix {
	t.Helper()
	p, err := a.RequestPool(context.Background(), PoolRequest{Space: LocalSpace, V6: v6})
	if err != nil {
		t.Fatal(err)
	}
	if want := LocalSpace + "/" + p.Subnet.String(); p.ID != want {
		t.Fatalf("pool id %s, want %s", p.ID, want)
	}
	return p.Subnet
}

// automaticCase is what there is when automatic pools are asked for, and what
// they are, up to the one that fails with err.
type automaticCase struct {
	name   string
	ranges []config.PoolRange
	used   []string
	held   []string
	global []string
	v6     bool
	want   []string
	err    string
}

func automaticCases() []automaticCase {
	v4 := []config.PoolRange{rng("172.30.0.0/16", 17), rng("10.20.0.0/22", 24)}
	return []automaticCase{
		{
			name: "in order, each another", ranges: v4,
			want: []string{"172.30.0.0/17", "172.30.128.0/17", "10.20.0.0/24", "10.20.1.0/24", "10.20.2.0/24", "10.20.3.0/24"},
			err:  "no free ipv4 pool in 172.30.0.0/16 in pools of /17, 10.20.0.0/22 in pools of /24: 6 pools and 0 routes and addresses of the host are in the way|--subnet|GANGWAY_POOLS",
		},
		{
			name: "around the host's routes and addresses", ranges: v4,
			used: []string{"172.16.0.0/12", "10.20.1.5/32", "10.20.2.130/25", "0.0.0.0/0", "::/0"},
			want: []string{"10.20.0.0/24", "10.20.3.0/24"},
			err:  "2 pools and 3 routes and addresses of the host",
		},
		{
			name: "a VPN's halves of the default route are default routes", ranges: v4[1:],
			used: []string{"0.0.0.0/1", "128.0.0.0/1"},
			want: []string{"10.20.0.0/24"},
		},
		{
			name: "around pools of both spaces", ranges: v4[1:],
			held: []string{"10.20.0.0/25"}, global: []string{"10.20.2.0/23"},
			want: []string{"10.20.1.0/24"},
			err:  "no free ipv4 pool",
		},
		{
			name: "mapped and unmasked routes", ranges: v4[1:],
			used: []string{"::ffff:10.20.0.7/120", "10.20.1.7/24", "fd00::/8"},
			want: []string{"10.20.2.0/24"},
		},
		{
			name: "ipv6", ranges: []config.PoolRange{v4[0], rng("fd00:1::/62", 64)}, v6: true,
			used: []string{"fd00:1:0:1::1/128"},
			want: []string{"fd00:1::/64", "fd00:1:0:2::/64", "fd00:1:0:3::/64"},
			err:  "no free ipv6 pool in fd00:1::/62",
		},
	}
}

func TestAutomaticPools(t *testing.T) {
	for _, c := range automaticCases() {
		t.Run(c.name, func(t *testing.T) {
			a, err := New(Options{Ranges: c.ranges, Store: newMemory(), Used: uses(c.used...)})
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range c.held {
				mustPool(t, a, h, "")
			}
			for _, g := range c.global {
				if _, err = a.RequestPool(context.Background(), PoolRequest{Space: GlobalSpace, Pool: pfx(g)}); err != nil {
					t.Fatal(err)
				}
			}
			for _, w := range c.want {
				if got := automatic(t, a, c.v6); got != pfx(w) {
					t.Fatalf("got %s, want %s", got, w)
				}
			}
			if c.err != "" {
				_, err = a.RequestPool(context.Background(), PoolRequest{Space: LocalSpace, V6: c.v6})
				wantErr(t, err, c.err)
			}
		})
	}
}

// TestAutomaticPoolInHugeRange would not end if the search went subnet by subnet.
func TestAutomaticPoolInHugeRange(t *testing.T) {
	a, err := New(Options{Ranges: []config.PoolRange{rng("fd00::/8", 112)}, Store: newMemory(),
		Used: uses("fd00::/9", "fd80::/10", "fdc0::/16")})
	if err != nil {
		t.Fatal(err)
	}
	if got := automatic(t, a, true); got != pfx("fdc1::/112") {
		t.Fatalf("got %s", got)
	}
}

func TestReleasedPoolRests(t *testing.T) {
	store := newMemory()
	ranges := []config.PoolRange{rng("10.20.0.0/24", 26), rng("10.30.0.0/24", 25)}
	a := open(t, store, ranges...)
	for i, want := range []string{"10.20.0.0/26", "10.20.0.64/26", "10.20.0.128/26", "10.20.0.192/26", "10.30.0.0/25", "10.30.0.128/25", "10.20.0.0/26"} {
		got := automatic(t, a, false)
		if got != pfx(want) {
			t.Fatalf("turn %d: got %s, want %s", i, got, want)
		}
		mustReleasePool(t, a, LocalSpace+"/"+want)
		a = open(t, store, ranges...) // the turn survives a restart
	}
	// A range that is no longer configured begins anew.
	a = open(t, store, ranges[1])
	if got := automatic(t, a, false); got != pfx("10.30.0.0/25") {
		t.Fatalf("got %s", got)
	}
	// All but one are held: that one is given at once.
	automatic(t, a, false)
	mustReleasePool(t, a, LocalSpace+"/10.30.0.128/25")
	if got := automatic(t, a, false); got != pfx("10.30.0.128/25") {
		t.Fatalf("got %s", got)
	}
}

func TestAutomaticPoolNeedsTheHost(t *testing.T) {
	a, err := New(Options{Ranges: []config.PoolRange{rng("10.20.0.0/16", 24)}, Store: newMemory(),
		Used: func(context.Context) ([]netip.Prefix, error) { return nil, errors.New("netlink is gone") }})
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.RequestPool(context.Background(), PoolRequest{Space: LocalSpace})
	wantErr(t, err, "find a free ipv4 pool: read the host's routes and addresses: netlink is gone")
	_, err = open(t, newMemory(), rng("10.20.0.0/16", 24)).RequestPool(context.Background(), PoolRequest{Space: "mars"})
	wantErr(t, err, `unknown address space "mars"`)
}

func TestReleasePool(t *testing.T) {
	store := newMemory()
	a := open(t, store)
	p := mustPool(t, a, "10.0.0.0/24", "")
	mustAddress(t, a, p.ID, "")
	mustAddress(t, a, p.ID, "10.0.0.77")
	mustReleasePool(t, a, p.ID)
	if len(store.values) != 0 {
		t.Errorf("left in the store: %v", store.values)
	}
	// The engine releases what it still had after the pool.
	mustRelease(t, a, p.ID, "10.0.0.77")
	mustReleasePool(t, a, p.ID)
	mustReleasePool(t, a, "nonsense")
	mustRelease(t, a, "nonsense", "10.0.0.1")
	_, err := address(a, p.ID, "")
	wantErr(t, err, "pool gangway-local/10.0.0.0/24 is not held|restart the engine")
	_, err = address(a, "nonsense", "")
	wantErr(t, err, `pool id "nonsense"`)
	if p := mustPool(t, a, "10.0.0.0/24", ""); inUse(t, a, p.ID) != 0 {
		t.Error("a new pool has old addresses")
	}
}

func TestStoreFailureChangesNothing(t *testing.T) {
	store := newMemory()
	a := open(t, store, rng("10.20.0.0/16", 24))
	p := mustPool(t, a, "10.0.0.0/24", "")
	held := mustAddress(t, a, p.ID, "")
	mustAddress(t, a, p.ID, "10.0.0.77")
	before, pools := store.copy(), fmt.Sprint(a.Pools())
	store.fail = errDisk
	ctx := context.Background()
	verbs := map[string]func() error{
		"explicit pool": func() error {
			_, err := a.RequestPool(ctx, PoolRequest{Space: LocalSpace, Pool: pfx("10.1.0.0/24")})
			return err
		},
		"automatic pool": func() error { _, err := a.RequestPool(ctx, PoolRequest{Space: LocalSpace}); return err },
		"chosen address": func() error { _, err := address(a, p.ID, ""); return err },
		"fixed address":  func() error { _, err := address(a, p.ID, "10.0.0.9"); return err },
		"release":        func() error { return a.ReleaseAddress(ctx, p.ID, held.Addr()) },
		"release pool":   func() error { return a.ReleasePool(ctx, p.ID) },
	}
	for name, verb := range verbs {
		updates := store.updates
		if err := verb(); !errors.Is(err, errDisk) {
			t.Errorf("%s: %v", name, err)
		}
		if store.updates != updates+1 {
			t.Errorf("%s: %d transactions", name, store.updates-updates)
		}
	}
	if got := fmt.Sprint(a.Pools()); got != pools || fmt.Sprint(store.copy()) != fmt.Sprint(before) {
		t.Errorf("changed to %s", got)
	}
	store.fail = nil
	if got := mustAddress(t, a, p.ID, ""); got.Addr() != held.Addr().Next() {
		t.Errorf("after the failure: %s", got)
	}
	if got := automatic(t, a, false); got != pfx("10.20.0.0/24") {
		t.Errorf("after the failure: pool %s", got)
	}
	mustPool(t, a, "10.1.0.0/24", "")
}

func TestPools(t *testing.T) {
	a := open(t, newMemory())
	if got := a.Pools(); len(got) != 0 {
		t.Errorf("got %v before the first", got)
	}
	mustPool(t, a, "fd00::/64", "")
	p := mustPool(t, a, "10.9.0.0/24", "10.9.0.128/25")
	mustPool(t, a, "9.0.0.0/8", "")
	mustAddress(t, a, p.ID, "")
	a.Greet()
	if _, err := a.RequestPool(context.Background(), PoolRequest{Space: GlobalSpace, Pool: pfx("10.9.0.0/24")}); err != nil {
		t.Fatal(err)
	}
	want := []PoolStatus{
		{ID: "gangway-global/10.9.0.0/24", Free: 254, Confirmed: true},
		{ID: "gangway-local/9.0.0.0/8", Free: 1<<24 - 2},
		{ID: p.ID, InUse: 1, Free: 126},
		{ID: "gangway-local/fd00::/64", Free: 1 << 64},
	}
	if got := a.Pools(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// TestPoolsFree: the number is how many addresses can be had still, those outside of the
// range not counted.
func TestPoolsFree(t *testing.T) {
	a := open(t, newMemory())
	p := mustPool(t, a, "10.9.0.0/24", "10.9.0.16/29")
	free := func(want float64) {
		t.Helper()
		if got := a.Pools()[0].Free; got != want {
			t.Errorf("%g free, want %g", got, want)
		}
	}
	free(8)
	mustAddress(t, a, p.ID, "10.9.0.77")
	mustAddress(t, a, p.ID, "10.9.0.19")
	free(7)
	for left := 6.0; left >= 0; left-- {
		mustAddress(t, a, p.ID, "")
		free(left)
	}
	if _, err := a.RequestAddress(t.Context(), AddressRequest{PoolID: p.ID}); err == nil {
		t.Error("one more can be had")
	}
	for _, addr := range []string{"10.9.0.77", "10.9.0.18", "10.9.0.18"} {
		if err := a.ReleaseAddress(t.Context(), p.ID, netip.MustParseAddr(addr)); err != nil {
			t.Fatal(err)
		}
	}
	free(1)
	mustAddress(t, a, p.ID, "")
	free(0)
}

func TestNewChecksOptions(t *testing.T) {
	for _, c := range []struct {
		r   config.PoolRange
		err string
	}{
		{rng("10.0.0.5/8", 24), "should be 10.0.0.0/8"},
		{rng("10.0.0.0/16", 8), "range 10.0.0.0/16|sizes are /16 to /30"},
		{rng("10.0.0.0/16", 31), "sizes are /16 to /30"},
		{rng("127.0.0.0/8", 24), "loopback"},
		{config.PoolRange{}, "not a masked prefix"},
	} {
		_, err := New(Options{Store: newMemory(), Used: nothingUsed, Ranges: []config.PoolRange{c.r}})
		wantErr(t, err, c.err)
	}
	_, err := New(Options{})
	wantErr(t, err, "Store and Used must be set")
}

// TestPoolOptions: what is unknown is refused, with a subnet and without, and holds
// nothing; but an engine that starts claims again what it was granted before that
// was so. What swarm puts among them passes.
func TestPoolOptions(t *testing.T) {
	store := newMemory()
	a := open(t, store, rng("10.0.0.0/8", 24))
	with := func(p netip.Prefix, options ...string) PoolRequest {
		r := PoolRequest{Space: LocalSpace, Pool: p, Options: map[string]string{"com.docker.network.ipam.serial": "true"}}
		for _, name := range options {
			r.Options[name] = "28"
		}
		return r
	}
	for _, p := range []netip.Prefix{{}, pfx("10.0.0.0/24")} {
		_, err := a.RequestPool(t.Context(), with(p, "size"))
		wantErr(t, err, `unknown address manager option "size"|--ipam-opt|gangway.sticky|--subnet|GANGWAY_POOLS`)
	}
	if pools := a.Pools(); len(pools) != 0 {
		t.Errorf("held are %v", pools)
	}
	if _, err := a.RequestPool(t.Context(), with(pfx("10.0.0.0/24"))); err != nil {
		t.Fatal(err)
	}
	a = open(t, store, rng("10.0.0.0/8", 24))
	if _, err := a.RequestPool(t.Context(), with(pfx("10.0.0.0/24"), "size")); err != nil {
		t.Errorf("claimed again: %v", err)
	}
}
