package driver

import (
	"maps"
	"net/netip"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/spec"
)

// lanRequest is one for a network on a LAN, with auxiliary addresses.
func lanRequest(aux4 map[string]string, options ...string) CreateNetworkRequest {
	r := withAux(aux4, nil)
	maps.Copy(r.Options, generic(append([]string{"gangway.uplink", "eth1"}, options...)...))
	return r
}

// TestLANNetwork: a network on a LAN has its uplink, the LAN's router for its gateway, and the host's address if
// there is to be one; the uplink comes back where somebody takes it, goes with the network, and
// nothing is published there.
func TestLANNetwork(t *testing.T) {
	ctx := t.Context()
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	must(t, d.CreateNetwork(ctx, lanRequest(map[string]string{"HostIPv4": "10.0.0.5"}, "gangway.host_access", "true")))
	if got := joined(t, d, ep1, "10.0.0.2/24", "fd00::2/64"); got != [2]string{"10.0.0.1", "fd00::1"} {
		t.Errorf("gateways %v", got)
	}
	bridge := d.network(netA).Bridge
	port := spec.LANPort{Link: "eth1", Bridge: bridge, NetworkID: netA, MTU: 1500}
	has := func(when string, want bool) {
		t.Helper()
		if got := f.objects[ruleID{port.Kind(), port.Key()}] == spec.Object(port); got != want {
			t.Errorf("%s: the uplink is there: %t", when, got)
		}
	}
	has("at first", true)
	if got := f.bridges[bridge].Addresses; len(got) != 1 || got[0].String() != "10.0.0.5/24" {
		t.Errorf("the bridge has %v", got)
	}
	for what, err := range map[string]error{
		"leave -p out": d.Publish(ctx, netA, ep1, portmap(8000, 80)),
		"the host's (": endpointErr(d.CreateEndpoint(ctx, endpointRequest(netA, ep2, "10.0.0.5/24"))),
		"joins network aaaaa": d.CreateNetwork(ctx, func() CreateNetworkRequest {
			r := networkRequest(netB, "10.1.0.0/24", "10.1.0.1")
			r.Options = generic("gangway.uplink", "eth1")
			return r
		}()),
	} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want %q", err, what)
		}
	}
	must(t, d.Publish(ctx, netA, ep1, config.EndpointOptions{}))
	delete(f.objects, ruleID{port.Kind(), port.Key()})
	if fixed := d.Reconcile(ctx); fixed != 1 {
		t.Errorf("%d repairs", fixed)
	}
	has("after a comparison", true)
	d = newTestDriver(t, f, "boot")
	if fixed := d.Reconcile(ctx); fixed != 0 {
		t.Errorf("%d repairs after a restart", fixed)
	}
	must(t, d.DeleteNetwork(ctx, netA))
	has("without the network", false)
}

// TestLANRefused: what the host's address on a LAN, or a policy, needs is refused with what to do.
func TestLANRefused(t *testing.T) {
	for why, r := range map[string]CreateNetworkRequest{
		"give it by --aux-address HostIPv4":      lanRequest(nil, "gangway.host_access", "true"),
		"HostIPv6=10.0.0.5 is of the other":      lanRequest(map[string]string{"HostIPv6": "10.0.0.5"}, "gangway.host_access", "true"),
		"leave gangway.uplink out, or the polic": lanRequest(nil, "gangway.egress", "internet"),
		"reach each other without the host":      lanRequest(nil, "gangway.ingress", "none"),
	} {
		if err := newTestDriver(t, newFakeHost(), "boot").CreateNetwork(t.Context(), r); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, want %q", err, why)
		}
	}
	alone := networkRequest(netA, "10.0.0.0/24", "10.0.0.1")
	alone.Options = generic("gangway.host_access", "true")
	if err := newTestDriver(t, newFakeHost(), "boot").CreateNetwork(t.Context(), alone); err == nil || !strings.Contains(err.Error(), "gangway.uplink") {
		t.Errorf("host access without a LAN: %v", err)
	}
}

// TestLeasedLAN: a network whose addresses are those of a LAN's DHCP server is on that LAN.
func TestLeasedLAN(t *testing.T) {
	bridge := func() CreateNetworkRequest {
		r := networkRequest(netA, "10.0.0.0/24", "10.0.0.1")
		r.Options = generic("com.docker.network.bridge.name", "eth1", "com.docker.network.bridge.inhibit_ipv4", "true")
		return r
	}
	for _, c := range []struct {
		on   string
		r    CreateNetworkRequest
		want bool
	}{
		{"eth1", lanRequest(nil), true},
		{"", lanRequest(nil), true},
		{"eth2", lanRequest(nil), false},
		{"eth1", networkRequest(netA, "10.0.0.0/24", "10.0.0.1"), false},
		{"eth1", bridge(), true},
		{"eth2", bridge(), false},
	} {
		c.r.LeasedBy = c.on
		err := newTestDriver(t, newFakeHost(), "boot").CreateNetwork(t.Context(), c.r)
		if c.want && err != nil || !c.want && (err == nil || !strings.Contains(err.Error(), "add -o gangway.uplink="+c.on)) {
			t.Errorf("%s, %v: %v", c.on, c.r.Options, err)
		}
	}
}

// TestHolder: who has an address is found by it.
func TestHolder(t *testing.T) {
	d := newTestDriver(t, newFakeHost(), "boot")
	must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	must(t, endpointErr(d.CreateEndpoint(t.Context(), endpointRequest(netA, ep1, "10.0.0.2/24"))))
	if got := d.Holder(netip.MustParseAddr("10.0.0.2")); got != ep1 {
		t.Errorf("%q", got)
	}
	if got := d.Holder(netip.MustParseAddr("10.0.0.3")); got != "" {
		t.Errorf("nobody's: %q", got)
	}
}
