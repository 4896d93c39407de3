package plan

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// TestProxies: the host answers for the IPv6 addresses of endpoints in containers alone, and no rule is another for it.
func TestProxies(t *testing.T) {
	prefix := netip.MustParsePrefix
	n := model.Network{
		ID: "n", Bridge: "gw-n", Subnet4: prefix("10.80.0.0/24"), Subnet6: prefix("2001:db8:1:0:80::/80"), Gateway6: prefix("2001:db8:1:0:80::1/80"),
		Options: config.Network{NDPProxy: "eth0", Masquerade: true, ICC: true, IPv4: true, IPv6: true, GatewayMode4: config.NAT, GatewayMode6: config.Routed},
	}
	web := model.Endpoint{ID: "web", NetworkID: "n", Sandbox: "w", IPv4: prefix("10.80.0.2/24"), IPv6: prefix("2001:db8:1:0:80::2/80")}
	four := model.Endpoint{ID: "four", NetworkID: "n", Sandbox: "f", IPv4: prefix("10.80.0.3/24")}
	left := model.Endpoint{ID: "left", NetworkID: "n", IPv6: prefix("2001:db8:1:0:80::4/80")}
	compiled := func(n model.Network) Plan {
		s := model.NewState()
		s.Apply(model.Change{Network: model.NetworkChange{After: &n}, Endpoints: []model.EndpointChange{{After: &web}, {After: &four}, {After: &left}}})
		return Compile(s, Facts{})
	}
	with := compiled(n)
	if got, want := Of[spec.NDPProxy](with), []spec.NDPProxy{{Link: "eth0", NetworkID: "n", Subnet: n.Subnet6}}; !reflect.DeepEqual(got, want) {
		t.Errorf("links: %v, want %v", got, want)
	}
	if got, want := Of[spec.Proxied](with), []spec.Proxied{{EndpointID: "web", Link: "eth0", Address: web.IPv6.Addr()}}; !reflect.DeepEqual(got, want) {
		t.Errorf("addresses: %v, want %v", got, want)
	}
	n.Options.NDPProxy = ""
	without := compiled(n)
	if got := len(Of[spec.NDPProxy](without)) + len(Of[spec.Proxied](without)); got != 0 {
		t.Errorf("without the option: %d", got)
	}
	if !reflect.DeepEqual(Of[firewall.Network](with), Of[firewall.Network](without)) || len(with) != len(without)+2 {
		t.Errorf("with the option:\n%v\nwithout:\n%v", with, without)
	}
}

// TestProxiesOutside: of a network that is translated, the host answers for the addresses outside, where it has been asked
// for them and nobody else has them; another prefix has others, and none has none.
func TestProxiesOutside(t *testing.T) {
	prefix, addr := netip.MustParsePrefix, netip.MustParseAddr
	n := &model.Network{
		ID: "n", Bridge: "gw-n", Subnet6: prefix("fd00:80::/80"),
		Options: config.Network{
			NDPProxy: "eth0", Masquerade: true, IPv6: true, GatewayMode6: config.NAT, Prefix: config.Prefix{Follow: true, From: "eth0", Subnet: config.LastSubnet},
		},
	}
	s := model.NewState()
	change := model.Change{Network: model.NetworkChange{After: n}}
	for id, a := range map[string]string{"web": "fd00:80::2/80", "taken": "fd00:80::3/80", "unasked": "fd00:80::4/80"} {
		change.Endpoints = append(change.Endpoints, model.EndpointChange{After: &model.Endpoint{ID: id, NetworkID: "n", Sandbox: id, IPv6: prefix(a)}})
	}
	left := &model.Endpoint{ID: "left", NetworkID: "n", IPv6: prefix("fd00:80::5/80")}
	s.Apply(change)
	s.Apply(model.Change{Endpoints: []model.EndpointChange{{After: left}}})
	users := map[spec.Proxied]string{}
	for outside, user := range map[string]string{"2001:db8:1:0:ffff::2": "", "2001:db8:1:0:ffff::3": "02:00:00:00:00:09", "2001:db8:1:0:ffff::5": "", "2001:db8:2:0:ffff::2": ""} {
		users[spec.Proxied{Link: "eth0", Address: addr(outside)}] = user
	}
	users[spec.Proxied{Link: "eth1", Address: addr("2001:db8:1:0:ffff::4")}] = "" // it was asked for elsewhere
	for host, want := range map[string]struct{ outside, web string }{
		"2001:db8:1::7/64": {"2001:db8:1:0:ffff::/80", "2001:db8:1:0:ffff::2"}, "2001:db8:2::7/64": {"2001:db8:2:0:ffff::/80", "2001:db8:2:0:ffff::2"},
		"2001:db8:3::7/64": {"2001:db8:3:0:ffff::/80", ""}, "": {},
	} {
		f := Facts{Users: users}
		proxy := spec.NDPProxy{Link: "eth0", NetworkID: "n", Subnet: n.Subnet6}
		if host != "" {
			f.Prefixes, proxy.Outside = []spec.HostPrefix{{Link: "eth0", Prefix: prefix(host)}}, prefix(want.outside)
		}
		var proxied []spec.Proxied
		if want.web != "" {
			proxied = append(proxied, spec.Proxied{EndpointID: "web", Link: "eth0", Address: addr(want.web)})
		}
		p := Compile(s, f)
		if got := Of[spec.NDPProxy](p); !reflect.DeepEqual(got, []spec.NDPProxy{proxy}) {
			t.Errorf("%s: link %v, want %v", host, got, proxy)
		}
		if got, checked := Of[spec.Proxied](p), ProxiedOf(s, n, f, false); !reflect.DeepEqual(got, proxied) || !reflect.DeepEqual(checked, proxied) {
			t.Errorf("%s: addresses %v, %v, want %v", host, got, checked, proxied)
		}
		asked := map[string]bool{}
		for o, p := range AnsweredOutside(s, f.Prefixes) {
			asked[o.ID+" "+p.Address.String()] = true
		}
		if part, _, is := strings.Cut(want.outside, "/"); is != (len(asked) == 4) || is != asked["left "+part+"5"] {
			t.Errorf("%s: asked for %v", host, asked)
		}
		// With those that nobody has asked for by this link.
		if doubtful := ProxiedOf(s, n, f, true); len(doubtful) != map[string]int{"2001:db8:1::7/64": 2, "2001:db8:2::7/64": 3, "2001:db8:3::7/64": 3}[host] {
			t.Errorf("%s: %v", host, doubtful)
		}
	}
}

// TestProxiedMoves: an address that takes the place of another has that go.
func TestProxiedMoves(t *testing.T) {
	at := func(a string) spec.Proxied {
		return spec.Proxied{EndpointID: "web", Link: "eth0", Address: netip.MustParseAddr(a)}
	}
	was, is := at("2001:db8:1::2"), at("2001:db8:2::2")
	if d := Diff(Plan{was}, Plan{is}); !reflect.DeepEqual(d, Delta{Gone: Plan{was}, Fresh: Plan{is}}) {
		t.Errorf("%v", d)
	}
}
