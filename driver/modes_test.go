package driver

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/golden"
)

// modes are networks with the options that change what plan.Compile makes of one
// container that publishes 8080 for its port 80 and 8443-8444 for 443-444.
func modes() map[string]map[string]any {
	with := func(extra map[string]any, kv ...string) map[string]any {
		o := generic(kv...)
		for k, v := range extra {
			o[k] = v
		}
		return o
	}
	internal := map[string]any{"com.docker.network.internal": true}
	const bridge, mode4, mode6 = "com.docker.network.bridge.", "com.docker.network.bridge.gateway_mode_ipv4", "com.docker.network.bridge.gateway_mode_ipv6"
	return map[string]map[string]any{
		"nat":                 with(nil),
		"nat-unprotected":     with(nil, mode4, "nat-unprotected", mode6, "nat-unprotected"),
		"routed":              with(nil, mode4, "routed", mode6, "routed"),
		"routed-ipv6":         with(nil, mode6, "routed"),
		"isolated":            with(internal, mode4, "isolated", mode6, "isolated"),
		"internal":            with(internal),
		"inhibit-ipv4":        with(nil, bridge+"inhibit_ipv4", "true"),
		"trusted":             with(nil, bridge+"trusted_host_interfaces", "wg0:eth1"),
		"host-addresses":      with(nil, "com.docker.network.host_ipv4", "192.0.2.7", "com.docker.network.host_ipv6", "2001:db8::7"),
		"no-masquerade":       with(nil, bridge+"enable_ip_masquerade", "false"),
		"host-binding":        with(nil, bridge+"host_binding_ipv4", "127.0.0.1"),
		"host-binding-ipv6":   with(nil, "gangway.host_binding_ipv6", "2001:db8::1"),
		"host-bindings":       with(nil, bridge+"host_binding_ipv4", "192.0.2.1,192.0.2.9", "gangway.host_binding_ipv6", "2001:db8::1"),
		"no-icc":              with(nil, bridge+"enable_icc", "false"),
		"spoofing-allowed":    with(nil, "gangway.anti_spoofing", "false"),
		"routed-no-icc-named": with(nil, mode4, "routed", bridge+"enable_icc", "false", bridge+"name", "mine"),
	}
}

// TestModes compares what each mode compiles to, and what Join and GwAllocCheck
// answer, with golden files.
func TestModes(t *testing.T) {
	for name, options := range modes() {
		t.Run(name, func(t *testing.T) {
			f := newFakeHost()
			d := newTestDriver(t, f, "boot")
			ctx := t.Context()
			empty := f.picture()
			r := networkRequest(netA, "10.0.0.0/24", "10.0.0.1")
			r.IPv6, r.Options = pool("fd00::/64", "fd00::1"), options
			check, err := d.CheckGateway(ctx, options)
			must(t, err, d.CreateNetwork(ctx, r))
			e := endpointRequest(netA, ep1, "10.0.0.2/24")
			e.IPv6 = netip.MustParsePrefix("fd00::2/64")
			must(t, endpointErr(d.CreateEndpoint(ctx, e)))
			join, err := d.Join(ctx, netA, ep1, "/netns/1", nil)
			must(t, err, d.Publish(ctx, netA, ep1, portmap(8080, 80, 8443, 443, 8444, 444)))
			inSync(t, f, d)
			compiled := plan.Compile(d.state(), d.given(d.state()))
			ports := plan.Of[firewall.Port](compiled)
			slices.SortFunc(ports, func(a, b firewall.Port) int { return spec.ComparePublished(a.Published, b.Published) })
			open := plan.Of[firewall.Open](compiled)
			slices.SortFunc(open, func(a, b firewall.Open) int {
				text := func(o firewall.Open) string { return fmt.Sprintf("%s %3d %s %5d", o.From, o.Proto, o.Addr, o.First) }
				return strings.Compare(text(a), text(b))
			})
			approve(t, filepath.Join("testdata", "modes", name+".golden"), map[string]any{
				"gateway check": check, "join": join, "bridges": plan.Of[spec.Bridge](compiled), "veths": plan.Of[spec.Veth](compiled),
				"networks": plan.Of[firewall.Network](compiled), "ports": ports, "open": open,
			})
			must(t, d.DeleteNetwork(ctx, netA))
			if diff := cmp.Diff(empty, f.picture(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("left behind:\n%s", diff)
			}
		})
	}
}

// A port that was published for the host itself is opened to nobody else.
func TestRoutedLoopback(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	r := networkRequest(netA, "10.0.0.0/24", "10.0.0.1")
	r.Options = generic("com.docker.network.bridge.gateway_mode_ipv4", "routed")
	must(t, d.CreateNetwork(t.Context(), r))
	container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
	if len(rulesOf[firewall.Open](f)) != 1 {
		t.Fatalf("open: %v", rulesOf[firewall.Open](f))
	}
	must(t, d.Publish(t.Context(), netA, ep1, portmapOn(6, "127.0.0.1", 8080, 80)))
	if len(rulesOf[firewall.Open](f))+len(rulesOf[firewall.Port](f)) != 0 {
		t.Errorf("open: %v, ports: %v", rulesOf[firewall.Open](f), rulesOf[firewall.Port](f))
	}
}

// approve holds a value against a golden file.
func approve(t *testing.T, path string, v any) {
	t.Helper()
	got, err := json.MarshalIndent(v, "", "  ")
	must(t, err)
	golden.Compare(t, path, string(got)+"\n")
}

// TestRoutedBeside: on a routed network ports are open from Join to Leave,
// whichever network is the container's way out, and over a restart.
func TestRoutedBeside(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	ctx := t.Context()
	r := networkRequest(netA, "10.0.0.0/24", "10.0.0.1")
	r.Options = generic("com.docker.network.bridge.gateway_mode_ipv4", "routed")
	must(t, d.CreateNetwork(ctx, r), d.CreateNetwork(ctx, networkRequest(netB, "10.0.1.0/24", "10.0.1.1")))
	ports := portmap(8080, 80)
	open := func(when string, want int) {
		t.Helper()
		if len(rulesOf[firewall.Open](f)) != want || len(rulesOf[firewall.Port](f)) != 0 {
			t.Errorf("%s: open %v, ports %v, want %d open", when, rulesOf[firewall.Open](f), rulesOf[firewall.Port](f), want)
		}
		inSync(t, f, d)
	}
	for _, where := range []struct{ network, endpoint, address string }{{netA, ep1, "10.0.0.2/24"}, {netB, ep2, "10.0.1.2/24"}} {
		must(t, endpointErr(d.CreateEndpoint(ctx, endpointRequest(where.network, where.endpoint, where.address))),
			joinErr(d.Join(ctx, where.network, where.endpoint, "/netns/1", ports)))
		open("joined "+where.network, 1)
	}
	if e := d.state().Endpoints[ep2]; e.Asked != nil {
		t.Errorf("a network with translation keeps what it has no use for: %v", e.Asked)
	}
	must(t, joinErr(d.Join(ctx, netA, ep1, "/netns/1", ports)))
	open("joined again", 1)
	must(t, d.Publish(ctx, netA, ep1, ports))
	open("way out", 1)
	must(t, d.Unpublish(ctx, netA, ep1))
	open("way out no more", 1)
	d = newTestDriver(t, f, "boot")
	open("restarted", 1)
	must(t, d.Unpublish(ctx, netA, ep1))
	open("never was the way out", 1)
	must(t, d.Leave(ctx, netA, ep1))
	open("left", 0)
	if err := joinErr(d.Join(ctx, netA, ep1, "/netns/1", config.EndpointOptions{"com.docker.network.portmap": []byte("7")})); err == nil {
		t.Error("a port list that is none was accepted")
	}
	open("malformed ports", 0)
	must(t, joinErr(d.Join(ctx, netA, ep1, "/netns/1", ports)))
	open("joined once more", 1)
	must(t, d.DeleteEndpoint(ctx, netA, ep1))
	open("deleted", 0)
}
