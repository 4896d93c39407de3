package plan

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/driver/spec"
)

// TestLAN: on a LAN the bridge has an uplink and at most the host's addresses, nothing is translated, forwarded
// or trusted, and the host is closed to containers unless it is to be reached.
func TestLAN(t *testing.T) {
	prefix := netip.MustParsePrefix
	n := model.Network{
		ID: "n", Bridge: "gw-n", Subnet4: prefix("10.85.0.0/24"), Subnet6: prefix("fd00:85::/64"), Gateway4: prefix("10.85.0.1/24"), Gateway6: prefix("fd00:85::1/64"),
		Options: config.Network{Uplink: "eth1", Masquerade: true, ICC: true, IPv4: true, IPv6: true, GatewayMode4: config.NAT, GatewayMode6: config.NAT},
	}
	e := model.Endpoint{ID: "e", NetworkID: "n", Sandbox: "box", IPv4: prefix("10.85.0.9/24"), Options: config.Endpoint{Policy: config.Policy{Host: config.Any}}}
	compiled := func(n *model.Network) Plan {
		s := model.NewState()
		s.Apply(model.Change{Network: model.NetworkChange{After: n}})
		s.Apply(model.Change{Endpoints: []model.EndpointChange{{After: &e}}})
		return Compile(s, Facts{})
	}
	want := func(when string, p Plan, bridge spec.Bridge, subnets []netip.Prefix, policies int) {
		t.Helper()
		if d := cmp.Diff([]spec.Bridge{bridge}, Of[spec.Bridge](p), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
			t.Errorf("%s (-want +got):\n%s", when, d)
		}
		rules := Of[firewall.Network](p)
		if len(rules) != 1 || !rules[0].Internal || rules[0].Hairpin != nil || rules[0].Masquerade != nil || len(rules[0].Subnets) != len(subnets) {
			t.Errorf("%s: %+v", when, rules)
		}
		if got := Of[spec.LANPort](p); len(got) != 1 || got[0] != (spec.LANPort{Link: "eth1", Bridge: "gw-n", NetworkID: "n", MTU: 1500}) {
			t.Errorf("%s: %+v", when, got)
		}
		if Of[spec.Forwarding](p) != nil || Of[spec.Zone](p) != nil {
			t.Errorf("%s: forwarded, or in a zone: %v", when, p)
		}
		closedTo(t, when, Of[policy.Binding](p), policies)
	}
	want("hostless", compiled(&n), spec.Bridge{Name: "gw-n", NetworkID: "n", LAN: true}, nil, 1)
	if n.DefaultGateway(e.IPv4.Addr()) != n.Gateway4.Addr() || !n.GatewayElsewhere(n.Gateway6.Addr()) || !n.LeavesElsewhere() {
		t.Error("the gateway is not another machine")
	}
	with := n
	with.Options.HostAccess, with.Host4, with.Host6 = true, netip.MustParseAddr("10.85.0.5"), netip.MustParseAddr("fd00:85::5")
	want("with the host", compiled(&with), spec.Bridge{Name: "gw-n", NetworkID: "n", IPv6: true, LAN: true, Addresses: []netip.Prefix{prefix("10.85.0.5/24"), prefix("fd00:85::5/64")}}, with.Subnets(), 0)
}

// TestLANMoved: a bridge that has the addresses of its uplink is a link of the host's: nothing of it is decided but
// what passes within it.
func TestLANMoved(t *testing.T) {
	n := model.Network{
		ID: "n", Bridge: "gw-n", Subnet4: netip.MustParsePrefix("10.85.0.0/24"), Gateway4: netip.MustParsePrefix("10.85.0.1/24"),
		Options: config.Network{Uplink: "eth1.30", Move: true, Masquerade: true, ICC: true, IPv4: true, MTU: 1400, GatewayMode4: config.NAT},
	}
	s := model.NewState()
	s.Apply(model.Change{Network: model.NetworkChange{After: &n}})
	p := Compile(s, Facts{})
	if d := cmp.Diff([]spec.Bridge{{Name: "gw-n", NetworkID: "n", Host: true}}, Of[spec.Bridge](p)); d != "" {
		t.Errorf("the bridge (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]firewall.Network{{ID: "n", Bridge: "gw-n", Host: true}}, Of[firewall.Network](p)); d != "" {
		t.Errorf("the rules (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]spec.LANPort{{Link: "eth1.30", Bridge: "gw-n", NetworkID: "n", MTU: 1400, Trunk: "eth1", VLAN: 30, Move: true}}, Of[spec.LANPort](p)); d != "" {
		t.Errorf("the uplink (-want +got):\n%s", d)
	}
	closedTo(t, "moved", Of[policy.Binding](p), 0)
}

// closedTo wants as many policies, each of which closes the host.
func closedTo(t *testing.T, when string, bindings []policy.Binding, policies int) {
	t.Helper()
	for _, b := range bindings {
		if b.Texts.Host != config.None {
			t.Errorf("%s: %+v", when, b)
		}
	}
	if len(bindings) != policies {
		t.Errorf("%s: %d policies, want %d", when, len(bindings), policies)
	}
}

// TestHostStaysClosed: where containers do not reach the host, whatever policies say, mode audit
// does not open it, which a policy with a name may get while they run.
func TestHostStaysClosed(t *testing.T) {
	prefix := netip.MustParsePrefix
	for name, options := range map[string]config.Network{
		"on a LAN": {Uplink: "eth1"}, "behind a gateway": {Gateway: "container:vpn"},
	} {
		options.IPv4, options.ICC, options.Policy = true, true, config.Policy{Name: "watched"}
		n := &model.Network{ID: "n", Bridge: "gw-n", Subnet4: prefix("10.85.0.0/24"), Gateway4: prefix("10.85.0.1/24"), Options: options}
		s := model.NewState()
		s.Apply(model.Change{Network: model.NetworkChange{After: n}, Policies: []model.PolicyChange{{After: &model.NamedPolicy{Name: "watched", Policy: config.Policy{Host: config.Any, Mode: config.ModeAudit}}}}})
		all := Of[policy.Binding](Compile(s, Facts{}))
		if len(all) != 1 || all[0].Texts.Host != config.None || all[0].Texts.Mode != config.ModeEnforce {
			t.Errorf("%s: %+v", name, all)
		}
		if p := PolicyInForce(s, n, nil); p.Host != config.None || p.Mode != config.ModeEnforce {
			t.Errorf("%s: in force is %+v", name, p)
		}
	}
}
