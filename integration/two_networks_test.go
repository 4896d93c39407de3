package integration

import (
	"net/netip"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testPortsTwoNetworks: a proxy is in two networks and publishes a port; who is in the
// other network alone asks for it by the host, and so does the host by that network's
// gateway. The container has an address in the client's subnet: its answer would go
// there without the host, from an address that nobody asked.
func testPortsTwoNetworks(t *testing.T, e *harness.Engine) {
	e.Network(t, "na", args(gangwayIPAM(e), []string{"--ipv6", "--subnet", "10.73.0.0/24", "--subnet", "fd00:73::/64"})...)
	e.Network(t, "nb", args(gangwayIPAM(e), []string{"--ipv6", "--subnet", "10.73.1.0/24", "--subnet", "fd00:73:1::/64"})...)
	e.Serve(t, harness.Container{Name: "proxy", Network: "na", Args: publish("8000:80", "8000:80/udp")}, "tcp", "[::]:80", "udp", "[::]:80")
	e.Sleep(t, harness.Container{Name: "app", Network: "nb"})
	hosts := []string{"192.0.2.1", "[2001:db8::1]"}
	ask := func(when string) (clients []netip.Addr) {
		t.Helper()
		for _, proto := range []string{"tcp", "udp"} {
			for _, host := range hosts {
				a := e.Inside("app").Get(t, proto, host+":8000")
				by(t, when+": "+proto+" of "+host, a, "proxy")
				clients = append(clients, a.Client.Addr())
			}
		}
		return clients
	}
	direct := ask("in one network")
	e.Docker(t, "network", "connect", "nb", "proxy")
	for _, filter := range []string{"0", "1"} {
		reversePath(t, e, filter)
		ask("in two networks, rp_filter=" + filter)
		for _, gateway := range []string{"10.73.1.1", "[fd00:73:1::1]"} {
			by(t, "the host by "+gateway, e.Get(t, "tcp", gateway+":8000"), "proxy")
		}
	}
	reversePath(t, e, "0")
	e.Docker(t, "network", "disconnect", "nb", "proxy")
	for i, client := range ask("in one network again") {
		if client != direct[i] {
			t.Errorf("the client is %s, was %s before", client, direct[i])
		}
	}
}

// testBehindContainer: a subnet that is routed to a container (a VPN server in it) is
// reached in gateway mode nat-unprotected, and gets answers to what it asks outside.
func testBehindContainer(t *testing.T, e *harness.Engine) {
	mode(t, e, "bridge.gateway_mode_ipv4=nat-unprotected", "bridge.gateway_mode_ipv6=routed")
	e.Serve(t, harness.Container{Name: "vpn", Network: "n1", Args: []string{"--cap-add", "NET_ADMIN", "--sysctl", "net.ipv6.conf.all.disable_ipv6=0"}}, "tcp", "[::]:81")
	outside := e.LAN.Outside
	outside.Serve(t, "tcp", "[::]:99")
	for _, w := range []struct{ own, gateway, via string }{
		{"10.88.0.1/32", e.Address(t, "vpn", "n1"), harness.LanIPv4},
		{"fd00:88::1/128", e.Address6(t, "vpn", "n1"), harness.LanIPv6},
	} {
		own := netip.MustParsePrefix(w.own)
		e.Docker(t, "exec", "vpn", "ip", "addr", "add", w.own, "dev", "lo")
		e.Run(t, "ip", "route", "add", own.String(), "via", w.gateway)
		outside.Run(t, "ip", "route", "add", own.String(), "via", w.via)
		t.Cleanup(func() {
			e.Run(t, "ip", "route", "del", own.String())
			outside.Run(t, "ip", "route", "del", own.String())
			// No container's address: nobody else forgets its flows.
			e.Run(t, "conntrack", "-D", "-d", own.Addr().String())
		})
		// A container that has just started is still finding out whether its link-local
		// address is taken (RFC 4862).
		harness.Eventually(t, "ping "+own.String(), func() error { return outside.TryPing(own.Addr().String()) })
	}
	by(t, "behind the container", outside.Get(t, "tcp", "10.88.0.1:81"), "vpn")
	outside.Unreachable(t, "tcp", "[fd00:88::1]:81")
}

// reversePath sets rp_filter of the host.
func reversePath(t *testing.T, e *harness.Engine, value string) {
	t.Helper()
	e.Run(t, "sh", "-c", "echo "+value+" >/proc/sys/net/ipv4/conf/all/rp_filter")
}
