package driver

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// someOrigins are links by index, and how often they were asked for.
type someOrigins struct {
	links map[int]spec.Origin
	asked int
}

func (s *someOrigins) Origin(_ context.Context, index int) (spec.Origin, error) {
	s.asked++
	o, ok := s.links[index]
	if !ok {
		return o, errors.New("no such link")
	}
	return o, nil
}

// Relays are closed to internal networks, however their bridge is called, and to what
// is not known; what was sent to many is not brought to who has it already.
func TestAdmits(t *testing.T) {
	inner := &model.Network{ID: "inner", Bridge: "gw-inner", Options: config.Network{Internal: true}}
	outer := &model.Network{ID: "outer", Bridge: "gw-outer", Subnet4: netip.MustParsePrefix("10.0.0.0/24")}
	adopted := &model.Network{ID: "adopted", Bridge: "br9", Adopted: true, Options: config.Network{Internal: true}}
	neighbour, other := netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.1.2")
	for _, c := range []struct {
		name        string
		link        spec.Origin
		open, group bool
	}{
		{"the host", spec.Origin{Name: "lo", Loopback: true}, true, true},
		{"an uplink", spec.Origin{Name: "eth0"}, true, true},
		{"an engine's bridge", spec.Origin{Name: "br-123456789abc"}, true, true},
		{"a network", spec.Origin{Name: "gw-outer", Owner: "outer", Marked: true}, true, false},
		{"an internal network", spec.Origin{Name: "gw-inner", Owner: "inner", Marked: true}, false, false},
		{"an internal network, renamed and out of the group", spec.Origin{Name: "eth9", Owner: "inner"}, false, false},
		{"an internal network, called as another one's bridge", spec.Origin{Name: "gw-outer", Owner: "inner"}, false, false},
		{"an internal network on an adopted bridge", spec.Origin{Name: "br9", Marked: true}, false, false},
		{"one on an adopted bridge out of the group", spec.Origin{Name: "br9"}, false, false},
		{"an adopted bridge, renamed", spec.Origin{Name: "eth9", Marked: true}, false, false},
		{"a network that is gone", spec.Origin{Name: "gw-gone", Owner: "gone", Marked: true}, false, false},
		{"an endpoint's link outside of its bridge", spec.Origin{Name: "gv-1", Owner: "1"}, false, false},
	} {
		o := &someOrigins{links: map[int]spec.Origin{7: c.link}}
		d := New(Options{Origins: o})
		d.state().Apply(model.Change{Network: model.NetworkChange{After: inner}})
		d.state().Apply(model.Change{Network: model.NetworkChange{After: outer}})
		d.state().Apply(model.Change{Network: model.NetworkChange{After: adopted}})
		for _, a := range []struct {
			to    netip.Addr
			group bool
			want  bool
		}{{neighbour, false, c.open}, {neighbour, true, c.group}, {other, true, c.open}, {other, false, c.open}} {
			if got := d.Admits(7, a.to, a.group); got != a.want {
				t.Errorf("%s to %s, group %v: %v, want %v", c.name, a.to, a.group, got, a.want)
			}
		}
		if o.asked != 1 {
			t.Errorf("%s: the kernel was asked %d times", c.name, o.asked)
		}
	}
}

// What is known of a link ends with each change of a network.
func TestAdmitsFollowsNetworks(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	d.o.Origins = &someOrigins{links: map[int]spec.Origin{7: {Name: "gw-" + model.Short(netA), Owner: netA, Marked: true}}}
	to := netip.MustParseAddr("10.9.0.2")
	admits := func(want bool, when string) {
		t.Helper()
		if got := d.Admits(7, to, false); got != want {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	admits(false, "before the network")
	must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	admits(true, "with the network")
	must(t, d.DeleteNetwork(t.Context(), netA))
	admits(false, "after the network")
	if d.Admits(8, to, false) {
		t.Error("a link that is not there is admitted")
	}
}

// TestLeaves: what the daemon passes on for containers leaves by what leads outside alone, out of no
// internal network, and by the address that the network says.
func TestLeaves(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	inner := networkRequest(netB, "10.0.1.0/24", "10.0.1.1")
	inner.Options = map[string]any{"com.docker.network.internal": true}
	outer := networkRequest(netA, "10.0.0.0/24", "10.0.0.1")
	outer.Options = generic("com.docker.network.host_ipv4", "192.0.2.9")
	must(t, d.CreateNetwork(t.Context(), outer))
	must(t, d.CreateNetwork(t.Context(), inner))
	a, b := d.desiredBridge(netA), d.desiredBridge(netB)
	for _, c := range []struct {
		bridge, link, want string
		six                bool
	}{
		{a, "eth0", "192.0.2.9", false}, {a, "eth0", "invalid IP", true}, {a, "docker0", "", false}, {a, b, "", false}, {b, "eth0", "", false}, {"br9", "eth0", "", false},
	} {
		source, err := d.Leaves(c.bridge, c.link, c.six)
		if (err == nil) != (c.want != "") || err == nil && source.String() != c.want {
			t.Errorf("%+v: %s (%v)", c, source, err)
		}
	}
}

func (d *Driver) desiredBridge(network string) string {
	s, unlock := d.desired.Read()
	defer unlock()
	return s.Networks[network].Bridge
}
