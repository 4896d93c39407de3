package driver

import (
	"context"
	"slices"
	"testing"

	"github.com/gangway-net/gangway/driver/plan"
)

// TestMTUFollows: links of a network that follows the way out have its MTU from the start, and
// another one when it is another one, which is no repair; while it is not known they keep what
// they have, also after a restart. Another network stays as it is.
func TestMTUFollows(t *testing.T) {
	ctx := t.Context()
	f := newFakeHost()
	f.uplink = 1400
	d := newTestDriver(t, f, "boot")
	follows := networkRequest(netA, "10.0.0.0/24", "10.0.0.1")
	follows.Options = map[string]any{"com.docker.network.generic": map[string]any{"com.docker.network.driver.mtu": "auto"}}
	must(t, d.CreateNetwork(ctx, follows), d.CreateNetwork(ctx, networkRequest(netB, "10.1.0.0/24", "10.1.0.1")))
	for network, e := range map[string]CreateEndpointRequest{netA: endpointRequest(netA, ep1, "10.0.0.2/24"), netB: endpointRequest(netB, ep2, "10.1.0.2/24")} {
		_, err := d.CreateEndpoint(ctx, e)
		must(t, err, joinErr(d.Join(ctx, network, e.EndpointID, "/netns/"+e.EndpointID, nil)))
	}
	bridgeA, bridgeB := d.network(netA).Bridge, d.network(netB).Bridge
	want := func(when string, mtu int) {
		t.Helper()
		got := []int{f.bridges[bridgeA].MTU, f.veths[ep1].MTU, f.bridges[bridgeB].MTU, f.veths[ep2].MTU}
		if !slices.Equal(got, []int{mtu, mtu, 0, 0}) || !f.veths[ep1].Follows || f.veths[ep2].Follows {
			t.Errorf("%s: MTUs of %v, want %d for the first two", when, got, mtu)
		}
		shown := d.Networks(ctx)
		if i := slices.IndexFunc(shown, func(n NetworkStatus) bool { return n.ID == netA }); shown[i].MTU != mtu {
			t.Errorf("%s: %d is shown", when, shown[i].MTU)
		}
	}
	want("at first", 1400)
	for _, mtu := range []int{1300, 9000} {
		f.uplink = mtu
		if fixed := d.Reconcile(ctx); fixed != 0 || len(d.writer.Open()) > 0 {
			t.Errorf("%d repairs, open: %v", fixed, d.writer.Open())
		}
		want("later", mtu)
	}
	f.uplink = 0
	if fixed := d.Reconcile(ctx); fixed != 0 {
		t.Errorf("without a way out: %d repairs", fixed)
	}
	want("without a way out", 9000)
	f.uplink = 1400
	d = newTestDriver(t, f, "boot")
	d.Reconcile(ctx)
	want("restarted", 1400)
	if got := plan.MTU(d.network(netA), 100_000); got != 65535 {
		t.Errorf("over a way that takes anything: %d", got)
	}
}

// UplinkMTU is what a test says.
func (f *fakeHost) UplinkMTU(context.Context) (int, error) {
	unlock, err := f.step()
	if err != nil {
		return 0, err
	}
	defer unlock()
	return f.uplink, nil
}
