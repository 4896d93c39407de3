package plan

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
)

// TestPortFamilies: which host addresses a binding takes for an endpoint that
// has one family only, when another endpoint may serve the other.
func TestPortFamilies(t *testing.T) {
	four, six := netip.MustParsePrefix("10.0.0.2/24"), netip.MustParsePrefix("fd00::2/64")
	any4, any6 := netip.IPv4Unspecified(), netip.IPv6Unspecified()
	for _, c := range []struct {
		name       string
		four, six  netip.Prefix
		asked      netip.Addr
		noProxy6To bool
		want       []netip.Addr
	}{
		{"both families", four, six, netip.Addr{}, false, []netip.Addr{any4, any6}},
		{"both families, other endpoint", four, six, netip.Addr{}, true, []netip.Addr{any4, any6}},
		{"IPv4 only", four, netip.Prefix{}, netip.Addr{}, false, []netip.Addr{any4, any6}},
		{"IPv4 only, other endpoint has IPv6", four, netip.Prefix{}, netip.Addr{}, true, []netip.Addr{any4}},
		{"IPv6 only", netip.Prefix{}, six, netip.Addr{}, false, []netip.Addr{any6}},
		{"IPv6 only, IPv4 asked for", netip.Prefix{}, six, any4, false, []netip.Addr{any4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := &model.Network{Options: config.Network{HostBinding4: "0.0.0.0"}}
			e := &model.Endpoint{IPv4: c.four, IPv6: c.six}
			e.Publish = config.Publish{
				Bindings:    []config.PortBinding{{Proto: 6, Port: 80, HostIP: c.asked}},
				NoProxy6To4: c.noProxy6To,
			}
			got := requestsOf(n, e, families{true, true})
			if len(got) != 1 || !slices.Equal(got[0].HostIPs, c.want) {
				t.Errorf("requests %+v, want one on %v", got, c.want)
			}
		})
	}
}

// TestHostBindings: at which host addresses a port is published, by the network's
// lists.
func TestHostBindings(t *testing.T) {
	addrs := func(list ...string) (out []netip.Addr) {
		for _, a := range list {
			out = append(out, netip.MustParseAddr(a))
		}
		return out
	}
	for _, c := range []struct {
		name      string
		four, six string
		mode      config.GatewayMode
		asked     string
		want      []netip.Addr
	}{
		{"none", "", "", "", "", addrs("0.0.0.0", "::")},
		{"one address", "127.0.0.1", "", "", "", addrs("127.0.0.1")},
		{"every address", "0.0.0.0", "::", "", "", addrs("0.0.0.0", "::")},
		{"IPv6 alone", "0.0.0.0", "fd00::1,fd00::2", "", "", addrs("0.0.0.0", "fd00::1", "fd00::2")},
		{"several of both", "127.0.0.1,192.0.2.1", "fd00::1,fd00::2", "", "", addrs("127.0.0.1", "192.0.2.1", "fd00::1", "fd00::2")},
		{"one is asked for", "127.0.0.1,192.0.2.1", "::", "", "192.0.2.9", addrs("192.0.2.9")},
		{"IPv6 routed", "127.0.0.1,192.0.2.1", "fd00::1", config.Routed, "", addrs("127.0.0.1", "192.0.2.1")},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := &model.Network{Options: config.Network{HostBinding4: c.four, HostBinding6: c.six, GatewayMode6: c.mode}}
			var asked netip.Addr
			if c.asked != "" {
				asked = netip.MustParseAddr(c.asked)
			}
			if got := hostIPs(n, asked); !slices.Equal(got, c.want) {
				t.Errorf("published at %v, want %v", got, c.want)
			}
		})
	}
}

// TestSCTPRoutedIPv4: with no host port in IPv4, the one that docker implies in
// IPv6 must not be asked of a relay that SCTP does not have.
func TestSCTPRoutedIPv4(t *testing.T) {
	n := &model.Network{Options: config.Network{GatewayMode4: config.Routed}}
	e := &model.Endpoint{IPv4: netip.MustParsePrefix("10.0.0.2/24")}
	for _, c := range []struct {
		proto uint8
		asked netip.Addr
		want  int
	}{{132, netip.Addr{}, 0}, {132, netip.IPv6Unspecified(), 1}, {6, netip.Addr{}, 1}} {
		e.Publish.Bindings = []config.PortBinding{{Proto: c.proto, Port: 80, HostIP: c.asked}}
		got := requestsOf(n, e, families{true, true})
		if len(got) != c.want {
			t.Errorf("protocol %d on %v: %d requests, want %d", c.proto, c.asked, len(got), c.want)
		}
	}
}
