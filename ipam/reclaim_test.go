package ipam

import (
	"net/netip"
	"reflect"
	"testing"
)

// TestReclaim: what an engine says that it has is held again, also after a restart,
// and nobody else gets it; to say so again changes nothing.
func TestReclaim(t *testing.T) {
	store := newMemory()
	a := open(t, store)
	h := Holding{Subnet: pfx("10.60.0.0/24"), Range: pfx("10.60.0.64/26"), Gateway: pfx("10.60.0.1/24"), Addresses: []netip.Addr{ip("10.60.0.65"), ip("10.60.0.9")}}
	for range 2 {
		if err := a.Reclaim(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		if got := a.Pools(); len(got) != 1 || got[0].InUse != 3 {
			t.Errorf("pools %+v", got)
		}
	}
	before := store.copy()
	const id = LocalSpace + "/10.60.0.0/24/10.60.0.64/26"
	for _, taken := range []string{"10.60.0.1", "10.60.0.65", "10.60.0.9"} {
		if _, err := address(a, id, taken); err == nil {
			t.Errorf("%s is given out again", taken)
		}
	}
	if _, err := a.RequestPool(t.Context(), PoolRequest{Space: LocalSpace, Pool: pfx("10.60.0.0/25")}); err == nil {
		t.Error("an overlapping pool is given out")
	}
	a = open(t, store)
	if err := a.Reclaim(t.Context(), h); err != nil || !reflect.DeepEqual(store.copy(), before) {
		t.Errorf("after a restart: %v, stored %s", err, store.copy())
	}
	// The engine's own words after its start, and the releases at last.
	a.Greet()
	mustPool(t, a, "10.60.0.0/24", "10.60.0.64/26")
	mustAddress(t, a, id, "10.60.0.65")
	mustRelease(t, a, id, "10.60.0.65")
	mustReleasePool(t, a, id)
	if left := store.copy(); len(left) != 0 {
		t.Errorf("left %s", left)
	}
}

// TestReclaimGateway: a gateway that is not known is what is given to one.
func TestReclaimGateway(t *testing.T) {
	for name, c := range map[string]struct {
		holding Holding
		gateway string
	}{
		"told":       {Holding{Subnet: pfx("10.60.0.0/24"), Gateway: pfx("10.60.0.254/24")}, "10.60.0.254"},
		"not told":   {Holding{Subnet: pfx("10.60.0.0/24")}, "10.60.0.1"},
		"in a range": {Holding{Subnet: pfx("10.60.0.0/24"), Range: pfx("10.60.0.64/26")}, "10.60.0.64"},
		"IPv6":       {Holding{Subnet: pfx("fd60::/64")}, "fd60::1"},
	} {
		a := open(t, newMemory())
		if err := a.Reclaim(t.Context(), c.holding); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p := a.local(c.holding.Subnet); p == nil || p.gateway != ip(c.gateway) {
			t.Errorf("%s: pool %+v", name, p)
		}
	}
}

// TestReclaimRefuses: what cannot be, or is another's, is an error.
func TestReclaimRefuses(t *testing.T) {
	a := open(t, newMemory())
	mustPool(t, a, "10.60.0.0/24", "10.60.0.0/25")
	before := a.Pools()
	for name, h := range map[string]Holding{
		"no subnet":             {},
		"overlaps":              {Subnet: pfx("10.60.0.0/16")},
		"another range":         {Subnet: pfx("10.60.0.0/24")},
		"range elsewhere":       {Subnet: pfx("10.61.0.0/24"), Range: pfx("10.62.0.0/24")},
		"range of other family": {Subnet: pfx("10.61.0.0/24"), Range: pfx("fd00::/80")},
	} {
		if err := a.Reclaim(t.Context(), h); err == nil {
			t.Errorf("%s: taken back", name)
		}
	}
	if got := a.Pools(); !reflect.DeepEqual(before, got) {
		t.Errorf("pools %+v, before %+v", got, before)
	}
	if err := a.Reclaim(t.Context(), Holding{Subnet: pfx("10.63.0.0/24"), Addresses: []netip.Addr{ip("10.64.0.1"), ip("10.63.0.7")}}); err == nil {
		t.Error("an address of another subnet is taken back")
	}
	if p := a.local(pfx("10.63.0.0/24")); p == nil || p.held[ip("10.63.0.7")] == nil {
		t.Error("an error about one address leaves out the next")
	}
}
