package driver

import (
	"net/netip"
	"strings"
	"testing"
)

// TestContainerIsGateway: where the bridge does not have the gateway's address one
// container may, which has no way out by itself; all others go by it.
func TestContainerIsGateway(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	ctx := t.Context()
	inhibited := networkRequest(netA, "10.0.0.0/24", "10.0.0.9")
	inhibited.Options = generic("com.docker.network.bridge.inhibit_ipv4", "true")
	must(t, d.CreateNetwork(ctx, inhibited), d.CreateNetwork(ctx, networkRequest(netB, "10.1.0.0/24", "10.1.0.9")))
	gateway, request := netip.MustParseAddr("10.0.0.9"), endpointRequest(netA, ep1, "10.0.0.9/24")
	for range 2 {
		must(t, endpointErr(d.CreateEndpoint(ctx, request)))
	}
	join, err := d.Join(ctx, netA, ep1, "/netns/1", nil)
	must(t, err)
	if join.Gateway4.IsValid() {
		t.Errorf("the gateway's own gateway is %s", join.Gateway4)
	}
	err = endpointErr(d.CreateEndpoint(ctx, endpointRequest(netA, ep2, "10.0.0.9/24")))
	if err == nil || !strings.Contains(err.Error(), "held by endpoint 111111111111") {
		t.Errorf("a second gateway: %v", err)
	}
	must(t, endpointErr(d.CreateEndpoint(ctx, endpointRequest(netA, ep2, "10.0.0.3/24"))))
	if join, err = d.Join(ctx, netA, ep2, "/netns/2", nil); err != nil || join.Gateway4 != gateway {
		t.Errorf("another container goes by %s (%v), want %s", join.Gateway4, err, gateway)
	}
	for addr, want := range map[string]bool{"10.0.0.9": true, "10.0.0.3": false, "10.1.0.9": false} {
		if got := d.Shared(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s is shared: %t", addr, got)
		}
	}
}
