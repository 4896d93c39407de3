package driver

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/model"
)

// withAux is a request for a network of both families, with auxiliary addresses
// in each.
func withAux(aux4, aux6 map[string]string) CreateNetworkRequest {
	r := networkRequest(netA, "10.0.0.0/24", "10.0.0.1")
	r.IPv6 = pool("fd00::/64", "fd00::1")
	r.Options["com.docker.network.enable_ipv6"] = true
	prefixes := func(aux map[string]string, bits int) map[string]netip.Prefix {
		out := map[string]netip.Prefix{}
		for name, a := range aux {
			out[name] = netip.PrefixFrom(netip.MustParseAddr(a), bits)
		}
		return out
	}
	r.IPv4[0].Aux, r.IPv6[0].Aux = prefixes(aux4, 24), prefixes(aux6, 64)
	return r
}

func bothRouters() CreateNetworkRequest {
	return withAux(map[string]string{"DefaultGatewayIPv4": "10.0.0.7", "printer": "10.0.0.9"}, map[string]string{"DefaultGatewayIPv6": "fd00::7"})
}

func joined(t *testing.T, d *Driver, id, addr4, addr6 string) (gateways [2]string) {
	t.Helper()
	r := endpointRequest(netA, id, addr4)
	r.IPv6 = netip.MustParsePrefix(addr6)
	must(t, endpointErr(d.CreateEndpoint(t.Context(), r)))
	j, err := d.Join(t.Context(), netA, id, "/netns/"+id, nil)
	must(t, err)
	return [2]string{j.Gateway4.String(), j.Gateway6.String()}
}

// TestDefaultGateway: containers use the auxiliary addresses of these names, also
// after a restart; the bridge keeps the gateway's, and the router uses that.
func TestDefaultGateway(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	must(t, d.CreateNetwork(t.Context(), bothRouters()))
	want := [2]string{"10.0.0.7", "fd00::7"}
	if got := joined(t, d, ep1, "10.0.0.2/24", "fd00::2/64"); got != want {
		t.Errorf("gateways %v, want %v", got, want)
	}
	if got, bridge := joined(t, d, ep2, "10.0.0.7/24", "fd00::7/64"), [2]string{"10.0.0.1", "fd00::1"}; got != bridge {
		t.Errorf("gateways of the router itself %v, want %v", got, bridge)
	}
	if got := f.bridges["gw-aaaaaaaaaaaa"].Addresses; !slices.Equal(got, []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("fd00::1/64")}) {
		t.Errorf("the bridge has %v", got)
	}
	d = newTestDriver(t, f, "boot")
	must(t, d.CreateNetwork(t.Context(), bothRouters()), d.DeleteEndpoint(t.Context(), netA, ep1))
	if got := joined(t, d, ep1, "10.0.0.2/24", "fd00::2/64"); got != want {
		t.Errorf("gateways after a restart %v, want %v", got, want)
	}
	if got := d.Networks(t.Context())[0].Gateways; !slices.Equal(got, []netip.Addr{netip.MustParseAddr(want[0]), netip.MustParseAddr(want[1])}) {
		t.Errorf("shown are %v", got)
	}
}

// TestDefaultGatewayLater: a network of a version that passed over the addresses
// gets them with the engine's next repetition; one that has others is another one.
func TestDefaultGatewayLater(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	must(t, d.CreateNetwork(t.Context(), withAux(nil, nil)))
	before := f.picture()
	must(t, d.CreateNetwork(t.Context(), bothRouters()), d.CreateNetwork(t.Context(), bothRouters()))
	d = newTestDriver(t, f, "boot")
	if got, want := joined(t, d, ep1, "10.0.0.2/24", "fd00::2/64"), [2]string{"10.0.0.7", "fd00::7"}; got != want {
		t.Errorf("gateways %v, want %v", got, want)
	}
	var conflict *model.ConflictError
	for _, r := range []CreateNetworkRequest{withAux(nil, nil), withAux(map[string]string{"DefaultGatewayIPv4": "10.0.0.8"}, nil)} {
		if err := d.CreateNetwork(t.Context(), r); !errors.As(err, &conflict) || !strings.Contains(err.Error(), "[10.0.0.7 fd00::7]") {
			t.Errorf("other routers: %v", err)
		}
	}
	must(t, d.DeleteNetwork(t.Context(), netA))
	if len(before.Bridges) != 1 || len(f.picture().Bridges) != 0 {
		t.Errorf("bridges %v, then %v", before.Bridges, f.picture().Bridges)
	}
}

// TestDefaultGatewayRefused: what cannot be meant is refused, unless the network
// is there already and the engine repeats itself.
func TestDefaultGatewayRefused(t *testing.T) {
	internal := withAux(map[string]string{"DefaultGatewayIPv4": "10.0.0.7"}, nil)
	internal.Options["com.docker.network.internal"] = true
	for want, r := range map[string]CreateNetworkRequest{
		"DefaultGatewayIPv6=10.0.0.7: did you mean DefaultGatewayIPv4?": withAux(map[string]string{"DefaultGatewayIPv6": "10.0.0.7"}, nil),
		"DefaultGatewayIPv4=fd00::7: did you mean DefaultGatewayIPv6?":  withAux(nil, map[string]string{"DefaultGatewayIPv4": "fd00::7"}),
		"defaultgatewayipv4=10.0.0.7: did you mean DefaultGatewayIPv4?": withAux(map[string]string{"defaultgatewayipv4": "10.0.0.7"}, nil),
		"--internal": internal,
	} {
		f := newFakeHost()
		d := newTestDriver(t, f, "boot")
		if err := d.CreateNetwork(t.Context(), r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
		if len(f.bridges)+len(f.stored) > 1 {
			t.Errorf("a refused network left %v, %v", f.bridges, f.stored)
		}
		bare := r
		bare.IPv4, bare.IPv6 = pool("10.0.0.0/24", "10.0.0.1"), pool("fd00::/64", "fd00::1")
		must(t, d.CreateNetwork(t.Context(), bare), d.CreateNetwork(t.Context(), r))
	}
}
