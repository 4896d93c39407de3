package driver

import (
	"maps"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/spec"
)

// proxiedRequest is one for a network whose containers the host answers for by eth0.
func proxiedRequest(id string, options ...string) CreateNetworkRequest {
	r := networkRequest(id, "10.0.0.0/24", "10.0.0.1")
	r.Options = generic(append([]string{"gangway.ndp_proxy", "eth0", "com.docker.network.bridge.gateway_mode_ipv6", "routed"}, options...)...)
	r.Options["com.docker.network.enable_ipv6"] = true
	r.IPv6 = pool("fd00::/64", "fd00::1")
	return r
}

// TestProxied: the host answers for an address from joining to leaving, also over a restart; what somebody takes away comes back, what a
// killed daemon left goes, and so does all with the network.
func TestProxied(t *testing.T) {
	ctx := t.Context()
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	must(t, d.CreateNetwork(ctx, proxiedRequest(netA)))
	proxy := spec.NDPProxy{Link: "eth0", NetworkID: netA, Subnet: netip.MustParsePrefix("fd00::/64")}
	has := func(when string, want ...string) {
		t.Helper()
		got := map[string]bool{}
		for id, o := range f.objects {
			if a, is := o.(spec.Proxied); is {
				got[a.Address.String()] = true
			}
			if id.kind == spec.KindNDPProxy && o != spec.Object(proxy) {
				t.Errorf("%s: %v", when, o)
			}
		}
		all := map[string]bool{}
		for _, a := range want {
			all[a] = true
		}
		if !maps.Equal(got, all) {
			t.Errorf("%s: answers for %v, want %v", when, got, want)
		}
	}
	has("at first")
	joined(t, d, ep1, "10.0.0.2/24", "fd00::2/64")
	has("joined", "fd00::2")
	stray := spec.Proxied{EndpointID: "gone", Link: "eth0", Address: netip.MustParseAddr("fd00::9")}
	f.objects[ruleID{stray.Kind(), stray.Key()}] = stray
	delete(f.objects, ruleID{spec.KindProxied, ep1})
	delete(f.objects, ruleID{proxy.Kind(), proxy.Key()})
	if fixed := d.Reconcile(ctx); fixed != 3 {
		t.Errorf("%d repairs", fixed)
	}
	has("after a comparison", "fd00::2")
	d = newTestDriver(t, f, "boot")
	if fixed := d.Reconcile(ctx); fixed != 0 {
		t.Errorf("%d repairs after a restart", fixed)
	}
	has("after a restart", "fd00::2")
	must(t, d.Leave(ctx, netA, ep1))
	has("left")
	must(t, d.DeleteEndpoint(ctx, netA, ep1), d.DeleteNetwork(ctx, netA))
	if _, there := f.objects[ruleID{proxy.Kind(), proxy.Key()}]; there {
		t.Error("the link is not given back with the network")
	}
}

// TestProxiedRefused: links that cannot answer, and addresses that somebody there has, are refused by name.
func TestProxiedRefused(t *testing.T) {
	ctx := t.Context()
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	other := func(options ...string) CreateNetworkRequest {
		r := networkRequest(netB, "10.1.0.0/24", "10.1.0.1")
		r.Options = generic(options...)
		return r
	}
	linkLocal := proxiedRequest(netB)
	linkLocal.IPv4, linkLocal.IPv6 = pool("10.1.0.0/24", "10.1.0.1"), pool("fe80::/64", "fe80::1")
	router := proxiedRequest(netA)
	f.occupied = map[netip.Addr]net.HardwareAddr{netip.MustParseAddr("fd00::1"): {2, 0, 0, 0, 0, 9}}
	if err := d.CreateNetwork(ctx, router); err == nil || !strings.Contains(err.Error(), "fd00::1 is in use on link eth0") {
		t.Errorf("the router's address as the gateway's: %v", err)
	}
	f.occupied = nil
	must(t, d.CreateNetwork(ctx, router))
	f.occupied = map[netip.Addr]net.HardwareAddr{netip.MustParseAddr("fd00::7"): {2, 0, 0, 0, 0, 9}, netip.MustParseAddr("10.0.0.7"): {2, 0, 0, 0, 0, 9}}
	seven := endpointRequest(netA, ep1, "10.0.0.8/24")
	seven.IPv6 = netip.MustParsePrefix("fd00::7/64")
	for why, err := range map[string]error{
		"link eth0 is a port of the bridge": d.CreateNetwork(ctx, other("gangway.uplink", "eth0")),
		"link eth0 is the bridge":           d.CreateNetwork(ctx, other("com.docker.network.bridge.name", "eth0")),
		"is link-local":                     d.CreateNetwork(ctx, linkLocal),
		"fd00::7 is in use on link eth0":    endpointErr(d.CreateEndpoint(ctx, seven)),
	} {
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, want %q", err, why)
		}
	}
	// Nobody answers for IPv4 addresses.
	must(t, endpointErr(d.CreateEndpoint(ctx, endpointRequest(netA, ep1, "10.0.0.7/24"))))
	inSync(t, f, d)
}
