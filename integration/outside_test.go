package integration

import (
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testOutside: what a container sends to an outside host is forwarded and
// masqueraded; the outside host sees the host's address. A host that knows the
// way to the containers' subnet does not get in.
func testOutside(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", args(gangwayIPAM(e), []string{"--subnet", "10.72.0.0/24"})...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1"}, "tcp", "0.0.0.0:80", "udp", "0.0.0.0:80")
	outside := e.LAN.Outside
	outside.Serve(t, "tcp", "0.0.0.0:99", "udp", "0.0.0.0:99", "sctp", "192.0.2.2:99")
	for _, proto := range []string{"tcp", "udp", "sctp"} {
		from(t, "container asks outside, "+proto, e.Inside("c1").Get(t, proto, "192.0.2.2:99"), "outside", harness.LanIPv4)
	}
	e.Inside("c1").Ping(t, "192.0.2.2")

	outside.Run(t, "ip", "route", "add", "10.72.0.0/24", "via", harness.LanIPv4)
	t.Cleanup(func() { outside.Run(t, "ip", "route", "del", "10.72.0.0/24") })
	addr := e.Address(t, "c1", "n1")
	outside.Unreachable(t, "tcp", addr+":80")
	outside.Unreachable(t, "udp", addr+":80")
	if err := outside.TryPing(addr); err == nil {
		t.Error("an outside host pings the container")
	}
}

// testOutsideIPv6 is testOutside for IPv6.
func testOutsideIPv6(t *testing.T, e *harness.Engine) {
	if e.Driver == string(harness.Builtin) && e.Suite != harness.Forky {
		return // these have no IPv6 NAT unless experimental
	}
	e.Network(t, "n1", args(gangwayIPAM(e), []string{"--ipv6", "--subnet", "10.72.0.0/24", "--subnet", "fd00:72::/64"})...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1"}, "tcp", "[::]:80")
	outside := e.LAN.Outside
	outside.Serve(t, "tcp", "[::]:99", "udp", "[::]:99")
	for _, proto := range []string{"tcp", "udp"} {
		from(t, "container asks outside, "+proto, e.Inside("c1").Get(t, proto, "[2001:db8::2]:99"), "outside", harness.LanIPv6)
		from(t, "container asks outside by IPv4, "+proto, e.Inside("c1").Get(t, proto, "192.0.2.2:99"), "outside", harness.LanIPv4)
	}
	e.Inside("c1").Ping(t, "2001:db8::2")
	addr := e.Address6(t, "c1", "n1")
	from(t, "host asks container", e.Get(t, "tcp", "["+addr+"]:80"), "c1", "fd00:72::1")

	outside.Run(t, "ip", "route", "add", "fd00:72::/64", "via", harness.LanIPv6)
	t.Cleanup(func() { outside.Run(t, "ip", "route", "del", "fd00:72::/64") })
	outside.Unreachable(t, "tcp", "["+addr+"]:80")
}
