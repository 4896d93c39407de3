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

// TestVacantOnLAN: on a LAN a container's address is asked for, and one of the host's, which answers no
// question of its own, is refused by what the host has; before the network is there the host's own
// is asked for by the uplink.
func TestVacantOnLAN(t *testing.T) {
	ctx := t.Context()
	f := newFakeHost()
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	f.occupied = map[netip.Addr]net.HardwareAddr{netip.MustParseAddr("10.0.0.5"): mac, netip.MustParseAddr("10.0.0.7"): mac}
	d := newTestDriver(t, f, "boot")
	refused := func(err error, asked string, words ...string) {
		t.Helper()
		for _, word := range words {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("%v, want an error with %q", err, word)
			}
		}
		got := ""
		for _, a := range f.asked {
			got += a.String() + " "
		}
		if f.asked = nil; got != asked {
			t.Errorf("asked for %q, want %q", got, asked)
		}
		inSync(t, f, d)
	}
	refused(d.CreateNetwork(ctx, lanRequest(map[string]string{"HostIPv4": "10.0.0.5"}, "gangway.host_access", "true")),
		"10.0.0.5 ", "10.0.0.5 is in use on link eth1", mac.String(), "--aux-address HostIPv4")
	must(t, d.CreateNetwork(ctx, lanRequest(map[string]string{"HostIPv4": "10.0.0.6"}, "gangway.host_access", "true")))
	f.asked = nil
	refused(endpointErr(d.CreateEndpoint(ctx, endpointRequest(netA, ep1, "10.0.0.7/24"))), "10.0.0.7 ",
		"10.0.0.7 is in use on link "+d.network(netA).Bridge, mac.String(), "--ip-range")
	f.elsewhere = []spec.LinkAddress{{Link: "eth0", Address: netip.MustParsePrefix("10.0.0.8/24")}}
	refused(endpointErr(d.CreateEndpoint(ctx, endpointRequest(netA, ep1, "10.0.0.8/24"))), "", "10.0.0.8 is the host's (link eth0)", "--ip-range")
	must(t, endpointErr(d.CreateEndpoint(ctx, endpointRequest(netA, ep1, "10.0.0.9/24"))))
}
