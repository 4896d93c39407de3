package ipam

import (
	"context"
	"net/netip"
	"testing"
)

// claims are what an engine sends for a network and a container.
func claims(t *testing.T, a *Allocator) string {
	t.Helper()
	p := mustPool(t, a, "10.50.0.0/24", "10.50.0.128/25")
	_, err := a.RequestAddress(context.Background(), AddressRequest{PoolID: p.ID, Address: ip("10.50.0.1"), Gateway: true})
	if err != nil {
		t.Fatal(err)
	}
	mustAddress(t, a, p.ID, "10.50.0.9")
	mustAddress(t, a, p.ID, "10.50.0.77")
	return p.ID
}

func mustRefuse(t *testing.T, a *Allocator, id string) {
	t.Helper()
	_, err := a.RequestPool(context.Background(), PoolRequest{Space: LocalSpace, Pool: pfx("10.50.0.0/24"), SubPool: pfx("10.50.0.128/25")})
	wantErr(t, err, "another network's pool")
	for _, addr := range []string{"10.50.0.1", "10.50.0.9", "10.50.0.77"} {
		_, err = address(a, id, addr)
		wantErr(t, err, "is in use by")
	}
}

func TestReplayOrConflict(t *testing.T) {
	store := newMemory()
	a := open(t, store)
	id := claims(t, a)
	mustRefuse(t, a, id)
	for name, again := range map[string]func(){
		"greeting": func() { a.Greet() },
		"restart":  func() { a = open(t, store) },
		"both":     func() { a = open(t, store); a.Greet(); a.Greet() },
	} {
		t.Run(name, func(t *testing.T) {
			again()
			updates := store.updates
			if got := claims(t, a); got != id {
				t.Errorf("the replay got pool %s, the first claim %s", got, id)
			}
			if store.updates != updates {
				t.Errorf("the replay wrote %d times", store.updates-updates)
			}
			mustRefuse(t, a, id)
		})
	}
}

func TestReplayWithAnotherRangeIsConflict(t *testing.T) {
	a := open(t, newMemory())
	claims(t, a)
	a.Greet()
	_, err := a.RequestPool(context.Background(), PoolRequest{Space: LocalSpace, Pool: pfx("10.50.0.0/24")})
	wantErr(t, err, "overlaps pool")
}

func TestUnconfirmedIsStillHeld(t *testing.T) {
	a := open(t, newMemory())
	p := mustPool(t, a, "10.0.0.0/30", "")
	mustAddress(t, a, p.ID, "")
	a.Greet()
	if got := mustAddress(t, a, p.ID, ""); got != pfx("10.0.0.2/30") {
		t.Errorf("got %s", got)
	}
	_, err := address(a, p.ID, "")
	wantErr(t, err, "no free address")
	_, err = a.RequestPool(context.Background(), PoolRequest{Space: LocalSpace, Pool: pfx("10.0.0.0/16")})
	wantErr(t, err, "overlaps pool gangway-local/10.0.0.0/30 (2 addresses in use")
}

func TestReplayTellsMore(t *testing.T) {
	store := newMemory()
	a := open(t, store)
	p := mustPool(t, a, "10.0.0.0/24", "")
	mustAddress(t, a, p.ID, "10.0.0.5")
	a.Greet()
	_, err := a.RequestAddress(context.Background(), AddressRequest{PoolID: p.ID, Address: ip("10.0.0.5"),
		Options: map[string]string{optionEndpointName: "web"}})
	if err != nil {
		t.Fatal(err)
	}
	a = open(t, store)
	mustAddress(t, a, p.ID, "10.0.0.5")
	_, err = address(a, p.ID, "10.0.0.5")
	wantErr(t, err, `container "web"`)
	a.Greet()
	store.fail = errDisk
	_, err = a.RequestAddress(context.Background(), AddressRequest{PoolID: p.ID, Address: ip("10.0.0.5"), Gateway: true})
	wantErr(t, err, "disk full")
	store.fail = nil
	mustAddress(t, a, p.ID, "10.0.0.5") // not confirmed by what failed
	_, err = address(a, p.ID, "10.0.0.5")
	wantErr(t, err, `container "web"`) // nor made the gateway
}

// TestGatewayOfForgottenNetwork: the engine removed a network while the driver
// was not there, and the user makes it again.
func TestGatewayOfForgottenNetwork(t *testing.T) {
	store := newMemory()
	a := open(t, store)
	gateway := func() netip.Prefix {
		t.Helper()
		p := mustPool(t, a, "10.0.0.0/24", "")
		got, err := a.RequestAddress(context.Background(), AddressRequest{PoolID: p.ID, Gateway: true})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := gateway()
	a = open(t, store)
	if again := gateway(); again != first {
		t.Errorf("gateway %s, then %s", first, again)
	}
	got, err := a.RequestAddress(context.Background(), AddressRequest{PoolID: "gangway-local/10.0.0.0/24", Gateway: true})
	if err != nil || got == first {
		t.Errorf("a confirmed gateway was given again: %s, %v", got, err)
	}
}

// TestGatewayMarkOnTasks: swarm's allocator marks requests for tasks' addresses
// as a gateway's on networks with two subnets.
func TestGatewayMarkOnTasks(t *testing.T) {
	a := open(t, newMemory())
	ctx := context.Background()
	pool, err := a.RequestPool(ctx, PoolRequest{Space: GlobalSpace, Pool: pfx("10.0.0.0/24")})
	if err != nil {
		t.Fatal(err)
	}
	claim := func(addr string) netip.Addr {
		t.Helper()
		got, refused := a.RequestAddress(ctx, AddressRequest{PoolID: pool.ID, Address: ip(addr), Gateway: true})
		if refused != nil {
			t.Fatal(refused)
		}
		return got.Addr()
	}
	gateway, task := claim(""), claim("")
	if gateway != ip("10.0.0.1") || task != ip("10.0.0.2") {
		t.Fatalf("gateway %s, task %s", gateway, task)
	}
	a.Greet() // the driver was restarted: the allocator repeats nothing
	if got := claim(""); got == gateway || got == task {
		t.Errorf("a new task has %s, which is in use", got)
	}
	// A new allocator repeats everything.
	a.Greet()
	claim(task.String())
	claim(gateway.String())
	_, err = address(a, pool.ID, "10.0.0.1")
	wantErr(t, err, "the network's gateway")
	_, err = address(a, pool.ID, "10.0.0.2")
	wantErr(t, err, "in use by a container")
}

func TestRetainPool(t *testing.T) {
	a := open(t, newMemory())
	id := claims(t, a)
	a.Greet()
	// A second network with the same subnet, and one auxiliary address more.
	claims(t, a)
	mustAddress(t, a, id, "10.50.0.10")
	a.RetainPool(pfx("10.50.0.0/24"), []netip.Addr{ip("10.50.0.1"), ip("10.50.0.9"), ip("10.50.0.10"), ip("10.50.0.200")})
	for _, addr := range []string{"10.50.0.1", "10.50.0.9", "10.50.0.10"} {
		mustRelease(t, a, id, addr)
	}
	mustReleasePool(t, a, id)
	if n := inUse(t, a, id); n != 3 {
		t.Fatalf("%d addresses are left, want the first network's 3", n)
	}
	mustRefuse(t, a, id)
	// The first network goes.
	mustRelease(t, a, id, "10.50.0.9")
	if n := inUse(t, a, id); n != 2 {
		t.Errorf("%d addresses after a release", n)
	}
	mustReleasePool(t, a, id)
	if n := len(a.Pools()); n != 0 {
		t.Errorf("%d pools after the second release", n)
	}
}

func TestRetainAddresses(t *testing.T) {
	a := open(t, newMemory())
	id := claims(t, a)
	a.Greet()
	mustAddress(t, a, id, "10.50.0.77") // a second container with the same --ip
	a.RetainAddresses(pfx("10.50.0.7/24"), []netip.Addr{ip("::ffff:10.50.0.77")})
	mustRelease(t, a, id, "10.50.0.77")
	_, err := address(a, id, "10.50.0.77")
	wantErr(t, err, "is in use by")
	mustRelease(t, a, id, "10.50.0.77")
	mustAddress(t, a, id, "10.50.0.77")

	// The pool itself was not retained.
	mustReleasePool(t, a, id)
	if n := len(a.Pools()); n != 0 {
		t.Errorf("%d pools", n)
	}
}

// TestRetainOnlyRepetitions: what a refused claim got for itself is released.
func TestRetainOnlyRepetitions(t *testing.T) {
	a := open(t, newMemory())
	id := claims(t, a)
	a.RetainPool(pfx("10.50.0.0/24"), []netip.Addr{ip("10.50.0.77")})
	a.RetainPool(pfx("10.50.0.0/16"), []netip.Addr{ip("10.50.0.77")})
	a.RetainPool(pfx("10.51.0.0/24"), nil)
	a.RetainPool(netip.Prefix{}, nil)
	a.RetainAddresses(pfx("10.50.0.0/24"), []netip.Addr{{}})
	mustRelease(t, a, id, "10.50.0.77")
	mustAddress(t, a, id, "10.50.0.77")
	mustReleasePool(t, a, id)
	if n := len(a.Pools()); n != 0 {
		t.Errorf("%d pools", n)
	}
}

// TestRetainEndsWithNextClaim: an engine that died before the release greets
// anew, and its releases count again.
func TestRetainEndsWithNextClaim(t *testing.T) {
	a := open(t, newMemory())
	id := claims(t, a)
	a.Greet()
	claims(t, a)
	a.RetainPool(pfx("10.50.0.0/24"), []netip.Addr{ip("10.50.0.77")})
	a.Greet()
	claims(t, a)
	mustRelease(t, a, id, "10.50.0.77")
	if n := inUse(t, a, id); n != 2 {
		t.Errorf("%d addresses", n)
	}
	mustReleasePool(t, a, id)
	if n := len(a.Pools()); n != 0 {
		t.Errorf("%d pools", n)
	}
}
