package plan

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/driver/spec"
)

// TestSteering: a network that is left by a container is closed but for that one, and closed to the host for the others,
// whatever they say themselves.
func TestSteering(t *testing.T) {
	prefix := netip.MustParsePrefix
	n := model.Network{
		ID: "n", Bridge: "gw-n", Subnet4: prefix("10.80.0.0/24"), Subnet6: prefix("fd00:80::/64"), Gateway4: prefix("10.80.0.1/24"), Gateway6: prefix("fd00:80::1/64"),
		Options: config.Network{Gateway: "container:vpn", Masquerade: true, ICC: true, IPv4: true, IPv6: true, GatewayMode4: config.NAT, GatewayMode6: config.NAT},
	}
	vpn := model.Endpoint{ID: "vpn", NetworkID: "n", Sandbox: "v", IPv4: prefix("10.80.0.5/24"), Options: config.Endpoint{Policy: config.Policy{Host: config.Any}}}
	web := model.Endpoint{ID: "web", NetworkID: "n", Sandbox: "w", IPv4: prefix("10.80.0.6/24"), IPv6: prefix("fd00:80::6/64"), Options: config.Endpoint{Policy: config.Policy{Host: config.Any}}}
	compiled := func(gateway string) Plan {
		s, left := model.NewState(), n
		left.GatewayID = gateway
		s.Apply(model.Change{Network: model.NetworkChange{After: &left}, Endpoints: []model.EndpointChange{{After: &vpn}, {After: &web}}})
		return Compile(s, Facts{})
	}
	check := func(when string, p Plan, via netip.Addr, gateways []netip.Addr, open bool) {
		t.Helper()
		want := []spec.Way{{Subnet: n.Subnet4, Via: via}, {Subnet: n.Subnet6}} // the gateway has no IPv6: nothing leaves by it
		ways := Of[spec.Steering](p)
		if len(ways) != 1 || ways[0].Bridge != "gw-n" || ways[0].NetworkID != "n" || !slices.Equal(ways[0].Ways, want) {
			t.Errorf("%s: %+v", when, ways)
		}
		rules := Of[firewall.Network](p)
		if len(rules) != 1 || !rules[0].Internal || !slices.Equal(rules[0].Gateways, gateways) || len(rules[0].Masquerade) != 2 {
			t.Errorf("%s: %+v", when, rules)
		}
		hostOf(t, when, p, open)
	}
	check("with a gateway", compiled("vpn"), vpn.IPv4.Addr(), []netip.Addr{vpn.IPv4.Addr()}, true)
	check("without", compiled(""), netip.Addr{}, nil, false)
	check("one that is gone", compiled("before"), netip.Addr{}, nil, false)
	vpn.Sandbox = ""
	check("one that has left", compiled("vpn"), netip.Addr{}, nil, false)
}

// hostOf wants the host to be closed to all but the gateway, and to that as long as it is none.
func hostOf(t *testing.T, when string, p Plan, open bool) {
	t.Helper()
	bindings := map[string]policy.Binding{}
	for _, b := range Of[policy.Binding](p) {
		bindings[b.EndpointID] = b
	}
	if b, there := bindings[""]; !there || b.Texts.Host != config.None {
		t.Errorf("%s: of the network: %+v", when, b)
	}
	if b, there := bindings["web"]; there {
		t.Errorf("%s: of a container: %+v", when, b)
	}
	if b, there := bindings["vpn"]; there != open || there && b.Texts.Host != config.Any {
		t.Errorf("%s: of the gateway: %+v", when, b)
	}
}

// TestConcernedBySteering: with each endpoint of a network that is left by one of them its own plan may be another.
func TestConcernedBySteering(t *testing.T) {
	for gateway, want := range map[string]bool{"": false, "10.80.0.5": true} {
		s := model.NewState()
		s.Apply(model.Change{Network: model.NetworkChange{After: &model.Network{ID: "n", Options: config.Network{Gateway: gateway}}}})
		all := Concerned(s, model.Change{Endpoints: []model.EndpointChange{{Before: &model.Endpoint{ID: "e", NetworkID: "n"}}}})
		if got := slices.Contains(all, Owner{OfNetwork, "n", "n"}); got != want {
			t.Errorf("gateway %q: %v", gateway, all)
		}
	}
}
