package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testRoutes: containers and the host reach what is behind one container by the routes of its
// network, nobody else does; the host's come back when they are taken away, and go with the
// network. A container without a default route has none.
func testRoutes(t *testing.T, e *harness.Engine) {
	const routes = "10.9.0.0/16 via 10.75.0.5, fd00:9::/64 via fd00:75::5"
	e.Network(t, "n1", append(dual(e, "10.75.0.0/24", "fd00:75::/64"), "-o", "gangway.routes="+routes, "-o", "gangway.host_routes="+routes)...)
	e.Network(t, "n2", "--subnet", "10.76.0.0/24")
	e.Serve(t, harness.Container{Name: "router", Network: "n1", Args: []string{"--ip", "10.75.0.5", "--ip6", "fd00:75::5", "--cap-add", "NET_ADMIN"}}, "tcp", "0.0.0.0:80", "tcp", "[::]:81")
	e.Exec(t, "router", "sh", "-c", "ip address add 10.9.0.1/32 dev lo; ip address add fd00:9::1/128 dev lo")
	e.Sleep(t, harness.Container{Name: "c1", Network: "n1"})
	e.Sleep(t, harness.Container{Name: "own", Network: "name=n1,driver-opt=gangway.routes=none,driver-opt=gangway.no_default_route=true"})
	e.Sleep(t, harness.Container{Name: "c2", Network: "n2"})

	from(t, "container, IPv4", e.Inside("c1").Get(t, "tcp", "10.9.0.1:80"), "router", e.Address(t, "c1", "n1"))
	from(t, "container, IPv6", e.Inside("c1").Get(t, "tcp", "[fd00:9::1]:81"), "router", e.Address6(t, "c1", "n1"))
	from(t, "host, IPv4", e.Get(t, "tcp", "10.9.0.1:80"), "router", "10.75.0.1")
	by(t, "host, IPv6", e.Get(t, "tcp", "[fd00:9::1]:81"), "router")
	has := func(container string, want ...string) {
		t.Helper()
		all := e.Exec(t, container, "sh", "-c", "ip route; ip -6 route")
		for _, w := range want {
			if line, not := strings.CutPrefix(w, "no "); strings.Contains(all, line) == not {
				t.Errorf("%s, %s:\n%s", container, w, all)
			}
		}
	}
	has("c1", "10.9.0.0/16 via 10.75.0.5", "fd00:9::/64 via fd00:75::5", "default via 10.75.0.1")
	has("router", "no 10.9.0.0/16", "no fd00:9::/64", "default via 10.75.0.1")
	has("own", "no 10.9.0.0/16", "no default via")

	t.Cleanup(func() { // what is behind the router is nobody's whose flows would go with him
		e.Run(t, "sh", "-c", "conntrack -D -d 10.9.0.1; conntrack -D -f ipv6 -d fd00:9::1; true")
	})
	e.LAN.Outside.Run(t, "ip", "route", "add", "10.9.0.0/16", "via", harness.LanIPv4)
	t.Cleanup(func() { e.LAN.Outside.Run(t, "ip", "route", "del", "10.9.0.0/16") })
	e.LAN.Outside.Unreachable(t, "tcp", "10.9.0.1:80")
	e.Inside("c2").Unreachable(t, "tcp", "10.9.0.1:80")

	for _, damage := range []string{"ip route del 10.9.0.0/16", "ip -6 route del fd00:9::/64", "ip link set BRIDGE down; ip link set BRIDGE up"} {
		damage = strings.ReplaceAll(damage, "BRIDGE", bridgeOf(t, e, "n1"))
		e.Run(t, "sh", "-ec", damage)
		harness.Eventually(t, "routes after "+damage, func() error {
			out, err := e.Try("sh", "-c", "ip route show proto 71; ip -6 route show proto 71")
			if err == nil && strings.Count(out, "via") != 2 {
				err = fmt.Errorf("%s", out)
			}
			return err
		})
		from(t, "host after "+damage, e.Get(t, "tcp", "10.9.0.1:80"), "router", "10.75.0.1")
	}
	for _, container := range []string{"router", "c1", "own"} {
		e.Docker(t, "rm", "-f", container)
	}
	e.Docker(t, "network", "rm", "n1")
	if left := e.Run(t, "sh", "-c", "ip route show proto 71; ip -6 route show proto 71"); left != "" {
		t.Errorf("left behind: %s", left)
	}
}
