package driver

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gangway-net/gangway/driver/spec"
)

// A container with an endpoint on each of three networks: one with IPv4 alone, one
// with IPv6 alone, one with both. Its networks have the endpoints' names.
const (
	box             = "/run/docker/netns/0123456789ab"
	four, six, both = "444444444444eeee", "666666666666eeee", "464646464646eeee"
)

func threeNetworks(t *testing.T) (*fakeHost, *Driver) {
	t.Helper()
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	n4, n6 := networkRequest(four, "10.4.0.0/24", "10.4.0.1"), CreateNetworkRequest{ID: six, IPv6: pool("fd06::/64", "fd06::1"), Options: map[string]any{}}
	n46 := networkRequest(both, "10.46.0.0/24", "10.46.0.1")
	n46.IPv6 = pool("fd46::/64", "fd46::1")
	must(t, d.CreateNetwork(t.Context(), n4), d.CreateNetwork(t.Context(), n6), d.CreateNetwork(t.Context(), n46))
	e4, e46 := endpointRequest(four, four, "10.4.0.2/24"), endpointRequest(both, both, "10.46.0.2/24")
	e46.IPv6 = netip.MustParsePrefix("fd46::2/64")
	for _, e := range []CreateEndpointRequest{e4, e46, {NetworkID: six, EndpointID: six, IPv6: netip.MustParsePrefix("fd06::2/64")}} {
		must(t, endpointErr(d.CreateEndpoint(t.Context(), e)), joinErr(d.Join(t.Context(), e.NetworkID, e.EndpointID, box, nil)))
	}
	return f, d
}

// servers tells who serves the container's ports in IPv4 and in IPv6.
func servers(t *testing.T, d *Driver) string {
	t.Helper()
	names := map[string]string{four: "four", six: "six", both: "both"}
	by := map[bool]string{false: "nobody", true: "nobody"}
	for _, p := range d.Ports(t.Context()) {
		if by[p.HostIP.Is6()] != "nobody" {
			t.Errorf("port served twice: %+v", d.Ports(t.Context()))
		}
		by[p.HostIP.Is6()] = names[p.EndpointID]
	}
	return by[false] + " " + by[true]
}

// gatewayStep is a call of the engine and who serves the ports after it.
type gatewayStep struct{ call, want string }

// run carries out a call, such as "publish four", "publish four flagged" (another
// endpoint is the gateway of IPv6), "unpublish four", "leave four".
func (s gatewayStep) run(t *testing.T, d *Driver) error {
	t.Helper()
	words := strings.Fields(s.call)
	id := map[string]string{"four": four, "six": six, "both": both}[words[1]]
	switch words[0] {
	case "publish":
		options := portmap(8080, 80)
		if len(words) == 3 {
			options["com.docker.network.driver.private.no_proxy_6to4"] = []byte("true")
		}
		return d.Publish(t.Context(), id, id, options)
	case "unpublish":
		return d.Unpublish(t.Context(), id, id)
	case "leave":
		return d.Leave(t.Context(), id, id)
	}
	return d.DeleteEndpoint(t.Context(), id, id)
}

// TestTwoGateways: whatever engines tell and do not tell of a container's gateways,
// each family is served by one endpoint, which has it if any has. Engine 29 tells an
// endpoint nothing as long as it is the gateway of the same families.
func TestTwoGateways(t *testing.T) {
	for name, steps := range map[string][]gatewayStep{
		"29: IPv4, then IPv6": {{"publish four", "four four"}, {"publish six", "four six"}, {"unpublish six", "four four"}},
		"29: IPv6, then IPv4": {{"publish six", "nobody six"}, {"publish four flagged", "four six"}, {"unpublish six", "four four"}},
		"29: IPv4, then both, by priority": {
			{"publish four", "four four"}, {"publish both", "four both"}, {"leave both", "four four"},
		},
		"29: both, then IPv4 with priority": {
			{"publish both", "both both"}, {"publish both", "both both"}, {"publish four flagged", "four both"},
			{"unpublish four", "both both"}, {"publish both", "both both"},
		},
		"29: both, then IPv6 with priority": {
			{"publish both", "both both"}, {"publish both flagged", "both both"}, {"publish six", "both six"},
			{"delete six", "both both"}, {"publish both", "both both"},
		},
		"29: all leave": {
			{"publish four", "four four"}, {"publish six", "four six"}, {"unpublish four", "nobody six"}, {"leave four", "nobody six"}, {"leave six", "nobody nobody"},
		},
		"28: IPv4, then IPv6": {
			{"publish four", "four four"}, {"unpublish four", "nobody nobody"}, {"publish four flagged", "four nobody"}, {"publish six flagged", "four six"},
			{"unpublish six", "four four"}, {"unpublish four", "nobody nobody"}, {"publish four", "four four"},
		},
		"28: IPv4, then both": {
			{"publish four", "four four"}, {"unpublish four", "nobody nobody"}, {"publish four flagged", "four nobody"}, {"publish both flagged", "four both"},
			{"leave four", "both both"},
		},
		"moved": {{"publish four", "four four"}, {"unpublish four", "nobody nobody"}, {"publish both", "both both"}},
	} {
		t.Run(name, func(t *testing.T) {
			f, d := threeNetworks(t)
			for i, s := range steps {
				must(t, s.run(t, d))
				if got := servers(t, d); got != s.want {
					t.Errorf("step %d, %s: served by %s, want %s", i, s.call, got, s.want)
				}
				inSync(t, f, d)
				if held := len(f.held[box]); held != 2-strings.Count(s.want, "nobody") {
					t.Errorf("step %d, %s: %d host ports are held: %v", i, s.call, held, f.held)
				}
			}
			f.held = map[string][]spec.Published{}
			before := servers(t, d)
			if d = newTestDriver(t, f, "boot"); servers(t, d) != before {
				t.Errorf("after a restart served by %s, before by %s", servers(t, d), before)
			}
		})
	}
}

// TestGatewayGone: a gateway that goes without a call of its own leaves its family to
// the other one.
func TestGatewayGone(t *testing.T) {
	for name, gone := range map[string]func(t *testing.T, f *fakeHost, d *Driver) *Driver{
		"with its network": func(t *testing.T, _ *fakeHost, d *Driver) *Driver {
			must(t, d.DeleteNetwork(t.Context(), six))
			return d
		},
		"while gangway was down": func(t *testing.T, f *fakeHost, _ *Driver) *Driver {
			delete(f.veths, six)
			f.held = map[string][]spec.Published{}
			return newTestDriver(t, f, "boot")
		},
		"and gives its address to another": func(t *testing.T, f *fakeHost, d *Driver) *Driver {
			delete(f.veths, six)
			must(t, endpointErr(d.CreateEndpoint(t.Context(), CreateEndpointRequest{NetworkID: six, EndpointID: ep1, IPv6: netip.MustParsePrefix("fd06::2/64")})))
			return d
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, d := threeNetworks(t)
			must(t, gatewayStep{call: "publish four"}.run(t, d), gatewayStep{call: "publish six"}.run(t, d))
			d = gone(t, f, d)
			if got := servers(t, d); got != "four four" || len(f.held[box]) != 2 {
				t.Errorf("served by %s, held %v", got, f.held)
			}
			inSync(t, f, d)
		})
	}
}

// TestGatewayRefused: a gateway whose ports cannot be had changes nothing for the
// other one, at whatever step it fails.
func TestGatewayRefused(t *testing.T) {
	for n := 1; ; n++ {
		f, d := threeNetworks(t)
		must(t, gatewayStep{call: "publish four"}.run(t, d))
		before := f.picture()
		f.ops, f.failAt = 0, n
		err := gatewayStep{call: "publish six"}.run(t, d)
		if f.ops < n {
			return
		}
		f.failAt = 0
		after := f.picture()
		if err == nil || servers(t, d) != "four four" || !slices.Equal(before.Held[box], after.Held[box]) {
			t.Errorf("fault %d: %v, served by %s, held %v", n, err, servers(t, d), after.Held)
		}
		inSync(t, f, d)
		must(t, gatewayStep{call: "publish six"}.run(t, d))
		if got := servers(t, d); got != "four six" {
			t.Errorf("fault %d, repeated: served by %s", n, got)
		}
	}
}

// TestGatewaysAtOnce: endpoints of one container that publish and stop publishing
// side by side neither wait for each other for ever nor serve a port twice.
func TestGatewaysAtOnce(t *testing.T) {
	f, d := threeNetworks(t)
	var all sync.WaitGroup
	for _, id := range []string{"four", "six", "both"} {
		all.Go(func() {
			for range 50 {
				if err := (gatewayStep{call: "publish " + id}).run(t, d); err != nil {
					t.Error(err)
				}
				if err := (gatewayStep{call: "unpublish " + id}).run(t, d); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := servers(t, d); got != "nobody nobody" || len(f.held) != 0 {
		t.Errorf("served by %s, held %v", got, f.held)
	}
	inSync(t, f, d)
}

// TestIPv6Off: an endpoint whose container has IPv6 switched off gives its IPv6
// address up as soon as it publishes, be it nothing, and its ports lead to IPv4.
func TestIPv6Off(t *testing.T) {
	for _, ports := range [][]float64{{8080, 80}, nil} {
		f, d := threeNetworks(t)
		f.noIPv6[both] = true
		must(t, d.Publish(t.Context(), both, both, portmap(ports...)))
		inSync(t, f, d)
		for _, p := range d.Ports(t.Context()) {
			if p.ContainerIP != netip.MustParseAddr("10.46.0.2") {
				t.Errorf("published %+v", p)
			}
		}
		if len(ports) > 0 && servers(t, d) != "both both" {
			t.Errorf("served by %s", servers(t, d))
		}
		if !slices.Contains(f.dropped, netip.MustParseAddr("fd46::2")) || slices.Contains(f.dropped, netip.MustParseAddr("10.46.0.2")) {
			t.Errorf("flows dropped of %v", f.dropped)
		}
		next := endpointRequest(both, ep1, "10.46.0.3/24")
		next.IPv6 = netip.MustParsePrefix("fd46::2/64")
		must(t, endpointErr(d.CreateEndpoint(t.Context(), next)), joinErr(d.Join(t.Context(), both, ep1, "/netns/1", nil)))
		f.held = map[string][]spec.Published{}
		d = newTestDriver(t, f, "boot")
		inSync(t, f, d)
		must(t, d.DeleteEndpoint(t.Context(), both, both), d.DeleteEndpoint(t.Context(), both, ep1))
	}
}

// TestIPv6OffElsewhere: on a network that nothing is published on, the holder's
// container is looked into when another one gets the address, and nothing is taken
// from one that has IPv6.
func TestIPv6OffElsewhere(t *testing.T) {
	for _, publishes := range []bool{false, true} {
		f, d := threeNetworks(t)
		if publishes {
			must(t, gatewayStep{call: "publish four flagged"}.run(t, d), gatewayStep{call: "publish both"}.run(t, d))
		}
		next := endpointRequest(both, ep1, "10.46.0.3/24")
		next.IPv6 = netip.MustParsePrefix("fd46::2/64")
		if err := endpointErr(d.CreateEndpoint(t.Context(), next)); err == nil || !strings.Contains(err.Error(), "fd46::2 is held by endpoint") {
			t.Fatalf("the address of a container with IPv6: %v", err)
		}
		f.noIPv6[both] = true
		joined := f.veths[both]
		must(t, endpointErr(d.CreateEndpoint(t.Context(), next)))
		inSync(t, f, d)
		if v := f.veths[both]; v.Detached || !slices.Equal(v.Addresses, joined.Addresses[:1]) {
			t.Errorf("the holder's link: %+v", v)
		}
		if got := servers(t, d); publishes && got != "four both" {
			t.Errorf("served by %s", got)
		}
		next.EndpointID, next.IPv4 = ep2, netip.MustParsePrefix("10.46.0.2/24")
		if err := endpointErr(d.CreateEndpoint(t.Context(), next)); err == nil {
			t.Error("the holder lost its IPv4 address, too")
		}
	}
}

// TestIPv6OffAlone: an endpoint that had IPv6 alone is left without any address, and
// everything else goes on.
func TestIPv6OffAlone(t *testing.T) {
	f, d := threeNetworks(t)
	f.noIPv6[six] = true
	must(t, gatewayStep{call: "publish six"}.run(t, d))
	inSync(t, f, d)
	if all, err := d.Endpoints(t.Context()); err != nil || len(all) != 3 {
		t.Errorf("endpoints %+v, %v", all, err)
	}
	f.held = map[string][]spec.Published{}
	d = newTestDriver(t, f, "boot")
	must(t, d.Leave(t.Context(), six, six), d.DeleteEndpoint(t.Context(), six, six))
	inSync(t, f, d)
}
