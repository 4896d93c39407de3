package driver

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/spec"
)

// TestVacant: on an adopted bridge addresses are asked for before they are used,
// each once, and one that is in use leaves nothing behind.
func TestVacant(t *testing.T) {
	f := newFakeHost()
	f.foreign["lan0"] = spec.BridgeInfo{Exists: true, Kind: "bridge"}
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	f.occupied = map[netip.Addr]net.HardwareAddr{netip.MustParseAddr("10.0.0.1"): mac, netip.MustParseAddr("10.0.0.7"): mac}
	d := newTestDriver(t, f, "boot")
	ctx := t.Context()
	lan := func(gateway string) CreateNetworkRequest {
		r := networkRequest(netA, "10.0.0.0/24", gateway)
		r.Options = generic("com.docker.network.bridge.name", "lan0")
		return r
	}
	refused := func(err error, address string, words ...string) {
		t.Helper()
		for _, word := range append(words, address, "lan0", mac.String()) {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v, want an error with %q", address, err, word)
			}
		}
		inSync(t, f, d)
	}
	asked := func(want ...string) {
		t.Helper()
		var got []string
		for _, a := range f.asked {
			got = append(got, a.String())
		}
		if f.asked = nil; !slices.Equal(got, want) {
			t.Errorf("asked for %v, want %v", got, want)
		}
	}
	refused(d.CreateNetwork(ctx, lan("10.0.0.1")), "10.0.0.1", "--gateway", "inhibit_ipv4")
	asked("10.0.0.1")
	must(t, d.CreateNetwork(ctx, lan("10.0.0.2")))
	asked("10.0.0.2")

	refused(endpointErr(d.CreateEndpoint(ctx, endpointRequest(netA, ep1, "10.0.0.7/24"))), "10.0.0.7", "--ip", "--aux-address")
	asked("10.0.0.7")
	if len(d.state().Endpoints) != 0 {
		t.Errorf("left: %v", d.state().Endpoints)
	}
	must(t, endpointErr(d.CreateEndpoint(ctx, endpointRequest(netA, ep1, "10.0.0.8/24"))))
	asked("10.0.0.8")
	must(t, endpointErr(d.CreateEndpoint(ctx, endpointRequest(netA, ep1, "10.0.0.8/24"))))
	asked() // it is the endpoint's own by now

	// The bridge's owner gave it the gateway's address: nothing to ask for.
	f.foreign["lan1"] = spec.BridgeInfo{Exists: true, Kind: "bridge", Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.1.1/24")}}
	r := networkRequest(netB, "10.0.1.0/24", "10.0.1.1")
	r.Options = generic("com.docker.network.bridge.name", "lan1")
	must(t, d.CreateNetwork(ctx, r), d.DeleteNetwork(ctx, netB))
	// On a bridge of its own gangway knows who is there.
	must(t, d.CreateNetwork(ctx, networkRequest(netB, "10.0.1.0/24", "10.0.1.1")))
	container(t, d, netB, ep2, "10.0.1.7/24", 8080, 80)
	asked()
}
