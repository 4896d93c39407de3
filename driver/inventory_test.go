package driver

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/gangway-net/gangway/driver/events"
)

const otherEngine = "another"

// ids are the networks of claims, sorted.
func ids(claims []Claim) []string {
	var out []string
	for _, c := range claims {
		out = append(out, c.NetworkID)
	}
	slices.Sort(out)
	return out
}

// claimed fails the test unless the driver says that these networks are the
// engine's, and that it had those once.
func claimed(t *testing.T, d *Driver, r Inventory, present, absent []string) {
	t.Helper()
	p, a, err := d.NoteInventory(t.Context(), r)
	must(t, err)
	if !slices.Equal(ids(p), present) || !slices.Equal(ids(a), absent) {
		t.Errorf("%+v: present %v, absent %v; want %v and %v", r, ids(p), ids(a), present, absent)
	}
}

// inventory is what the engine of the tests says.
func inventory(networks ...string) Inventory {
	r := Inventory{Engine: "this", Networks: map[string]string{"host": "host"}}
	for _, id := range networks {
		r.Networks[id] = "net-" + id[:1]
	}
	return r
}

func twoNetworks(t *testing.T) (*fakeHost, *Driver) {
	t.Helper()
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")),
		d.CreateNetwork(t.Context(), networkRequest(netB, "10.0.1.0/24", "10.0.1.1")))
	return f, d
}

// TestInventory: a network is absent for the engine that had it, once, and for no
// other; over a restart, too.
func TestInventory(t *testing.T) {
	f, d := twoNetworks(t)
	claimed(t, d, inventory(), nil, nil) // was never named
	claimed(t, d, inventory(netA, "unknown"), []string{netA}, nil)
	f.held = nil
	d = newTestDriver(t, f, "boot")
	claimed(t, d, inventory(), nil, []string{netA})
	claimed(t, d, Inventory{Engine: otherEngine, Networks: map[string]string{netB: "n"}}, []string{netB}, nil)
	claimed(t, d, inventory(netA), []string{netA}, nil)
	claimed(t, d, Inventory{Engine: otherEngine}, nil, []string{netB})
	// The same request again is still the same.
	must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	claimed(t, d, inventory(netA), []string{netA}, nil)
	inSync(t, f, d)
}

// TestInventoryNeedsEmptiness: a network with an endpoint is not absent, and its
// claim has the endpoint's address.
func TestInventoryNeedsEmptiness(t *testing.T) {
	_, d := twoNetworks(t)
	must(t, endpointErr(d.CreateEndpoint(t.Context(), endpointRequest(netA, ep1, "10.0.0.2/24"))))
	p, _, err := d.NoteInventory(t.Context(), inventory(netA))
	must(t, err)
	if len(p) != 1 || !slices.Equal(p[0].Addresses, []netip.Addr{netip.MustParseAddr("10.0.0.2")}) || !slices.Equal(p[0].Subnets, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}) {
		t.Errorf("claims %+v", p)
	}
	claimed(t, d, inventory(), nil, nil)
	if gone, err := d.Forget(t.Context(), netA); gone || err != nil {
		t.Errorf("a network with an endpoint is forgotten: %t, %v", gone, err)
	}
	must(t, d.DeleteEndpoint(t.Context(), netA, ep1))
	claimed(t, d, inventory(), nil, []string{netA})
}

// TestInventoryFails: what could not be stored is not taken for known.
func TestInventoryFails(t *testing.T) {
	f, d := twoNetworks(t)
	f.failAt = f.ops + 1
	if _, _, err := d.NoteInventory(t.Context(), inventory(netA)); err == nil {
		t.Fatal("no error from a store that fails")
	}
	f.failAt = 0
	claimed(t, d, inventory(), nil, nil)
	inSync(t, f, d)
}

// TestForget: the network goes as if the engine had removed it, once, and is told
// of.
func TestForget(t *testing.T) {
	f, d := twoNetworks(t)
	for i, want := range []bool{true, false} {
		if gone, err := d.Forget(t.Context(), netA); gone != want || err != nil {
			t.Errorf("call %d: %t, %v", i, gone, err)
		}
	}
	inSync(t, f, d)
	if told := d.Events(t.Context(), 0, 0); len(told) != 1 || told[0].Kind != events.Lost {
		t.Errorf("events %+v", told)
	}
	if s := d.Status(t.Context()); s.Networks != 1 || len(f.bridges) != 1 {
		t.Errorf("status %+v, bridges %v", s, f.bridges)
	}
}

// TestForgetFails: a network that the store does not let go stays; one that the
// kernel does not give up goes all the same.
func TestForgetFails(t *testing.T) {
	for name, c := range map[string]struct {
		op   int
		gone bool
	}{"store": {1, false}, "kernel": {2, true}} {
		t.Run(name, func(t *testing.T) {
			f, d := twoNetworks(t)
			f.failAt = f.ops + c.op
			if gone, err := d.Forget(t.Context(), netA); gone != c.gone || err == nil {
				t.Errorf("gone %t, error %v", gone, err)
			}
			d.Reconcile(t.Context())
			if s := d.Status(t.Context()); s.Networks != len(f.bridges) || (s.Networks == 1) != c.gone {
				t.Errorf("status %+v, bridges %v", s, f.bridges)
			}
			inSync(t, f, d)
		})
	}
}

// TestDoubts: engines are asked after a network was made, and when one could not be
// removed.
func TestDoubts(t *testing.T) {
	f, d := twoNetworks(t)
	doubts := func() int {
		n := len(d.Doubts())
		for len(d.Doubts()) > 0 {
			<-d.Doubts()
		}
		return n
	}
	if n := doubts(); n != 1 {
		t.Errorf("%d doubts after two networks, want 1", n)
	}
	must(t, d.DeleteNetwork(t.Context(), netA))
	if n := doubts(); n != 0 {
		t.Error("a doubt after a removal that succeeded")
	}
	f.failAt = f.ops + 1
	if err := d.DeleteNetwork(t.Context(), netB); err == nil {
		t.Fatal("no error from a store that fails")
	}
	if n := doubts(); n != 1 {
		t.Error("no doubt after a removal that failed")
	}
}
