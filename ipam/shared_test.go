package ipam

import (
	"context"
	"net/netip"
	"testing"
)

// TestShared: the gateway's address is a container's as well where it is left to
// one, in whichever order an engine claims them, and stays the network's when the
// container gives it back. Without that it is the network's alone.
func TestShared(t *testing.T) {
	store, left := newMemory(), true
	load := func() *Allocator {
		a, err := New(Options{Store: store, Used: nothingUsed, Shared: func(a netip.Addr) bool { return left && a == ip("10.50.0.9") }})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := load()
	p := mustPool(t, a, "10.50.0.0/24", "")
	ask := func(gateway bool) error {
		_, err := a.RequestAddress(context.Background(), AddressRequest{PoolID: p.ID, Address: ip("10.50.0.9"), Gateway: gateway})
		return err
	}
	give := func() {
		t.Helper()
		if err := a.ReleaseAddress(context.Background(), p.ID, ip("10.50.0.9")); err != nil {
			t.Fatal(err)
		}
	}
	for name, order := range map[string][]bool{"the gateway first": {true, false}, "the container first": {false, true}} {
		for _, gateway := range order {
			if err := ask(gateway); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		a = load()
		a.Greet()
		mustPool(t, a, "10.50.0.0/24", "")
	}
	if err := ask(true); err != nil {
		t.Fatal(err)
	}
	give()
	for range 254 - 1 {
		got := mustAddress(t, a, p.ID, "")
		if got.Addr() == ip("10.50.0.9") {
			t.Fatal("the gateway was given to somebody who did not name it")
		}
	}
	left = false
	wantErr(t, ask(false), "the network's gateway")
	give()
	if err := ask(false); err != nil {
		t.Errorf("after the network has gone: %v", err)
	}
}
