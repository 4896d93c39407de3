package driver

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// numbered is the request for the i-th container of a large network.
func numbered(i int) CreateEndpointRequest {
	return endpointRequest(netA, fmt.Sprintf("%012dep", i), fmt.Sprintf("10.%d.%d.%d/8", 1+i/40000, i/200%200, 1+i%200))
}

// filled is a driver with a network that has so many endpoints.
func filled(t *testing.T, f *fakeHost, n int) *Driver {
	t.Helper()
	d := newTestDriver(t, f, "boot")
	must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/8", "10.0.0.1")))
	for i := range n {
		must(t, endpointErr(d.CreateEndpoint(t.Context(), numbered(i))))
	}
	return d
}

func furtherOf(d *Driver, i int) int {
	_, e := d.endpoint(netA, numbered(i).EndpointID)
	return e.Further
}

// refusedFull wants a container to be refused for want of room, early.
func refusedFull(t *testing.T, f *fakeHost, d *Driver, r CreateEndpointRequest, want ...string) {
	t.Helper()
	ops := f.ops
	err := endpointErr(d.CreateEndpoint(t.Context(), r))
	for _, text := range append(want, "is full") {
		if err == nil || !strings.Contains(err.Error(), text) || f.ops > ops+1 {
			t.Fatalf("%d operations, error %v, want %q", f.ops-ops, err, text)
		}
	}
}

// TestNetworkIsFull: a network takes what its bridges do. The next container is refused by name and early, and there is
// room again when one goes, on the bridge that it was on.
func TestNetworkIsFull(t *testing.T) {
	f := newFakeHost()
	const all = model.MaxBridges * model.BridgeRoom
	d := filled(t, f, all)
	for _, i := range []int{0, 999, 1000, 1999, 2000, all - 1} {
		want := i / model.BridgeRoom
		if want > 0 {
			want++
		}
		if got := furtherOf(d, i); got != want {
			t.Errorf("endpoint %d is on bridge %d, want %d", i, got, want)
		}
	}
	refusedFull(t, f, d, numbered(all), "takes 16000 containers", "16 bridges", "another network")
	must(t, endpointErr(d.CreateEndpoint(t.Context(), numbered(0)))) // the same again
	must(t, d.DeleteEndpoint(t.Context(), netA, numbered(5500).EndpointID))
	must(t, endpointErr(d.CreateEndpoint(t.Context(), numbered(all))))
	if got := furtherOf(d, all); got != 6 {
		t.Errorf("the one in the place of another is on bridge %d", got)
	}
}

// TestAdoptedBridgeIsFull: a bridge of somebody else has no further ones.
func TestAdoptedBridgeIsFull(t *testing.T) {
	f := newFakeHost()
	f.foreign["br-lan"] = spec.BridgeInfo{Exists: true, Kind: "bridge"}
	d := newTestDriver(t, f, "boot")
	r := networkRequest(netA, "10.0.0.0/8", "10.0.0.1")
	r.Options = generic("com.docker.network.bridge.name", "br-lan")
	must(t, d.CreateNetwork(t.Context(), r))
	for i := range model.MaxPorts {
		must(t, endpointErr(d.CreateEndpoint(t.Context(), numbered(i))))
	}
	if got := furtherOf(d, model.MaxPorts-1); got != 0 {
		t.Errorf("the last one is on bridge %d", got)
	}
	refusedFull(t, f, d, numbered(model.MaxPorts), "br-lan was there before", "1023", "another network")
}

// TestUnguardedBridgeIsFull: where the kernel lacks the filter that keeps the host off a further bridge there is none.
func TestUnguardedBridgeIsFull(t *testing.T) {
	f := newFakeHost()
	d := filled(t, f, model.BridgeRoom)
	d.o.Unguarded = "no cls_bpf"
	refusedFull(t, f, d, numbered(model.BridgeRoom), "no cls_bpf", "1000 containers")
}

// furtherObjects are those of the fake host that a further bridge is.
func furtherObjects(f *fakeHost) (all []string) {
	for _, o := range f.objects {
		if k := o.Kind(); k == spec.KindFurtherBridge || k == spec.KindForwarded {
			all = append(all, o.String())
		}
	}
	for id := range f.rules {
		if id.kind == "rules of a network" && strings.Contains(fmt.Sprint(id.key), "/") {
			all = append(all, "rules of "+fmt.Sprint(id.key)[len(netA):])
		}
	}
	slices.Sort(all)
	return all
}

// TestFurtherBridgeComesAndGoes: the first container that joins on a further bridge makes it, the last one takes it along, and
// others change nothing of it. A small network has none, and none of its objects are others.
func TestFurtherBridgeComesAndGoes(t *testing.T) {
	f := newFakeHost()
	d := filled(t, f, model.BridgeRoom)
	container(t, d, netA, ep1, "10.200.0.1/8", 8080, 80)
	name := "gw-" + netA[:9] + "-2"
	bridge := fmt.Sprintf("bridge %s, number 2 of bridge %s's network", name, bridgeName(netA))
	entry := func(mac string) string { return "forwarding entry of " + mac + " by gt-" + netA[:9] + "-2" }
	want := func(when string, want ...string) {
		t.Helper()
		inSync(t, f, d)
		if got := furtherObjects(f); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	want("with one", bridge, entry("02:42:0a:c8:00:01"), "rules of /2")
	if v := f.veths[ep1]; v.Bridge != name || v.First != bridgeName(netA) {
		t.Errorf("the pair is on %s, and its first bridge is %q", v.Bridge, v.First)
	}
	container(t, d, netA, ep2, "10.200.0.2/8")
	want("with two", bridge, entry("02:42:0a:c8:00:01"), entry("02:42:0a:c8:00:02"), "rules of /2")
	must(t, d.Leave(t.Context(), netA, ep1))
	want("when one has left", bridge, entry("02:42:0a:c8:00:02"), "rules of /2")
	d = newTestDriver(t, f, "boot")
	want("after a restart", bridge, entry("02:42:0a:c8:00:02"), "rules of /2")
	must(t, d.DeleteEndpoint(t.Context(), netA, ep2))
	want("with nobody")
	must(t, d.DeleteEndpoint(t.Context(), netA, numbered(7).EndpointID))
	container(t, d, netA, "ep3"+ep1, "10.200.0.3/8")
	want("with room on the first one again")
}

// TestFurtherBridgeIsRecovered: who is taken back from an engine stays on the bridge that he is on, though there is room on
// the first one by now; and until then that bridge stays.
func TestFurtherBridgeIsRecovered(t *testing.T) {
	f := newFakeHost()
	d := filled(t, f, model.BridgeRoom)
	container(t, d, netA, ep1, "10.200.0.1/8")
	before := furtherObjects(f)
	f.lose(model.EndpointKeys)
	f.held = map[string][]spec.Published{}
	d = newTestDriver(t, f, "boot")
	d.Reconcile(t.Context())
	a := recovery()
	a.Network = networkRequest(netA, "10.0.0.0/8", "10.0.0.1")
	a.Endpoints[0].CreateEndpointRequest = endpointRequest(netA, ep1, "10.200.0.1/8")
	a.Endpoints[0].MAC = net.HardwareAddr{0x02, 0x42, 10, 200, 0, 1}
	must(t, d.Recover(t.Context(), a))
	if _, e := d.endpoint(netA, ep1); e == nil || e.Further != 2 {
		t.Errorf("taken back as %+v", e)
	}
	d.Reconcile(t.Context())
	inSync(t, f, d)
	if got := furtherObjects(f); !slices.Equal(got, before) {
		t.Errorf("at last there are %q, want %q", got, before)
	}
}
