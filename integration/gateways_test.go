package integration

import (
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testTwoGateways: a container in a network with IPv4 and in another with IPv6
// starts, and its port leads to its gateway of each family, whichever networks come
// and go. Engines before 28 have no network with IPv6 alone, and one gateway.
func testTwoGateways(t *testing.T, e *harness.Engine) {
	own, two := gangwayIPAM(e), e.Suite == harness.Forky
	e.Network(t, "na", args(own, []string{"--subnet", "10.86.0.0/24"})...)
	ipv4 := []string{"--subnet", "10.86.1.0/24"}
	if two {
		ipv4 = []string{"--ipv4=false"}
	}
	e.Network(t, "nb", args(own, ipv4, []string{"--ipv6", "--subnet", "fd00:86::/64"})...)
	e.Serve(t, harness.Container{Name: "c1", Network: "na", Args: publish("8000:80", "8000:80/udp")}, "tcp", "[::]:80", "udp", "[::]:80")
	reached := func(what, four, six string) {
		t.Helper()
		for _, proto := range []string{"tcp", "udp"} {
			a := e.LAN.Outside.Get(t, proto, "192.0.2.1:8000")
			from(t, what+", IPv4, "+proto, a, "c1", "192.0.2.2")
			if got := a.Local.Addr().Unmap().String(); got != four {
				t.Errorf("%s, %s: IPv4 leads to %s, want %s", what, proto, got, four)
			}
			a = e.LAN.Outside.Get(t, proto, "[2001:db8::1]:8000")
			by(t, what+", IPv6, "+proto, a, "c1")
			if got := a.Local.Addr().Unmap().String(); got != six {
				t.Errorf("%s, %s: IPv6 leads to %s, want %s", what, proto, got, six)
			}
		}
	}
	inTwo := func(what string) {
		t.Helper()
		four := "nb"
		if two {
			four = "na"
		}
		reached(what, e.Address(t, "c1", four), e.Address6(t, "c1", "nb"))
	}
	relayed := e.Address(t, "c1", "na")
	reached("in one network", relayed, relayed)
	for range 2 {
		e.Docker(t, "network", "connect", "nb", "c1")
		inTwo("in two networks")
		e.Docker(t, "network", "disconnect", "nb", "c1")
		reached("in one network again", relayed, relayed)
	}
	e.Docker(t, "network", "connect", "nb", "c1")
	e.Docker(t, "restart", "-t", "0", "c1")
	e.Serving(t, "c1")
	inTwo("started in two networks")
}
