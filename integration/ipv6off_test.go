package integration

import (
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testIPv6Off: the port of a container that has IPv6 switched off, on a network with
// both families, leads to its IPv4 address in both. Engines before 28 publish before there is a container to
// look into.
func testIPv6Off(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", args(gangwayIPAM(e), []string{"--ipv6", "--subnet", "10.87.0.0/24", "--subnet", "fd00:87::/64"})...)
	off := append(publish("8000:80", "8000:80/udp"), "--sysctl", "net.ipv6.conf.all.disable_ipv6=1")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: off}, "tcp", "0.0.0.0:80", "udp", "0.0.0.0:80")
	e.Serve(t, harness.Container{Name: "c2", Network: "n1", Args: publish("8002:80")}, "tcp", "[::]:80")
	reached := func(what string) {
		t.Helper()
		from(t, what+", with IPv6", e.LAN.Outside.Get(t, "tcp", "[2001:db8::1]:8002"), "c2", "2001:db8::2")
		for _, proto := range []string{"tcp", "udp"} {
			from(t, what+", IPv4, "+proto, e.LAN.Outside.Get(t, proto, "192.0.2.1:8000"), "c1", "192.0.2.2")
			if e.Suite == harness.Forky {
				by(t, what+", IPv6, "+proto, e.LAN.Outside.Get(t, proto, "[2001:db8::1]:8000"), "c1")
			}
		}
	}
	reached("started")
	e.Docker(t, "restart", "-t", "0", "c1")
	e.Serving(t, "c1")
	reached("restarted")
	if e.Suite == harness.Forky {
		var all []struct{ Addresses []string }
		e.GangwayJSON(t, &all, "endpoints")
		six := 0
		for _, one := range all {
			six += strings.Count(strings.Join(one.Addresses, " "), "fd00:87::")
		}
		if six != 1 {
			t.Errorf("%d endpoints hold IPv6 addresses, want c2's alone: %+v", six, all)
		}
	}
}
