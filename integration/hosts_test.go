package integration

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// TestHosts shows gangway on hosts that are not as the scenarios' are: each is
// changed for good.
func TestHosts(t *testing.T) {
	t.Parallel()
	for _, suite := range []harness.Suite{harness.Bookworm, harness.Forky} {
		for _, firewall := range []string{"nftables", "iptables"} {
			t.Run(string(suite)+"/"+firewall, func(t *testing.T) {
				t.Parallel()
				for _, before := range []bool{false, true} {
					t.Run(fmt.Sprintf("router/forwarding=%t", before), func(t *testing.T) {
						testRouter(t, harness.Start(t, hostConfig(suite, firewall)), before)
					})
				}
				t.Run("default-bridge", func(t *testing.T) {
					testDefaultBridge(t, harness.Start(t, hostConfig(suite, firewall)))
				})
			})
		}
	}
}

func hostConfig(suite harness.Suite, firewall string) harness.Config {
	return harness.Config{Suite: suite, Driver: harness.Daemon, Env: []string{"GANGWAY_FIREWALL=" + firewall}}
}

// testDefaultBridge: the engine's default network may be on a bridge of another
// name (dockerd --bridge), and is as separate from gangway's networks as docker0.
func testDefaultBridge(t *testing.T, e *harness.Engine) {
	e.Network(t, "mine", "--subnet", "10.91.0.0/24")
	e.Run(t, "sh", "-ec", "ip link add priv9 type bridge; ip addr add 10.91.9.1/24 dev priv9; ip link set priv9 up")
	e.Stop(t)
	e.Arguments("--bridge", "priv9")
	e.StartEngine(t)
	e.Serve(t, harness.Container{Name: "c1", Network: "mine"}, "tcp", "0.0.0.0:80", "udp", "0.0.0.0:80")
	e.Serve(t, harness.Container{Name: "own", Network: "bridge"}, "tcp", "0.0.0.0:80", "udp", "0.0.0.0:80")
	apart(t, e, e.Address(t, "c1", "mine"), "own", e.Address(t, "own", "bridge"))
}

// The second LAN behind the host.
const (
	far4, far4Net = "198.51.100.2", "198.51.100.0/24"
	far6, far6Net = "2001:db8:2::2", "2001:db8:2::/64"
)

// testRouter: who turns forwarding on closes what that opens. A host that was no
// router forwards for gangway's networks only; one that was a router stays one.
func testRouter(t *testing.T, e *harness.Engine, before bool) {
	far := secondLAN(t, e)
	value := map[bool]string{false: "0", true: "1"}[before]
	// The policy is the administrator's; the engine may have set another one.
	e.Run(t, "sh", "-ec", fmt.Sprintf(`iptables -P FORWARD ACCEPT; ip6tables -P FORWARD ACCEPT
		echo %[1]s >/proc/sys/net/ipv4/ip_forward; echo %[1]s >/proc/sys/net/ipv6/conf/all/forwarding`, value))
	e.KillGangway(t)
	e.StartGangway(t) // who finds forwarding like this
	out := e.LAN.Outside
	crosses := func(when string, want bool) {
		t.Helper()
		for _, to := range []string{far4, far6} {
			sent := echoes(t, e, far)
			err := out.TryPing(to)
			if n := echoes(t, e, far) - sent; (err == nil) != want || n > 0 != want {
				t.Errorf("%s: the neighbour's ping to %s: %d packets arrive (%v), want some: %t", when, to, n, err, want)
			}
		}
	}
	crosses("before", before)
	e.Network(t, "n1", dual(e, "10.74.0.0/24", "fd00:74::/64")...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80")}, "tcp", "[::]:80")
	e.Inside("c1").Ping(t, far4)
	e.Inside("c1").Ping(t, far6)
	by(t, "published", out.Get(t, "tcp", "192.0.2.1:8000"), "c1")
	by(t, "published, IPv6", out.Get(t, "tcp", "[2001:db8::1]:8000"), "c1")
	for _, name := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		if got := e.Run(t, "cat", "/proc/sys/net/"+name); got != "1" {
			t.Fatalf("%s is %s with a network", name, got)
		}
	}
	crosses("with a network", before)
	e.KillGangway(t)
	e.StartGangway(t)
	crosses("after a restart of gangway", before)
}

// secondLAN joins the host to another machine, which the neighbour has a route to,
// and returns that machine's process.
func secondLAN(t *testing.T, e *harness.Engine) string {
	t.Helper()
	far := machine(t, e)
	e.Run(t, "sh", "-ec", fmt.Sprintf(`ip link add lan1 type veth peer name eth0 netns %[1]s
		ip addr add 198.51.100.1/24 dev lan1; ip addr add 2001:db8:2::1/64 dev lan1 nodad; ip link set lan1 up
		in="nsenter --target %[1]s --net ip"
		$in addr add %[2]s/24 dev eth0; $in addr add %[3]s/64 dev eth0 nodad; $in link set eth0 up
		$in route add default via 198.51.100.1; $in -6 route add default via 2001:db8:2::1`, far, far4, far6))
	e.Ping(t, far4)
	e.Ping(t, far6)
	e.LAN.Outside.Run(t, "ip", "route", "add", far4Net, "via", harness.LanIPv4)
	e.LAN.Outside.Run(t, "ip", "route", "add", far6Net, "via", harness.LanIPv6)
	return far
}

// echoes is how many echo requests have come in by the far machine's link.
func echoes(t *testing.T, e *harness.Engine, far string) int {
	t.Helper()
	out := e.Run(t, "awk", `/^Icmp: [0-9]/ { n += $10 } /^Icmp6InEchos/ { n += $2 } END { print n }`,
		"/proc/"+far+"/net/snmp", "/proc/"+far+"/net/snmp6")
	n, err := strconv.Atoi(out)
	if err != nil {
		t.Fatalf("counters of the far machine: %v", err)
	}
	return n
}
