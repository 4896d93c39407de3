package integration

import (
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testDefaultGateway: the auxiliary addresses DefaultGatewayIPv4 and
// DefaultGatewayIPv6 are where containers send what leaves the network: to a
// machine on a bridge that was there before. The bridge keeps its own address.
func testDefaultGateway(t *testing.T, e *harness.Engine) {
	e.Run(t, "sh", "-ec", `ip netns add router; ip link add own0 type bridge; ip link set own0 up
		ip link add own0p type veth peer name r0 netns router; ip link set own0p master own0 up
		ip -n router link set r0 up; ip -n router link set lo up
		ip -n router addr add 10.94.0.7/24 dev r0; ip -n router addr add fd00:94::7/64 dev r0 nodad
		ip -n router addr add 198.51.100.1/32 dev lo; ip -n router addr add 2001:db8:100::1/128 dev lo`)
	t.Cleanup(func() { e.Run(t, "sh", "-c", "ip link del own0; ip netns del router; busybox umount /run/netns") })
	on := []string{"-o", "com.docker.network.bridge.name=own0"}
	aux := []string{"--aux-address", "DefaultGatewayIPv4=10.94.0.7", "--aux-address", "DefaultGatewayIPv6=fd00:94::7"}
	e.Network(t, "n1", args(dual(e, "10.94.0.0/24", "fd00:94::/64"), on, aux)...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1"}, "tcp", "[::]:80")
	for family, want := range map[string]string{"-4": "default via 10.94.0.7 ", "-6": "default via fd00:94::7 "} {
		if routes := e.Exec(t, "c1", "ip", family, "route"); !strings.Contains(routes, want) {
			t.Errorf("routes: %s, want %q", routes, want)
		}
	}
	// The first two are behind the router alone, the others are the host's.
	for _, addr := range []string{"198.51.100.1", "2001:db8:100::1", "10.94.0.1", "fd00:94::1"} {
		e.Inside("c1").Ping(t, addr)
	}
	e.Docker(t, "restart", "-t", "0", "c1")
	if routes := e.Exec(t, "c1", "ip", "route"); !strings.Contains(routes, "default via 10.94.0.7 ") {
		t.Errorf("routes after a restart: %s", routes)
	}
	by(t, "from the host", e.Get(t, "tcp", e.Address(t, "c1", "n1")+":80"), "c1")
}
