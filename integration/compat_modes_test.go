package integration

import (
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testPointToPoint: a subnet of two addresses holds two containers where the
// host needs none of them.
func testPointToPoint(t *testing.T, e *harness.Engine) {
	for _, option := range []string{"inhibit_ipv4=true", "gateway_mode_ipv4=isolated"} {
		t.Run(option, func(t *testing.T) {
			e.Network(t, "n1", args(gangwayIPAM(e), []string{"--internal", "--subnet", "10.95.0.0/31", "-o", "com.docker.network.bridge." + option})...)
			e.Serve(t, harness.Container{Name: "c1", Network: "n1"}, "tcp", "0.0.0.0:80")
			err := e.TryStart(t, harness.Container{Name: "c2", Network: "n1"}, "sleep", "1000000")
			if e.Suite != harness.Forky { // engines ask for a gateway's address in any case until 27
				if err == nil {
					t.Error("two containers beside a gateway in a /31")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			from(t, "by name", e.Inside("c2").Get(t, "tcp", "c1:80"), "c1", e.Address(t, "c2", "n1"))
		})
	}
}

// testRoutedBeside: a container in a routed network and in one with translation
// has its published ports open in the routed one, and published at the host if
// the other is its way out; joined, left and joined again, and over restarts. From
// outside they are open if the routed one is its way out: an answer by the other network
// would have an address that does not come by that network's bridge.
func testRoutedBeside(t *testing.T, e *harness.Engine) {
	e.Network(t, "a-nat", dual(e, "10.95.0.0/24", "fd00:95::/64")...)
	e.Network(t, "routed", append(dual(e, "10.95.1.0/24", "fd00:951::/64"),
		"-o", "com.docker.network.bridge.gateway_mode_ipv4=routed", "-o", "com.docker.network.bridge.gateway_mode_ipv6=routed")...)
	e.Serve(t, harness.Container{Name: "c1", Network: "a-nat", Args: publish("8000:80")}, "tcp", "[::]:80", "tcp", "[::]:81")
	e.Docker(t, "network", "connect", "routed", "c1")
	e.Sleep(t, harness.Container{Name: "c2", Network: "routed"})
	outside := e.LAN.Outside
	routes(t, outside, "10.95.0.0/24", "fd00:95::/64", "10.95.1.0/24", "fd00:951::/64")
	direct, nat := e.Address(t, "c1", "routed"), e.Address(t, "c1", "a-nat")
	direct6, nat6 := "["+e.Address6(t, "c1", "routed")+"]", "["+e.Address6(t, "c1", "a-nat")+"]"
	for _, host := range []string{harness.LanIPv4, "[" + harness.LanIPv6 + "]"} {
		by(t, "by the host", outside.Get(t, "tcp", host+":8000"), "c1")
		by(t, "by the host, from the routed network", e.Inside("c2").Get(t, "tcp", host+":8000"), "c1")
	}
	reachable := func(when string) {
		t.Helper()
		for _, addr := range []string{direct, direct6} {
			by(t, when, e.Inside("c2").Get(t, "tcp", addr+":80"), "c1")
		}
	}
	reachable("not the way out")
	e.StopGangway(t)
	e.StartGangway(t)
	reachable("gangway restarted")
	together(
		func() { outside.Unreachable(t, "tcp", nat+":80") },
		func() { outside.Unreachable(t, "tcp", nat6+":80") },
		func() { e.Inside("c2").Unreachable(t, "tcp", nat+":80") },
		func() { e.Inside("c2").Unreachable(t, "tcp", nat6+":80") },
		func() { outside.Unreachable(t, "tcp", direct+":81") },
		func() { outside.Unreachable(t, "tcp", direct6+":81") },
	)
	e.Docker(t, "network", "disconnect", "a-nat", "c1")
	reachable("way out")
	for _, addr := range []string{direct, direct6} {
		by(t, "way out, from outside", outside.Get(t, "tcp", addr+":80"), "c1")
	}
	e.Docker(t, "network", "connect", "a-nat", "c1")
	reachable("way out no more, or still")
	e.Docker(t, "network", "disconnect", "routed", "c1")
	for _, addr := range []string{direct, direct6} {
		outside.Unreachable(t, "tcp", addr+":80")
	}
	e.Docker(t, "network", "connect", "--ip", strings.Trim(direct, "[]"), "--ip6", strings.Trim(direct6, "[]"), "routed", "c1")
	reachable("joined again")
	e.Docker(t, "restart", "-t", "1", "c1")
	e.Serving(t, "c1")
	reachable("container restarted")
}
