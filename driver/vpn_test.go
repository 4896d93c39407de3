package driver

import (
	"encoding/json"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/spec"
)

// steeredRequest is one for a network that is left by one of its containers.
func steeredRequest(gateway string, options ...string) CreateNetworkRequest {
	r := networkRequest(netA, "10.0.0.0/24", "10.0.0.1")
	r.Options = generic(append([]string{"gangway.gateway", gateway}, options...)...)
	return r
}

// wayOut is what the host has for it: by an address, or nowhere.
func (f *fakeHost) wayOut(t *testing.T, when, via string) {
	t.Helper()
	var want netip.Addr
	if via != "" {
		want = netip.MustParseAddr(via)
	}
	bridge := bridgeName(netA)
	way, _ := f.objects[ruleID{spec.KindSteering, bridge}].(spec.Steering)
	if len(way.Ways) != 1 || way.Ways[0].Via != want || way.Bridge != bridge {
		t.Errorf("%s: the way out is %v, want it by %q", when, way, via)
	}
}

// third and fourth are endpoints beside ep1 and ep2.
var third, fourth = strings.Repeat("3", 64), strings.Repeat("4", 64)

// enter has an endpoint join a container.
func enter(t *testing.T, d *Driver, id, addr string) {
	t.Helper()
	must(t, endpointErr(d.CreateEndpoint(t.Context(), endpointRequest(netA, id, addr))))
	_, err := d.Join(t.Context(), netA, id, "/netns/"+id, nil)
	must(t, err)
}

// TestNamedGateway: a network is closed until an engine says who has the gateway's name, and again when that one leaves;
// it follows who is called so, with whatever address, over restarts of the daemon.
func TestNamedGateway(t *testing.T) {
	ctx := t.Context()
	f := newFakeHost()
	called := map[string]string{}
	with := func(o *Options) { o.NameOf = func(id string) string { return called[id] } }
	d := newTestDriver(t, f, "boot", with)
	must(t, d.CreateNetwork(ctx, steeredRequest("container:vpn")))
	f.wayOut(t, "without containers", "")
	if all := d.Status(ctx).Causes; len(all) != 0 {
		t.Errorf("a network that nobody uses: %v", all)
	}
	enter(t, d, ep1, "10.0.0.2/24")
	enter(t, d, ep2, "10.0.0.3/24")
	must(t, d.SettleGateways(ctx))
	f.wayOut(t, "before it is named", "")
	if all := d.Status(ctx).Causes; len(all) != 1 || !strings.Contains(all[0].Line(), "gangway.gateway=container:vpn, and no such container") {
		t.Errorf("without a gateway: %v", all)
	}
	called[ep1], called[ep2] = "web", "vpn"
	must(t, d.SettleGateways(ctx))
	f.wayOut(t, "named", "10.0.0.3")
	if all := d.Status(ctx).Causes; len(all) != 0 {
		t.Errorf("with a gateway: %v", all)
	}
	delete(f.objects, ruleID{spec.KindSteering, bridgeName(netA)})
	if fixed := d.Reconcile(ctx); fixed != 1 {
		t.Errorf("%d repairs", fixed)
	}
	f.wayOut(t, "mended", "10.0.0.3")
	clear(called) // no engine answers
	d = newTestDriver(t, f, "boot", with)
	must(t, d.SettleGateways(ctx))
	f.wayOut(t, "after a restart", "10.0.0.3")
	if fixed := d.Reconcile(ctx); fixed != 0 {
		t.Errorf("%d repairs after a restart", fixed)
	}
	must(t, d.Leave(ctx, netA, ep2))
	f.wayOut(t, "left", "")
	must(t, d.DeleteEndpoint(ctx, netA, ep2))
	// Whoever has its address by now is another one.
	enter(t, d, third, "10.0.0.3/24")
	called[ep1], called[third] = "web", "db"
	must(t, d.SettleGateways(ctx))
	f.wayOut(t, "its address is another one's", "")
	enter(t, d, fourth, "10.0.0.9/24")
	called[fourth] = "vpn"
	must(t, d.SettleGateways(ctx))
	f.wayOut(t, "made anew", "10.0.0.9")
	called[fourth] = "old"
	must(t, d.SettleGateways(ctx))
	f.wayOut(t, "renamed", "")
	must(t, d.DeleteNetwork(ctx, netA))
	if _, there := f.objects[ruleID{spec.KindSteering, bridgeName(netA)}]; there {
		t.Error("a way out without a network")
	}
}

// TestGatewayByAddress: whoever joins with the address is the gateway at once, and as long as he has it.
func TestGatewayByAddress(t *testing.T) {
	ctx := t.Context()
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	must(t, d.CreateNetwork(ctx, steeredRequest("10.0.0.5")))
	must(t, endpointErr(d.CreateEndpoint(ctx, endpointRequest(netA, ep1, "10.0.0.5/24"))))
	f.wayOut(t, "before it joins", "")
	_, err := d.Join(ctx, netA, ep1, "/box/"+ep1, nil)
	must(t, err)
	f.wayOut(t, "joined", "10.0.0.5")
	must(t, d.CreateNetwork(ctx, steeredRequest("10.0.0.5"))) // the engine repeats it
	f.wayOut(t, "asked for again", "10.0.0.5")
	must(t, d.DeleteEndpoint(ctx, netA, ep1))
	f.wayOut(t, "gone", "")
}

// TestWayOutRefused: what could never be a gateway, or would have names asked for past it, is refused with what to do.
func TestWayOutRefused(t *testing.T) {
	ctx := t.Context()
	for why, r := range map[string]CreateNetworkRequest{
		"no address of the network":           steeredRequest("10.9.0.5"),
		"the address of the network's bridge": steeredRequest("10.0.0.1"),
		"gangway.mode=audit would let":        steeredRequest("container:vpn", "gangway.mode", "audit"),
		"br0 was there before":                steeredRequest("container:vpn", "com.docker.network.bridge.name", "br0"),
		"leave the auxiliary addresses Default": func() CreateNetworkRequest {
			r := withAux(map[string]string{"DefaultGatewayIPv4": "10.0.0.9"}, nil)
			maps.Copy(r.Options, generic("gangway.gateway", "container:vpn"))
			return r
		}(),
	} {
		f := newFakeHost()
		f.foreign["br0"] = spec.BridgeInfo{Exists: true, Kind: "bridge"}
		if err := newTestDriver(t, f, "boot").CreateNetwork(ctx, r); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, want %q", err, why)
		}
	}
	unable := newTestDriver(t, newFakeHost(), "boot", func(o *Options) { o.Unpoliced = "no nf_tables" })
	if err := unable.CreateNetwork(ctx, steeredRequest("container:vpn")); err == nil || !strings.Contains(err.Error(), "cannot keep it: no nf_tables") {
		t.Errorf("a host that keeps no policies: %v", err)
	}
	local := "127.0.0.53"
	d := newTestDriver(t, newFakeHost(), "boot", func(o *Options) {
		o.Servers = func() []netip.Addr { return []netip.Addr{netip.MustParseAddr(local)} }
	})
	must(t, d.CreateNetwork(ctx, steeredRequest("10.0.0.5")))
	if err := endpointErr(d.CreateEndpoint(ctx, endpointRequest(netA, ep1, "10.0.0.2/24"))); err == nil || !strings.Contains(err.Error(), "--dns ADDRESS") {
		t.Errorf("names by the host: %v", err)
	}
	must(t, endpointErr(d.CreateEndpoint(ctx, endpointRequest(netA, ep2, "10.0.0.5/24"))))
	named := endpointRequest(netA, ep1, "10.0.0.2/24")
	named.Options = config.EndpointOptions{"com.docker.network.endpoint.dnsservers": json.RawMessage(`["9.9.9.9"]`)}
	must(t, endpointErr(d.CreateEndpoint(ctx, named)))
	local = "192.0.2.53"
	must(t, endpointErr(d.CreateEndpoint(ctx, endpointRequest(netA, third, "10.0.0.3/24"))))
}

// TestLearnBehindGateway: while a policy is learned nothing is refused, so none is learned where
// names must not be asked for by the host.
func TestLearnBehindGateway(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot", func(o *Options) { o.DropLog = func() (DropLog, error) { return newFakeLog(), nil } })
	must(t, d.CreateNetwork(t.Context(), steeredRequest("container:vpn")))
	err := d.LearnPolicy(t.Context(), Whom{NetworkID: netA}, time.Minute, func() error { t.Error("it is learned"); return nil }, nil)
	if err == nil || !strings.Contains(err.Error(), "past the gateway") {
		t.Errorf("learned behind a gateway: %v", err)
	}
}
