package driver

import (
	"bytes"
	"errors"
	"net"
	"reflect"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/model"
)

// bridgeMAC is what all bridges of the fake host have.
func bridgeMAC() net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, 0xbb} }

func withMAC(r CreateEndpointRequest, mac ...byte) CreateEndpointRequest {
	r.MAC = mac
	return r
}

// TestMACsDiffer: nobody has the bridge's hardware address, or another's of the
// network. The same request again is none of that, nor is the same address on
// another network.
func TestMACsDiffer(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	ctx := t.Context()
	must(t, d.CreateNetwork(ctx, networkRequest(netA, "10.0.0.0/24", "10.0.0.1")), d.CreateNetwork(ctx, networkRequest(netB, "10.1.0.0/24", "10.1.0.1")))
	first := withMAC(endpointRequest(netA, ep1, "10.0.0.2/24"), 2, 0, 0, 0, 0, 1)
	must(t, endpointErr(d.CreateEndpoint(ctx, first)), joinErr(d.Join(ctx, netA, ep1, "/netns/1", nil)))
	before := f.picture()
	for name, c := range map[string]struct {
		request  CreateEndpointRequest
		conflict bool
		words    []string
	}{
		"the bridge's":    {withMAC(endpointRequest(netA, ep2, "10.0.0.3/24"), bridgeMAC()...), false, []string{"02:00:00:00:00:bb", "gw-aaaaaaaaaaaa", "aaaaaaaaaaaa", "--mac-address"}},
		"another's":       {withMAC(endpointRequest(netA, ep2, "10.0.0.3/24"), first.MAC...), true, []string{"02:00:00:00:00:01", "111111111111", "--mac-address"}},
		"everybody's":     {withMAC(endpointRequest(netA, ep2, "10.0.0.3/24"), 255, 255, 255, 255, 255, 255), false, []string{"ff:ff:ff:ff:ff:ff"}},
		"nobody's":        {withMAC(endpointRequest(netA, ep2, "10.0.0.3/24"), 0, 0, 0, 0, 0, 0), false, []string{"00:00:00:00:00:00"}},
		"broadcast":       {endpointRequest(netA, ep2, "10.0.0.255/24"), false, []string{"10.0.0.255", "broadcast", "10.0.0.0/24", "aaaaaaaaaaaa", "--ip"}},
		"the subnet's":    {endpointRequest(netA, ep2, "10.0.0.0/24"), false, []string{"10.0.0.0", "10.0.0.0/24", "--ip"}},
		"another request": {withMAC(endpointRequest(netA, ep1, "10.0.0.2/24"), 2, 0, 0, 0, 0, 2), true, []string{"02:00:00:00:00:02"}},
	} {
		var conflict *model.ConflictError
		err := endpointErr(d.CreateEndpoint(ctx, c.request))
		if err == nil || errors.As(err, &conflict) != c.conflict {
			t.Errorf("%s: got %v, want a conflict: %t", name, err, c.conflict)
			continue
		}
		for _, w := range c.words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not mention %q", name, err, w)
			}
		}
	}
	must(t, endpointErr(d.CreateEndpoint(ctx, first)))
	if after := f.picture(); !reflect.DeepEqual(before, after) {
		t.Errorf("a refused or repeated request changed something:\n%+v\n%+v", before, after)
	}
	must(t, endpointErr(d.CreateEndpoint(ctx, withMAC(endpointRequest(netB, ep2, "10.1.0.2/24"), first.MAC...))))
}

// TestMACsOfOld: two endpoints with one hardware address, as earlier versions made
// them, stay, also when the engine repeats the second one's request.
func TestMACsOfOld(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	ctx := t.Context()
	must(t, d.CreateNetwork(ctx, networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	request := withMAC(endpointRequest(netA, ep2, "10.0.0.3/24"), 2, 0, 0, 0, 0, 2)
	must(t, endpointErr(d.CreateEndpoint(ctx, withMAC(endpointRequest(netA, ep1, "10.0.0.2/24"), 2, 0, 0, 0, 0, 1))), endpointErr(d.CreateEndpoint(ctx, request)))
	of := *d.state().Endpoints[ep1]
	of.MAC = model.HardwareAddr(request.MAC)
	d.state().Apply(model.Change{Endpoints: []model.EndpointChange{{Before: d.state().Endpoints[ep1], After: &of}}})
	before := f.picture()
	must(t, endpointErr(d.CreateEndpoint(ctx, request)))
	if after := f.picture(); len(d.state().Endpoints) != 2 || !reflect.DeepEqual(before, after) {
		t.Errorf("repeating changed something:\n%+v\n%+v", before, after)
	}
}

// TestMACYields: an endpoint that the engine forgot in a crash does not keep its
// hardware address from a new one.
func TestMACYields(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	ctx := t.Context()
	must(t, d.CreateNetwork(ctx, networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	for _, r := range []CreateEndpointRequest{endpointRequest(netA, ep1, "10.0.0.2/24"), endpointRequest(netA, ep2, "10.0.0.3/24")} {
		must(t, endpointErr(d.CreateEndpoint(ctx, withMAC(r, 2, 0, 0, 0, 0, 1))))
	}
	got, err := d.Endpoints(ctx)
	must(t, err)
	if len(got) != 1 || got[0].ID != ep2 {
		t.Errorf("endpoints are %+v, want %s alone", got, ep2)
	}
}

// TestMACChosenGivesWay: an address that gangway makes is another one where a user
// has taken it, and the same request again has the same answer.
func TestMACChosenGivesWay(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	ctx := t.Context()
	must(t, d.CreateNetwork(ctx, networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	taken := []byte{2, 0x42, 10, 0, 0, 3}
	must(t, endpointErr(d.CreateEndpoint(ctx, withMAC(endpointRequest(netA, ep1, "10.0.0.2/24"), taken...))))
	request := endpointRequest(netA, ep2, "10.0.0.3/24")
	first, err := d.CreateEndpoint(ctx, request)
	again, err2 := d.CreateEndpoint(ctx, request)
	must(t, err, err2)
	if bytes.Equal(first.MAC, taken) || !bytes.Equal(first.MAC, again.MAC) || model.HardwareAddr(first.MAC).Check() != nil {
		t.Errorf("answers are %s and %s, want one that is not %s", first.MAC, again.MAC, net.HardwareAddr(taken))
	}
}
