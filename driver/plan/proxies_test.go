package plan

import (
	"net/netip"
	"reflect"
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
