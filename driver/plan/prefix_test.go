package plan

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// TestNumbered: which subnet of a prefix has which number.
func TestNumbered(t *testing.T) {
	for _, c := range []struct {
		in     string
		number int64
		bits   int
		want   string
	}{
		{"2001:db8:1200::/56", config.LastSubnet, 64, "2001:db8:1200:ff::/64"},
		{"2001:db8:1200::/56", 0, 64, "2001:db8:1200::/64"},
		{"2001:db8:1200:100::/56", 0x1f, 64, "2001:db8:1200:11f::/64"},
		{"2001:db8:1200:30::/60", 5, 64, "2001:db8:1200:35::/64"},
		{"2001:db8:1:2::/64", config.LastSubnet, 64, "2001:db8:1:2::/64"},
		{"2001:db8:1:2::/64", config.LastSubnet, 80, "2001:db8:1:2:ffff::/80"},
		{"2001:db8:1:2::/64", 0x10, 80, "2001:db8:1:2:10::/80"},
		{"2001:db8::/48", 1<<32 - 1, 96, "2001:db8::ffff:ffff:0:0/96"},
	} {
		if got := numbered(netip.MustParsePrefix(c.in), c.number, c.bits); got.String() != c.want {
			t.Errorf("subnet %d of %s: %s, want %s", c.number, c.in, got, c.want)
		}
	}
}

// TestTranslated: the host part is kept, whatever the length.
func TestTranslated(t *testing.T) {
	for outside, want := range map[string]string{
		"2001:db8:1200:ff::/64": "2001:db8:1200:ff:a:b:c:d", "2001:db8:1:2:ffff::/80": "2001:db8:1:2:ffff:b:c:d",
		"2001:db8:1200::/56": "2001:db8:1200:2:a:b:c:d", "2001:db8::/48": "2001:db8:0:2:a:b:c:d", "2001:db8::a:b:c:f0/124": "2001:db8::a:b:c:fd",
	} {
		if got := Translated(netip.MustParseAddr("fd00:80:1:2:a:b:c:d"), netip.MustParsePrefix(outside)); got.String() != want {
			t.Errorf("behind %s: %s, want %s", outside, got, want)
		}
	}
	if got := Translated(netip.MustParseAddr("fd00::1"), netip.Prefix{}); got.IsValid() {
		t.Errorf("without a prefix: %s", got)
	}
}

// TestOutsidePrefix: from which prefix a network takes which subnet; without one that has room it is
// closed, and so is the later of two that would have addresses in common.
func TestOutsidePrefix(t *testing.T) {
	on := func(id, subnet string, p config.Prefix) *model.Network {
		return &model.Network{ID: id, Bridge: "gw-" + id, Subnet6: netip.MustParsePrefix(subnet), Options: config.Network{Prefix: p}}
	}
	last := config.Prefix{Follow: true, From: config.Delegated, Subnet: config.LastSubnet}
	at := func(from string, number int64) config.Prefix {
		return config.Prefix{Follow: true, From: from, Subnet: number}
	}
	has := func(link, prefix string) spec.HostPrefix {
		return spec.HostPrefix{Link: link, Prefix: netip.MustParsePrefix(prefix)}
	}
	uplink := []spec.HostPrefix{has("", "2001:db8:1200::/56"), has("", "2001:db8:ffff:1::/64"), has("eth0", "2001:db8:1:2::5/64"), has("eth1", "2001:db8:3::1/128"), has("lan0", "2001:db8:1200:4::1/64")}
	for name, c := range map[string]struct {
		networks []*model.Network
		prefixes []spec.HostPrefix
		want     string
	}{
		"delegated":                {[]*model.Network{on("n", "fd00:80::/64", last)}, uplink, "2001:db8:1200:ff::/64"},
		"a numbered one":           {[]*model.Network{on("n", "fd00:80::/64", at(config.Delegated, 3))}, uplink, "2001:db8:1200:3::/64"},
		"a number beyond all":      {[]*model.Network{on("n", "fd00:80::/64", at(config.Delegated, 256))}, uplink, ""},
		"of a link":                {[]*model.Network{on("n", "fd00:80::/80", at("eth0", 1))}, uplink, "2001:db8:1:2:1::/80"},
		"all of a link":            {[]*model.Network{on("n", "fd00:80::/64", at("eth0", 0))}, uplink, ""}, // with the host's address
		"with the host's address":  {[]*model.Network{on("n", "fd00:80::/80", at("eth0", 0))}, uplink, ""},
		"a LAN's":                  {[]*model.Network{on("n", "fd00:80::/64", at(config.Delegated, 4))}, uplink, ""},
		"beside a LAN":             {[]*model.Network{on("n", "fd00:80::/64", at(config.Delegated, 5))}, uplink, "2001:db8:1200:5::/64"},
		"a link without room":      {[]*model.Network{on("n", "fd00:80::/64", at("eth1", 0))}, uplink, ""},
		"a link that is not there": {[]*model.Network{on("n", "fd00:80::/64", at("eth2", 0))}, uplink, ""},
		"no prefix":                {[]*model.Network{on("n", "fd00:80::/64", last)}, nil, ""},
		"the first that has room":  {[]*model.Network{on("n", "fd00:80::/57", last)}, uplink, "2001:db8:1200:80::/57"},
		"not translated":           {[]*model.Network{on("n", "fd00:80::/64", config.Prefix{From: config.Delegated})}, uplink, ""},
		"asked for before":         {[]*model.Network{on("n", "fd00:80::/64", last), on("a", "fd00:81::/64", at(config.Delegated, 0xff))}, uplink, ""},
		"asked for later":          {[]*model.Network{on("n", "fd00:80::/64", last), on("z", "fd00:81::/64", at(config.Delegated, 0xff))}, uplink, "2001:db8:1200:ff::/64"},
		"part of another":          {[]*model.Network{on("n", "fd00:80::/80", at(config.Delegated, 0xff0001)), on("a", "fd00:81::/64", last)}, uplink, ""},
	} {
		s := model.NewState()
		for _, n := range c.networks {
			s.Apply(model.Change{Network: model.NetworkChange{After: n}})
		}
		got := OutsidePrefix(s, c.networks[0], c.prefixes)
		if want := c.want; got.IsValid() != (want != "") || got.IsValid() && got.String() != want {
			t.Errorf("%s: %s, want %q", name, got, want)
		}
	}
}

// TestTranslation: what rules a network gets whose prefix is known, and what while it is not; nothing of its IPv6 is
// masqueraded, and IPv4 is as ever.
func TestTranslation(t *testing.T) {
	prefix, addr := netip.MustParsePrefix, netip.MustParseAddr
	n := &model.Network{
		ID: "n", Bridge: "gw-n", Subnet4: prefix("10.80.0.0/24"), Subnet6: prefix("fd00:80::/64"),
		Options: config.Network{
			Masquerade: true, ICC: true, IPv4: true, IPv6: true, GatewayMode4: config.NAT, GatewayMode6: config.NAT,
			Prefix: config.Prefix{Follow: true, From: config.Delegated, Subnet: config.LastSubnet},
		},
	}
	six := spec.Published{Proto: spec.UDP, HostIP: netip.IPv6Unspecified(), First: 53, Last: 53, ContainerIP: addr("fd00:80::2"), ContainerFirst: 53}
	web := &model.Endpoint{
		ID: "web", NetworkID: "n", Sandbox: "w", IPv4: prefix("10.80.0.2/24"), IPv6: prefix("fd00:80::2/64"), Published: []spec.Published{six},
		Publish: config.Publish{Bindings: []config.PortBinding{
			{Proto: 17, Port: 53}, {Proto: 6, Port: 80, HostIP: addr("::1")}, {Proto: 6, Port: 81, HostIP: addr("192.0.2.1")}, {Proto: 6, Port: 82, HostIP: addr("2001:db8::1")},
		}},
	}
	s := model.NewState()
	s.Apply(model.Change{Network: model.NetworkChange{After: n}, Endpoints: []model.EndpointChange{{After: web}}})
	check := func(when string, prefixes []spec.HostPrefix, outside netip.Prefix, want []firewall.Inward) {
		t.Helper()
		p := Compile(s, Facts{Prefixes: prefixes})
		if d := cmp.Diff([]firewall.Translation{{NetworkID: "n", Bridge: "gw-n", Inside: n.Subnet6, Outside: outside}}, Of[firewall.Translation](p), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
			t.Errorf("%s (-want +got):\n%s", when, d)
		}
		if got := Of[firewall.Inward](p); !slices.Equal(got, want) {
			t.Errorf("%s: %+v", when, got)
		}
		rules := Of[firewall.Network](p)[0]
		if !slices.Equal(rules.Masquerade, []netip.Prefix{n.Subnet4}) || len(rules.Hairpin) != 2 || rules.Routed.V6 || rules.Unprotected.V6 {
			t.Errorf("%s: %+v", when, rules)
		}
		if kept := Of[firewall.PreservedPorts](p); len(kept) > 0 {
			t.Errorf("%s: %v", when, kept)
		}
	}
	check("without a prefix", nil, netip.Prefix{}, nil)
	inward := func(proto spec.Protocol, port uint16) firewall.Inward {
		return firewall.Inward{NetworkID: "n", EndpointID: "web", Proto: proto, Outside: addr("2001:db8:1200:ff::2"), Inside: addr("fd00:80::2"), First: port, Last: port}
	}
	check("with one", []spec.HostPrefix{{Prefix: prefix("2001:db8:1200::/56")}}, prefix("2001:db8:1200:ff::/64"),
		[]firewall.Inward{inward(spec.TCP, 82), inward(spec.UDP, 53)})
}
