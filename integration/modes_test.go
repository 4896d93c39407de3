package integration

import (
	"net"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// The subnets of the networks with a gateway mode.
const (
	modeSubnet4 = "10.84.0.0/24"
	modeSubnet6 = "fd00:84::/64"
)

// mode makes a dual-stack network with driver options, and tells an outside host
// the way to it.
func mode(t *testing.T, e *harness.Engine, options ...string) {
	t.Helper()
	list := args(gangwayIPAM(e), []string{"--ipv6", "--subnet", modeSubnet4, "--subnet", modeSubnet6})
	for _, o := range options {
		list = append(list, "-o", "com.docker.network."+o)
	}
	e.Network(t, "n1", list...)
	outside := e.LAN.Outside
	for subnet, via := range map[string]string{modeSubnet4: harness.LanIPv4, modeSubnet6: harness.LanIPv6} {
		outside.Run(t, "ip", "route", "add", subnet, "via", via)
		t.Cleanup(func() { outside.Run(t, "ip", "route", "del", subnet) })
	}
}

// testRouted: nothing is translated. Published ports are reached by the
// container's address, others are not; ICMP passes; both sides see each other's
// own addresses.
func testRouted(t *testing.T, e *harness.Engine) {
	mode(t, e, "bridge.gateway_mode_ipv4=routed", "bridge.gateway_mode_ipv6=routed")
	e.Network(t, "n2", args(gangwayIPAM(e), []string{"--subnet", "10.84.1.0/24"})...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80", "9000-9001:90-91/udp")},
		"tcp", "[::]:80", "tcp", "[::]:81", "udp", "[::]:90", "udp", "[::]:91", "udp", "[::]:92")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n2"})
	e.Sleep(t, harness.Container{Name: "c3", Network: "bridge"})
	outside := e.LAN.Outside
	outside.Serve(t, "tcp", "[::]:99")
	for addr, end := range map[string]struct{ client, server, host string }{
		e.Address(t, "c1", "n1"):              {"192.0.2.2", "192.0.2.2", harness.LanIPv4},
		"[" + e.Address6(t, "c1", "n1") + "]": {"2001:db8::2", "[2001:db8::2]", "[" + harness.LanIPv6 + "]"},
	} {
		from(t, "published port of "+addr, outside.Get(t, "tcp", addr+":80"), "c1", end.client)
		from(t, "published range of "+addr, outside.Get(t, "udp", addr+":91"), "c1", end.client)
		outside.Unreachable(t, "tcp", addr+":81")
		outside.Unreachable(t, "udp", addr+":92")
		outside.Ping(t, strings.Trim(addr, "[]"))
		from(t, addr+" asks outside", e.Inside("c1").Get(t, "tcp", end.server+":99"), "outside", strings.Trim(addr, "[]"))
		// There is no port of the host.
		outside.Unreachable(t, "tcp", end.host+":8000")
	}
	addr := e.Address(t, "c1", "n1")
	from(t, "another network", e.Inside("c2").Get(t, "tcp", addr+":80"), "c1", e.Address(t, "c2", "n2"))
	e.Inside("c2").Unreachable(t, "tcp", addr+":81")
	by(t, "the engine's network", e.Inside("c3").Get(t, "tcp", addr+":80"), "c1")
	by(t, "host", e.Get(t, "tcp", addr+":81"), "c1")
	e.Serve(t, harness.Container{Name: "c4", Network: "n1", Args: publish("127.0.0.1:8001:80")}, "tcp", "0.0.0.0:80")
	outside.Unreachable(t, "tcp", e.Address(t, "c4", "n1")+":80")
}

// testRoutedErrors: who asks in vain is told why, as by any router: by the container
// that nothing listens, by the host that a packet is too large or has come too far.
func testRoutedErrors(t *testing.T, e *harness.Engine) {
	mode(t, e, "bridge.gateway_mode_ipv4=routed", "bridge.gateway_mode_ipv6=routed", "driver.mtu=1400")
	e.Sleep(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80", "9000:90/udp")})
	outside := e.LAN.Outside
	for addr, tell := range map[string]struct{ host, large, far string }{
		e.Address(t, "c1", "n1"):  {harness.LanIPv4, "mtu = 1400", "Time to live exceeded"},
		e.Address6(t, "c1", "n1"): {harness.LanIPv6, "mtu=1400", "Hop limit"},
	} {
		for _, end := range []string{"tcp:80", "udp:90"} {
			proto, port, _ := strings.Cut(end, ":")
			if _, err := outside.TryGet(proto, net.JoinHostPort(addr, port)); err == nil || !strings.Contains(err.Error(), "refused") {
				t.Errorf("%s of %s: %v, want refused", end, addr, err)
			}
		}
		for _, c := range []struct{ flag, value, want string }{{"-s", "1420", tell.large}, {"-t", "1", tell.far}} {
			out := outside.Run(t, "sh", "-c", "ping -c 1 -W 3 -M do "+c.flag+" "+c.value+" "+addr+" 2>&1 || true")
			if !strings.Contains(out, "From "+tell.host) || !strings.Contains(out, c.want) {
				t.Errorf("ping %s %s %s: %q, want %q of %s", c.flag, c.value, addr, out, c.want, tell.host)
			}
		}
	}
}

// testNATUnprotected: published ports as ever, and all others by the container's
// address; what goes out is translated. Beside it, mode nat is closed.
func testNATUnprotected(t *testing.T, e *harness.Engine) {
	mode(t, e, "bridge.gateway_mode_ipv4=nat-unprotected")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80")}, "tcp", "[::]:80", "udp", "[::]:81")
	outside := e.LAN.Outside
	outside.Serve(t, "tcp", "[::]:99")
	addr, addr6 := e.Address(t, "c1", "n1"), "["+e.Address6(t, "c1", "n1")+"]"
	from(t, "published port", outside.Get(t, "tcp", "192.0.2.1:8000"), "c1", "192.0.2.2")
	from(t, "any port", outside.Get(t, "udp", addr+":81"), "c1", "192.0.2.2")
	outside.Ping(t, addr)
	outside.Unreachable(t, "udp", addr6+":81")
	outside.Unreachable(t, "tcp", addr6+":80")
	from(t, "asks outside", e.Inside("c1").Get(t, "tcp", "192.0.2.2:99"), "outside", harness.LanIPv4)
}

// testIsolated: containers reach each other; the host has no address there.
func testIsolated(t *testing.T, e *harness.Engine) {
	e.Refused(t, []string{"gateway_mode_ipv4", "--internal"}, "network", "create", "-d", e.Driver,
		"--subnet", modeSubnet4, "-o", "com.docker.network.bridge.gateway_mode_ipv4=isolated", "n1")
	mode := "-o=com.docker.network.bridge.gateway_mode_ipv"
	id := e.Network(t, "n1", args(gangwayIPAM(e), []string{"--internal", "--ipv6", "--subnet", modeSubnet4, "--subnet", modeSubnet6,
		mode + "4=isolated", mode + "6=isolated"})...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1"}, "tcp", "[::]:80")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n1"})
	by(t, "by name", e.Inside("c2").Get(t, "tcp", "c1:80"), "c1")
	by(t, "by IPv6", e.Inside("c2").Get(t, "tcp", "["+e.Address6(t, "c1", "n1")+"]:80"), "c1")
	if out := strings.TrimSpace(e.Run(t, "ip", "-o", "addr", "show", "dev", "gw-"+id[:12])); out != "" {
		t.Errorf("the bridge has addresses: %s", out)
	}
	if _, err := e.TryGet("tcp", e.Address(t, "c1", "n1")+":80", "-timeout", "1s"); err == nil {
		t.Error("the host reaches the container")
	}
}

// testTrustedInterfaces: from them published ports are reached by the
// container's address as well.
func testTrustedInterfaces(t *testing.T, e *harness.Engine) {
	mode(t, e, "bridge.trusted_host_interfaces=wg9:lan0")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80")}, "tcp", "[::]:80", "tcp", "[::]:81")
	outside := e.LAN.Outside
	for _, addr := range []string{e.Address(t, "c1", "n1"), "[" + e.Address6(t, "c1", "n1") + "]"} {
		by(t, "published port of "+addr, outside.Get(t, "tcp", addr+":80"), "c1")
		outside.Unreachable(t, "tcp", addr+":81")
	}
	from(t, "host port", outside.Get(t, "tcp", "192.0.2.1:8000"), "c1", "192.0.2.2")
}

// testInhibitIPv4: the bridge is one that exists, with another machine on it
// that is the gateway.
func testInhibitIPv4(t *testing.T, e *harness.Engine) {
	e.Run(t, "sh", "-c", "ip link add mine0 type bridge && ip link set mine0 up")
	t.Cleanup(func() { e.Run(t, "ip", "link", "del", "mine0") })
	e.Network(t, "n1", "--subnet", modeSubnet4, "--gateway", "10.84.0.99",
		"-o", "com.docker.network.bridge.name=mine0", "-o", "com.docker.network.bridge.inhibit_ipv4=true")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1"}, "tcp", "0.0.0.0:80")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n1"})
	by(t, "within", e.Inside("c2").Get(t, "tcp", "c1:80"), "c1")
	if out := e.Run(t, "ip", "-4", "-o", "addr", "show", "dev", "mine0"); strings.TrimSpace(out) != "" {
		t.Errorf("the bridge has addresses: %s", out)
	}
	if routes := e.Exec(t, "c1", "ip", "route"); !strings.Contains(routes, "default via 10.84.0.99") {
		t.Errorf("routes: %s", routes)
	}
}

// testHostAddresses: outgoing traffic takes the chosen addresses of the host,
// and ports are published on the chosen ones.
func testHostAddresses(t *testing.T, e *harness.Engine) {
	for _, a := range []string{"192.0.2.50/24", "2001:db8::50/64"} {
		e.Run(t, "ip", "addr", "add", a, "dev", "lan0", "nodad")
		t.Cleanup(func() { e.Run(t, "ip", "addr", "del", a, "dev", "lan0") })
	}
	e.Network(t, "n1", args(gangwayIPAM(e), []string{"--ipv6", "--subnet", modeSubnet4, "--subnet", modeSubnet6,
		"-o", "com.docker.network.host_ipv4=192.0.2.50", "-o", "com.docker.network.host_ipv6=2001:db8::50",
		"-o", "com.docker.network.bridge.host_binding_ipv4=192.0.2.50", "-o", "gangway.host_binding_ipv6=2001:db8::50"})...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80")}, "tcp", "[::]:80")
	outside := e.LAN.Outside
	outside.Serve(t, "tcp", "[::]:99")
	from(t, "asks outside", e.Inside("c1").Get(t, "tcp", "192.0.2.2:99"), "outside", "192.0.2.50")
	from(t, "asks outside by IPv6", e.Inside("c1").Get(t, "tcp", "[2001:db8::2]:99"), "outside", "2001:db8::50")
	from(t, "published", outside.Get(t, "tcp", "192.0.2.50:8000"), "c1", "192.0.2.2")
	from(t, "published by IPv6", outside.Get(t, "tcp", "[2001:db8::50]:8000"), "c1", "2001:db8::2")
	for _, other := range []string{"192.0.2.1:8000", "[2001:db8::1]:8000"} {
		if _, err := outside.TryGet("tcp", other, "-timeout", "1s"); err == nil {
			t.Errorf("the port answers on %s", other)
		}
	}
}
