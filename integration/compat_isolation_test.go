package integration

import (
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testDirectRouting: who knows the way to a container's own address reaches
// none of its ports there, published ones neither, whatever the policy of the
// host's FORWARD chain, from outside and from another network.
func testDirectRouting(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", dual(e, "10.91.0.0/24", "fd00:91::/64")...)
	e.Network(t, "n2", dual(e, "10.91.1.0/24", "fd00:911::/64")...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80", "8000:80/udp")},
		"tcp", "[::]:80", "udp", "[::]:80", "tcp", "[::]:81")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n2"})
	outside := e.LAN.Outside
	routes(t, outside, "10.91.0.0/24", "fd00:91::/64")
	addrs := []string{e.Address(t, "c1", "n1"), "[" + e.Address6(t, "c1", "n1") + "]"}
	for _, policy := range []string{"ACCEPT", "DROP"} {
		for _, tool := range tables() {
			forwardPolicy(t, e, tool, policy)
		}
		for _, host := range []string{harness.LanIPv4, "[" + harness.LanIPv6 + "]"} {
			by(t, "published, policy "+policy, outside.Get(t, "tcp", host+":8000"), "c1")
			by(t, "published, from another network, policy "+policy, e.Inside("c2").Get(t, "tcp", host+":8000"), "c1")
		}
		if policy == "DROP" {
			break // what is closed with ACCEPT is closed with it as well
		}
		var checks []func()
		for _, from := range []*harness.Prober{outside.Prober, e.Inside("c2")} {
			for _, addr := range addrs {
				checks = append(checks,
					func() { from.Unreachable(t, "tcp", addr+":80") },
					func() { from.Unreachable(t, "udp", addr+":80") },
					func() { from.Unreachable(t, "tcp", addr+":81") },
					func() {
						if err := from.TryPing(strings.Trim(addr, "[]")); err == nil {
							t.Errorf("%s answers an echo request", addr)
						}
					})
			}
		}
		together(checks...)
	}
	by(t, "by the gateway of another network", e.Inside("c2").Get(t, "tcp", "[fd00:911::1]:8000"), "c1")
}

// forwardPolicy sets the policy of the FORWARD chain until the end of the test.
func forwardPolicy(t *testing.T, e *harness.Engine, tool, policy string) {
	t.Helper()
	first, _, _ := strings.Cut(e.Run(t, tool, "-S", "FORWARD"), "\n")
	before := strings.TrimPrefix(first, "-P FORWARD ")
	e.Run(t, tool, "-P", "FORWARD", policy)
	t.Cleanup(func() { e.Run(t, tool, "-P", "FORWARD", before) })
}

// testLoopbackOnly: a port published at an address of 127.0.0.0/8 is for the
// host alone, also when a neighbour sends packets for that address its way.
func testLoopbackOnly(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.91.0.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("127.0.0.1:8001:80", "127.0.0.2:8002:80", "127.0.0.2:8002:80/udp")},
		"tcp", "0.0.0.0:80", "udp", "0.0.0.0:80")
	by(t, "host", e.Get(t, "tcp", "127.0.0.1:8001"), "c1")
	by(t, "host by another loopback address", e.Get(t, "tcp", "127.0.0.2:8002"), "c1")
	by(t, "host by another loopback address, udp", e.Get(t, "udp", "127.0.0.2:8002"), "c1")
	neighbour := spoofer(t, e)
	together(
		func() { neighbour.Unreachable(t, "tcp", "127.0.0.1:8001") },
		func() { neighbour.Unreachable(t, "tcp", "127.0.0.2:8002") },
		func() { neighbour.Unreachable(t, "udp", "127.0.0.2:8002") },
		func() { neighbour.Unreachable(t, "tcp", harness.LanIPv4+":8001") },
	)
}

// spoofer joins a host to the LAN for which 127.0.0.0/8 is behind the engine's
// host, and which takes answers from there.
func spoofer(t *testing.T, e *harness.Engine) *harness.Host {
	t.Helper()
	h := e.LAN.Host(t, "spoofer", "192.0.2.4", "2001:db8::4")
	h.Run(t, "sh", "-ec", `cd /proc/sys/net/ipv4/conf
		for i in all lan0; do echo 1 >$i/route_localnet; echo 0 >$i/rp_filter; done
		ip -4 addr flush dev lo
		ip route add 127.0.0.0/8 via `+harness.LanIPv4+` src 192.0.2.4`)
	return h
}

// testDropInForward: what another program appends to the FORWARD chain comes
// after the rules that networks need.
func testDropInForward(t *testing.T, e *harness.Engine) {
	for _, tool := range tables() {
		rule := []string{"FORWARD", "-m", "comment", "--comment", "somebody else's", "-j", "DROP"}
		e.Run(t, args([]string{tool, "-A"}, rule)...)
		t.Cleanup(func() { e.Run(t, args([]string{tool, "-D"}, rule)...) })
	}
	e.Network(t, "n1", dual(e, "10.91.0.0/24", "fd00:91::/64")...)
	e.Network(t, "n2", dual(e, "10.91.1.0/24", "fd00:911::/64")...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80")}, "tcp", "[::]:80")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n2"})
	e.LAN.Outside.Serve(t, "tcp", "[::]:99")
	for host, outside := range map[string]string{harness.LanIPv4: "192.0.2.2", "[" + harness.LanIPv6 + "]": "[2001:db8::2]"} {
		by(t, "published", e.LAN.Outside.Get(t, "tcp", host+":8000"), "c1")
		by(t, "published, from another network", e.Inside("c2").Get(t, "tcp", host+":8000"), "c1")
		by(t, "container asks outside", e.Inside("c2").Get(t, "tcp", outside+":99"), "outside")
	}
}

// testAdvertisements: a container that plays the router changes neither the
// host's routes nor its addresses, even where the host forwards no IPv6. Whether
// a bridge that was there before takes advertisements stays its owner's choice.
func testAdvertisements(t *testing.T, e *harness.Engine) {
	options := dual(e, "10.91.0.0/24", "fd00:91::/64")
	if e.Driver != string(harness.Builtin) {
		// The host would get to see none.
		options = append(options, "-o", "gangway.anti_spoofing=false")
	}
	e.Network(t, "n1", options...)
	bridge := bridgeOf(t, e, "n1")
	e.Run(t, "sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/"+bridge+"/forwarding")
	if got := learned(t, e, "n1", bridge, "fd00:91::1"); got != "" {
		t.Errorf("learned from a container:\n%s", got)
	}
	e.Docker(t, "network", "rm", "n1")

	options = append(options, "-o", "com.docker.network.bridge.name=own0")
	for _, want := range []string{"0", "2"} {
		e.Run(t, "sh", "-ec", "ip link add own0 type bridge; ip link set own0 up; echo "+want+" >/proc/sys/net/ipv6/conf/own0/accept_ra")
		e.Docker(t, args([]string{"network", "create", "-d", e.Driver}, options, []string{"n1"})...)
		got := learned(t, e, "n1", "own0", "fd00:91::1")
		if (got != "") != (want == "2") {
			t.Errorf("accept_ra of an adopted bridge is %s; learned from a container: %q", want, got)
		}
		if got := strings.TrimSpace(e.Run(t, "cat", "/proc/sys/net/ipv6/conf/own0/accept_ra")); got != want {
			t.Errorf("accept_ra of an adopted bridge was %s and is %s", want, got)
		}
		e.Docker(t, "network", "rm", "n1")
		e.Run(t, "ip", "link", "del", "own0")
	}
}

// learned lets a container of a network advertise itself as router, and returns
// the routes and addresses that the host has at the bridge because of it.
func learned(t *testing.T, e *harness.Engine, network, bridge, gateway string) string {
	t.Helper()
	e.Sleep(t, harness.Container{Name: "router", Network: network})
	harness.Eventually(t, "router has an address to advertise from", func() error {
		_, err := e.TryDocker("exec", "router", "probe", "advertise", "eth0", "fd00:bad::/64")
		return err
	})
	e.Inside("router").Ping(t, gateway) // by then the host has handled what was sent before
	got := e.Run(t, "sh", "-c", "ip -6 route show table all dev "+bridge+" | grep 'proto ra' || true; ip -6 addr show dev "+bridge+" | grep fd00:bad: || true")
	e.Docker(t, "rm", "-f", "router")
	return got
}
