package ipam

import (
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const abandonPool = "10.60.0.0/24"

// leftBehind is a store with a pool, its gateway and three addresses of an earlier
// process, and an allocator that begins with it.
func leftBehind(t *testing.T) (*memory, *Allocator, string) {
	t.Helper()
	store := newMemory()
	a := open(t, store)
	p := mustPool(t, a, abandonPool, "")
	if _, err := a.RequestAddress(t.Context(), AddressRequest{PoolID: p.ID, Gateway: true}); err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{"10.60.0.5", "10.60.0.6", "10.60.0.7"} {
		mustAddress(t, a, p.ID, addr)
	}
	return store, open(t, store), p.ID
}

func unclaimed(t *testing.T, a *Allocator, subnet string) []string {
	t.Helper()
	addrs, err := a.Unclaimed(t.Context(), pfx(subnet))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, addr := range addrs {
		out = append(out, addr.String())
	}
	slices.Sort(out)
	return out
}

// TestAbandonAddresses: only what was held at the start and not asked for since is
// released, whoever says so.
func TestAbandonAddresses(t *testing.T) {
	store, a, id := leftBehind(t)
	mustAddress(t, a, id, "10.60.0.5") // an engine repeats its request
	mustAddress(t, a, id, "10.60.0.8") // a new one
	if got, want := unclaimed(t, a, abandonPool), []string{"10.60.0.6", "10.60.0.7"}; !slices.Equal(got, want) {
		t.Errorf("unclaimed %v, want %v", got, want)
	}
	for _, other := range []string{"", "10.60.0.0/25", "10.61.0.0/24"} {
		if got := unclaimed(t, a, other); len(got) > 0 {
			t.Errorf("unclaimed in %q: %v", other, got)
		}
	}
	all := []netip.Addr{ip("10.60.0.1"), ip("10.60.0.5"), ip("10.60.0.6"), ip("10.60.0.8"), ip("10.60.0.9")}
	if err := a.AbandonAddresses(t.Context(), pfx(abandonPool), all); err != nil {
		t.Fatal(err)
	}
	for _, b := range []*Allocator{a, open(t, store)} {
		if got := b.Pools(); len(got) != 1 || got[0].InUse != 4 {
			t.Errorf("pools %+v, want one with 4 addresses in use", got)
		}
	}
	if got := unclaimed(t, a, abandonPool); !slices.Equal(got, []string{"10.60.0.7"}) {
		t.Errorf("unclaimed %v", got)
	}
}

func TestAbandonPool(t *testing.T) {
	for name, claimed := range map[string]bool{"left behind": false, "asked for since": true} {
		t.Run(name, func(t *testing.T) {
			store, a, _ := leftBehind(t)
			if claimed {
				mustPool(t, a, abandonPool, "")
			}
			for range 2 {
				if err := a.AbandonPool(t.Context(), pfx(abandonPool)); err != nil {
					t.Fatal(err)
				}
			}
			if got := len(a.Pools()) == 1; got != claimed {
				t.Errorf("pools %+v", a.Pools())
			}
			if left := len(store.copy()) > 0; left != claimed {
				t.Errorf("store %v", store.copy())
			}
		})
	}
}

// TestAbandonAfterRefusal: a second claim that the driver refused, since the network
// that was lost still had the subnet, leaves everything as unclaimed as it was.
func TestAbandonAfterRefusal(t *testing.T) {
	_, a, id := leftBehind(t)
	mustPool(t, a, abandonPool, "")
	mustAddress(t, a, id, "10.60.0.5")
	a.RetainPool(pfx(abandonPool), []netip.Addr{ip("10.60.0.5")})
	mustRelease(t, a, id, "10.60.0.5")
	mustReleasePool(t, a, id)
	if got := unclaimed(t, a, abandonPool); len(got) != 3 {
		t.Errorf("unclaimed %v, want all three", got)
	}
	if err := a.AbandonPool(t.Context(), pfx(abandonPool)); err != nil || len(a.Pools()) != 0 {
		t.Errorf("%v, pools %+v", err, a.Pools())
	}
}

// TestAbandonFails: a store that refuses changes nothing.
func TestAbandonFails(t *testing.T) {
	store, a, _ := leftBehind(t)
	before := store.copy()
	store.fail = errDisk
	for what, err := range map[string]error{
		"addresses": a.AbandonAddresses(t.Context(), pfx(abandonPool), []netip.Addr{ip("10.60.0.6")}),
		"pool":      a.AbandonPool(t.Context(), pfx(abandonPool)),
	} {
		if !errors.Is(err, errDisk) || !strings.Contains(err.Error(), "10.60.0.0/24") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := a.Pools(); len(got) != 1 || got[0].InUse != 4 || !reflect.DeepEqual(store.copy(), before) {
		t.Errorf("pools %+v, store %v", got, store.copy())
	}
}
