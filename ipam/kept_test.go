package ipam

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// named asks for an address as an engine does from 29 on.
func named(a *Allocator, pool, name, addr string) (netip.Addr, error) {
	got, err := a.RequestAddress(context.Background(), AddressRequest{PoolID: pool, Address: ip(addr), Options: map[string]string{optionEndpointName: name}})
	return got.Addr(), err
}

func mustNamed(t testing.TB, a *Allocator, pool, name string) netip.Addr {
	t.Helper()
	got, err := named(a, pool, name, "")
	if err != nil {
		t.Fatalf("address for %s: %v", name, err)
	}
	return got
}

func wantNamed(t *testing.T, a *Allocator, pool, name, want string) {
	t.Helper()
	if got := mustNamed(t, a, pool, name); got != ip(want) {
		t.Errorf("%s has %s, want %s", name, got, want)
	}
}

// keptKeys counts what the store has of kept addresses.
func keptKeys(m *memory) (n int) {
	for key := range m.copy() {
		if strings.HasPrefix(key, keptPrefix) {
			n++
		}
	}
	return n
}

// TestSticky: a name gets its address again, over a restart too, and nobody else gets it
// while others are free.
func TestSticky(t *testing.T) {
	for subnet, first := range map[string]string{"10.0.0.0/24": "10.0.0.", "fd00::/64": "fd00::"} {
		store := newMemory()
		a := open(t, store)
		p := mustPool(t, a, subnet, "").ID
		wantNamed(t, a, p, "web", first+"1")
		wantNamed(t, a, p, "db", first+"2")
		mustRelease(t, a, p, first+"1")
		mustRelease(t, a, p, first+"2")
		wantNamed(t, a, p, "cache", first+"3")
		wantNamed(t, a, p, "db", first+"2")
		a = open(t, store)
		wantNamed(t, a, p, "web", first+"1")
		wantNamed(t, a, p, "queue", first+"4")
		if n := keptKeys(store); n != 0 {
			t.Errorf("%d addresses are kept", n)
		}
		// Somebody else of the same name, such as of another engine, has its own.
		wantNamed(t, a, p, "web", first+"5")
		mustRelease(t, a, p, first+"1")
		mustRelease(t, a, p, first+"5")
		wantNamed(t, a, p, "web", first+"5")
		mustReleasePool(t, a, p)
		if left := store.copy(); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	}
}

// TestKeptIsFree: who asks for a kept address has it, and whose it was gets another one.
// It belongs to who had it last.
func TestKeptIsFree(t *testing.T) {
	a := open(t, newMemory())
	p := mustPool(t, a, "10.0.0.0/24", "10.0.0.0/25").ID
	wantNamed(t, a, p, "web", "10.0.0.1")
	mustRelease(t, a, p, "10.0.0.1")
	if _, err := named(a, p, "db", "10.0.0.1"); err != nil {
		t.Fatal(err)
	}
	wantNamed(t, a, p, "web", "10.0.0.2")
	mustRelease(t, a, p, "10.0.0.1")
	mustRelease(t, a, p, "10.0.0.2")
	wantNamed(t, a, p, "db", "10.0.0.1")
	wantNamed(t, a, p, "web", "10.0.0.2")
	// One that was asked for counts as well, unless it could not be chosen.
	mustRelease(t, a, p, "10.0.0.2")
	if _, err := named(a, p, "web", "10.0.0.77"); err != nil {
		t.Fatal(err)
	}
	mustRelease(t, a, p, "10.0.0.77")
	if _, err := named(a, p, "web", "10.0.0.200"); err != nil {
		t.Fatal(err)
	}
	mustRelease(t, a, p, "10.0.0.200")
	wantNamed(t, a, p, "web", "10.0.0.77")
	wantNamed(t, a, p, "cache", "10.0.0.3")
}

// TestKeptIsGivenLast: what is kept is given to others when nothing else is free, the one
// that was released first to begin with, and the pool is full when all are in use.
func TestKeptIsGivenLast(t *testing.T) {
	store := newMemory()
	a := open(t, store)
	p := mustPool(t, a, "10.0.0.0/29", "").ID
	for i := range 5 {
		mustNamed(t, a, p, fmt.Sprint("c", i))
	}
	for _, i := range []int{3, 1, 5, 2, 4} {
		mustRelease(t, a, p, fmt.Sprint("10.0.0.", i))
	}
	a = open(t, store)
	for _, want := range []int{6, 3, 1, 5} {
		if got := mustAddress(t, a, p, ""); got.Addr() != ip(fmt.Sprint("10.0.0.", want)) {
			t.Errorf("got %s, want .%d", got, want)
		}
	}
	wantNamed(t, a, p, "c0", "10.0.0.2") // another one has .1
	wantNamed(t, a, p, "c3", "10.0.0.4")
	_, err := named(a, p, "c1", "")
	wantErr(t, err, "no free address: all 6 are in use")
}

// TestNotSticky: a pool that is to keep nothing does not, and forgets what it kept.
func TestNotSticky(t *testing.T) {
	store := newMemory()
	a := open(t, store)
	claim := func(sticky string) string {
		t.Helper()
		a.Greet()
		p, err := a.RequestPool(t.Context(), PoolRequest{Space: LocalSpace, Pool: pfx("10.0.0.0/24"), Options: map[string]string{"gangway.sticky": sticky}})
		if err != nil {
			t.Fatal(err)
		}
		return p.ID
	}
	p := claim("false")
	wantNamed(t, a, p, "web", "10.0.0.1")
	mustRelease(t, a, p, "10.0.0.1")
	a = open(t, store)
	wantNamed(t, a, p, "web", "10.0.0.2")
	claim("true")
	mustRelease(t, a, p, "10.0.0.2")
	wantNamed(t, a, p, "web", "10.0.0.2")
	mustRelease(t, a, p, "10.0.0.2")
	claim("0")
	wantNamed(t, a, p, "web", "10.0.0.3")
	if n := keptKeys(store); n != 0 {
		t.Errorf("%d addresses are kept", n)
	}
	_, err := a.RequestPool(t.Context(), PoolRequest{Space: LocalSpace, Pool: pfx("10.1.0.0/24"), Options: map[string]string{"gangway.sticky": "maybe"}})
	wantErr(t, err, `--ipam-opt|gangway.sticky: "maybe" is neither true nor false`)
	_, err = a.RequestPool(t.Context(), PoolRequest{Space: LocalSpace, Pool: pfx("10.1.0.0/24"), Options: map[string]string{"gangway.stiky": "false"}})
	wantErr(t, err, "did you mean gangway.sticky?")
}

// TestKeptIsBounded: names that never come back cost no more than so much memory.
func TestKeptIsBounded(t *testing.T) {
	store := newMemory()
	a := open(t, store)
	p := mustPool(t, a, "10.0.0.0/16", "").ID
	first := mustNamed(t, a, p, "c0")
	mustRelease(t, a, p, first.String())
	for i := range mostKept + 10 {
		mustRelease(t, a, p, mustNamed(t, a, p, fmt.Sprint("c", i+1)).String())
	}
	if n := keptKeys(store); n != mostKept {
		t.Errorf("%d addresses are kept, want %d", n, mostKept)
	}
	a = open(t, store)
	if got := mustNamed(t, a, p, fmt.Sprint("c", mostKept)); got != ip("10.0.4.1") {
		t.Errorf("a name that is known has %s", got)
	}
	if got := mustNamed(t, a, p, "c0"); got == first {
		t.Error("a name is known for ever")
	}
	mustRelease(t, a, p, mustNamed(t, a, p, strings.Repeat("n", longestName+1)).String())
	if n := keptKeys(store); n != mostKept-1 {
		t.Errorf("%d addresses are kept, want %d", n, mostKept-1)
	}
}

// TestKeptAndFailures: what the store refuses leaves memory as it was.
func TestKeptAndFailures(t *testing.T) {
	store := newMemory()
	a := open(t, store)
	p := mustPool(t, a, "10.0.0.0/24", "").ID
	wantNamed(t, a, p, "web", "10.0.0.1")
	store.fail = errDisk
	wantErr(t, a.ReleaseAddress(t.Context(), p, ip("10.0.0.1")), "disk full")
	store.fail = nil
	if n := a.byID[p].kept.len(); n != 0 {
		t.Errorf("%d addresses in use are kept", n)
	}
	mustRelease(t, a, p, "10.0.0.1")
	store.fail = errDisk
	_, err := named(a, p, "web", "")
	wantErr(t, err, "disk full")
	store.fail = nil
	wantNamed(t, a, p, "web", "10.0.0.1")
}

// TestAbandonedIsKept: a release that the engine's call for was lost is one as well.
func TestAbandonedIsKept(t *testing.T) {
	store := newMemory()
	a := open(t, store)
	p := mustPool(t, a, "10.0.0.0/24", "").ID
	wantNamed(t, a, p, "web", "10.0.0.1")
	a = open(t, store)
	if err := a.AbandonAddresses(t.Context(), pfx("10.0.0.0/24"), []netip.Addr{ip("10.0.0.1"), ip("10.0.0.9")}); err != nil {
		t.Fatal(err)
	}
	wantNamed(t, a, p, "db", "10.0.0.2")
	wantNamed(t, a, p, "web", "10.0.0.1")
}

// TestStickyAtOnce: containers that start and stop at the same time never have the same
// address, and each gets its own again.
func TestStickyAtOnce(t *testing.T) {
	a := open(t, newMemory())
	p := mustPool(t, a, "10.0.0.0/27", "").ID // 30 addresses
	var mu sync.Mutex
	holder := map[netip.Addr]string{}
	var all sync.WaitGroup
	for i := range 10 {
		name := fmt.Sprint("c", i)
		all.Go(func() {
			var own netip.Addr
			for range 200 {
				got, err := named(a, p, name, "")
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if other := holder[got]; other != "" || own.IsValid() && got != own {
					t.Errorf("%s has %s, which %q has; before it had %s", name, got, other, own)
				}
				holder[got], own = name, got
				mu.Unlock()
				runtime.Gosched()
				mu.Lock()
				delete(holder, got)
				mu.Unlock()
				if err := a.ReleaseAddress(context.Background(), p, got); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}
