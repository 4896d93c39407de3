package model

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
)

// routed is a network with routes.
func routed(id, subnet, own, host string) *Network {
	p := netip.MustParsePrefix(subnet)
	gateway := netip.PrefixFrom(p.Addr().Next(), p.Bits())
	return &Network{ID: id, Bridge: "gw-" + id, Subnet4: p, Gateway4: gateway, Options: config.Network{IPv4: true, ContainerRoutes: own, HostRoutes: host}}
}

// TestAdmitRoutes: a route leads by an address that a container can have, to what is no network's.
func TestAdmitRoutes(t *testing.T) {
	s := NewState()
	s.Apply(Change{Network: NetworkChange{After: routed("old", "10.70.0.0/24", "", "10.8.0.0/16 via 10.70.0.5")}})
	for _, c := range []struct{ own, host, why string }{
		{"", "", ""},
		{"10.9.0.0/16 via 10.80.0.5", "10.9.0.0/16 via 10.80.0.5", ""},
		{"10.9.0.0/16 via 10.80.0.1", "", ""}, // by the host
		{"10.70.0.0/24 via 10.80.0.5", "", ""},
		{"10.9.0.0/16 via 10.81.0.5", "", "network option gangway.routes: 10.81.0.5 is outside of the network's subnets"},
		{"10.9.0.0/16 via 10.80.0.255", "", "is the broadcast address"},
		{"10.80.0.0/16 via 10.80.0.5", "", "overlaps the network's own subnet"},
		{"", "10.9.0.0/16 via 10.81.0.5", "network option gangway.host_routes: 10.81.0.5 is outside"},
		{"", "10.9.0.0/16 via 10.80.0.1", "is the host's own address"},
		{"", "10.70.0.0/16 via 10.80.0.5", "overlaps subnet 10.70.0.0/24 of network old"},
		{"", "10.8.0.0/16 via 10.80.0.5", "network old has 10.8.0.0/16 via 10.70.0.5"},
	} {
		err := s.AdmitNetwork(routed("new", "10.80.0.0/24", c.own, c.host))
		if c.why == "" && err != nil || c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if err := s.AdmitNetwork(routed("new", "10.8.1.0/24", "", "")); err == nil || !strings.Contains(err.Error(), "10.8.0.0/16 by network old overlaps subnet 10.8.1.0/24") {
		t.Errorf("a network where a route leads: %v", err)
	}
	n := routed("new", "10.80.0.0/24", "", "")
	n.Router4, n.Options.NoDefaultRoute = netip.MustParseAddr("10.80.0.9"), true
	if err := s.AdmitNetwork(n); err == nil || !strings.Contains(err.Error(), "gangway.no_default_route") {
		t.Errorf("a default route and none: %v", err)
	}
}

// TestRoutesOfEndpoints: a container's own routes take the place of its network's, and who is the
// way himself has no route there.
func TestRoutesOfEndpoints(t *testing.T) {
	n := routed("n", "10.80.0.0/24", "10.8.0.0/16 via 10.80.0.4,10.9.0.0/16 via 10.80.0.5", "")
	for _, c := range []struct{ address, own, want string }{
		{"10.80.0.2/24", "", "[10.8.0.0/16 via 10.80.0.4 10.9.0.0/16 via 10.80.0.5]"},
		{"10.80.0.5/24", "", "[10.8.0.0/16 via 10.80.0.4]"},
		{"10.80.0.2/24", "none", "[]"},
		{"10.80.0.2/24", "10.7.0.0/16 via 10.80.0.6", "[10.7.0.0/16 via 10.80.0.6]"},
	} {
		e := &Endpoint{IPv4: netip.MustParsePrefix(c.address), Options: config.Endpoint{ContainerRoutes: c.own}}
		if got := fmt.Sprint(n.Routes(e)); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
	e := &Endpoint{ID: "e", NetworkID: "n", IPv4: netip.MustParsePrefix("10.80.0.2/24"), Options: config.Endpoint{ContainerRoutes: "10.7.0.0/16 via 10.81.0.6"}}
	if err := NewState().AdmitEndpoint(n, e); err == nil || !strings.Contains(err.Error(), "endpoint option gangway.routes: 10.81.0.6 is outside") {
		t.Errorf("a way outside of the network: %v", err)
	}
}
