package model

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"

	"github.com/gangway-net/gangway/driver/spec"
)

// place admits the i-th endpoint of a network and makes it part of the state.
func place(t *testing.T, s *State, n *Network, i int, sandbox string) *Endpoint {
	t.Helper()
	a := netip.AddrFrom4([4]byte{10, 0, byte(1 + i/200), byte(1 + i%200)})
	e := &Endpoint{ID: fmt.Sprintf("e%d", i), NetworkID: n.ID, IPv4: netip.PrefixFrom(a, 8), MACChosen: true, Sandbox: sandbox}
	e.MAC = ChooseMAC(e)
	if err := s.AdmitEndpoint(n, e); err != nil {
		t.Fatal(err)
	}
	s.Apply(Change{Endpoints: []EndpointChange{{After: e}}})
	return e
}

// TestSeats: an endpoint gets the first bridge with room and keeps it, whatever comes and goes; a further bridge is needed as long as
// one of its endpoints is in a container. Who loads what is stored gets the same counts.
func TestSeats(t *testing.T) {
	s, n := NewState(), &Network{ID: "0123456789abcdef", Bridge: "gw-n", Subnet4: netip.MustParsePrefix("10.0.0.0/8")}
	s.Apply(Change{Network: NetworkChange{After: n}})
	var all []*Endpoint
	for i := range 2*BridgeRoom + 1 {
		all = append(all, place(t, s, n, i, ""))
	}
	if a, b, c := all[BridgeRoom-1].Further, all[BridgeRoom].Further, all[2*BridgeRoom].Further; a != 0 || b != 2 || c != 3 {
		t.Errorf("endpoints are on %d, %d and %d", a, b, c)
	}
	if got := s.Further(n.ID); got != nil {
		t.Errorf("bridges %v without a container", got)
	}
	join := func(i int, sandbox string) {
		joined := *all[i]
		joined.Sandbox = sandbox
		s.Apply(Change{Endpoints: []EndpointChange{{Before: all[i], After: &joined}}})
		all[i] = &joined
	}
	want := func(when string, want ...int) {
		t.Helper()
		if got := s.Further(n.ID); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: bridges %v, want %v", when, got, want)
		}
		loaded := NewState()
		loaded.Apply(Change{Network: NetworkChange{After: n}})
		for _, i := range rand.Perm(len(all)) {
			if s.Endpoints[all[i].ID] != nil {
				loaded.Apply(Change{Endpoints: []EndpointChange{{After: all[i]}}})
			}
		}
		if !reflect.DeepEqual(loaded.crowds, s.crowds) || !reflect.DeepEqual(s.Snapshot().crowds, s.crowds) {
			t.Errorf("%s: loaded %v, want %v", when, loaded.crowds, s.crowds)
		}
	}
	join(3, "box")
	want("with one on the first")
	join(2*BridgeRoom, "a")
	want("with one on the third", 3)
	join(BridgeRoom, "b")
	join(BridgeRoom+1, "c")
	want("with some on the second", 2, 3)
	join(BridgeRoom, "")
	want("when one has left", 2, 3)
	s.Apply(Change{Endpoints: []EndpointChange{{Before: all[BridgeRoom+1]}}})
	want("when the other is deleted", 3)
	if e := place(t, s, n, 5000, ""); e.Further != 2 {
		t.Errorf("a new one is on %d", e.Further)
	}
	s.Apply(Change{Endpoints: []EndpointChange{{Before: all[7]}}})
	if e := place(t, s, n, 5001, ""); e.Further != 0 {
		t.Errorf("in the place of one of the first it is on %d", e.Further)
	}
}

// TestFurtherNames: they fit the kernel's limit, and lead back to the network.
func TestFurtherNames(t *testing.T) {
	n := &Network{ID: "0123456789abcdef", Bridge: "br0"}
	b := spec.FurtherBridge{NetworkID: n.ID, Number: MaxBridges, Name: n.FurtherName(MaxBridges)}
	for _, name := range []string{b.Name, b.Near(), b.Far()} {
		if len(name) != 15 {
			t.Errorf("%q has %d bytes", name, len(name))
		}
	}
	for _, owner := range []string{b.Owner(), b.FarOwner()} {
		if id, number := spec.NetworkOf(owner); id != n.ID || number != MaxBridges {
			t.Errorf("%s is %d of %s", owner, number, id)
		}
	}
	if id, number := spec.NetworkOf(n.ID); id != n.ID || number != 0 {
		t.Errorf("the first bridge is %d of %s", number, id)
	}
}
