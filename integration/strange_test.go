package integration

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testForeignBridges: networks of the engine's own driver whose bridge has a name
// of its user's choice are not reached from gangway's, nor the other way; nor are
// bridges of other programs.
func testForeignBridges(t *testing.T, e *harness.Engine) {
	e.Network(t, "mine", "--subnet", "10.91.0.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "mine"}, "tcp", "0.0.0.0:80", "udp", "0.0.0.0:80")
	mine := e.Address(t, "c1", "mine")
	for i, n := range []struct {
		bridge string
		args   []string
	}{{"priv0", []string{"--internal"}}, {"priv1", nil}} {
		name := "theirs-" + n.bridge
		create := args([]string{"network", "create", "-d", "bridge", "--subnet", fmt.Sprintf("10.91.%d.0/24", 3+i),
			"-o", "com.docker.network.bridge.name=" + n.bridge}, n.args, []string{name})
		e.Docker(t, create...)
		t.Cleanup(func() { e.Docker(t, "network", "rm", name) })
		e.Serve(t, harness.Container{Name: "on-" + n.bridge, Network: name}, "tcp", "0.0.0.0:80", "udp", "0.0.0.0:80")
		apart(t, e, mine, "on-"+n.bridge, e.Address(t, "on-"+n.bridge, name))
	}
	for i, bridge := range []string{"podman0", "virbr0", "lxdbr0"} {
		gateway, guest := fmt.Sprintf("10.92.%d.1", i), fmt.Sprintf("10.92.%d.2", i)
		addGuest(t, e, bridge, gateway, guest)
		if err := e.Inside("c1").TryPing(guest); err == nil {
			t.Errorf("a container pings %s behind %s", guest, bridge)
		}
	}
	e.LAN.Outside.Serve(t, "tcp", "192.0.2.2:99")
	from(t, "container asks outside", e.Inside("c1").Get(t, "tcp", "192.0.2.2:99"), "outside", harness.LanIPv4)
}

// apart demands that a container of the engine's and c1 do not reach each other,
// while the host reaches both.
func apart(t *testing.T, e *harness.Engine, mine, theirName, theirs string) {
	t.Helper()
	forget(t, e, theirs)
	by(t, "the host asks "+theirName, e.Get(t, "tcp", theirs+":80"), theirName)
	by(t, "the host asks c1", e.Get(t, "tcp", mine+":80"), "c1")
	for _, proto := range []string{"tcp", "udp"} {
		e.Inside("c1").Unreachable(t, proto, theirs+":80")
		e.Inside(theirName).Unreachable(t, proto, mine+":80")
	}
	if err := e.Inside("c1").TryPing(theirs); err == nil {
		t.Errorf("c1 pings %s", theirName)
	}
	if err := e.Inside(theirName).TryPing(mine); err == nil {
		t.Errorf("%s pings c1", theirName)
	}
}

// forget ends the host's flows with somebody who is none of gangway's at the end of
// the test.
func forget(t *testing.T, e *harness.Engine, addr string) {
	t.Helper()
	t.Cleanup(func() { e.Run(t, "sh", "-c", fmt.Sprintf("conntrack -D -d %[1]s; conntrack -D -s %[1]s; true", addr)) })
}

// addGuest makes a bridge as other programs do, with a machine on it that the
// host reaches.
func addGuest(t *testing.T, e *harness.Engine, bridge, gateway, guest string) {
	t.Helper()
	t.Cleanup(func() { e.Run(t, "ip", "link", "del", bridge) })
	forget(t, e, guest)
	e.Run(t, "sh", "-ec", fmt.Sprintf(`ip link add %[1]s type bridge
		ip addr add %[2]s/24 dev %[1]s
		ip link set %[1]s up
		ip link add t-%[1]s type veth peer name eth0 netns %[4]s
		ip link set t-%[1]s master %[1]s up
		in="nsenter --target %[4]s --net ip"
		$in addr add %[3]s/24 dev eth0
		$in link set eth0 up
		$in route add default via %[2]s`, bridge, gateway, guest, machine(t, e)))
	e.Ping(t, guest)
}

// machine makes a network namespace beside the host's until the end of the test,
// and returns a process in it.
func machine(t *testing.T, e *harness.Engine) string {
	t.Helper()
	pid := e.Run(t, "sh", "-ec", `unshare --net sleep 1000000 >/dev/null 2>&1 &
		until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do :; done
		echo $!`)
	t.Cleanup(func() { e.Run(t, "sh", "-c", "kill "+pid) })
	return pid
}

// testUplinkBridge: the host's link to the outside may be a bridge, called like the
// engine's bridges or not, and a link on top of one.
func testUplinkBridge(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", dual(e, "10.74.0.0/24", "fd00:74::/64")...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80")}, "tcp", "[::]:80")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n1"})
	e.LAN.Outside.Serve(t, "tcp", "[::]:99")
	for _, bridge := range []string{"vmbr0", "br-lan", "br-ex", "br-services"} {
		t.Run(bridge, func(t *testing.T) {
			bridgeUplink(t, e, bridge)
			reachesOutside(t, e, bridge, "192.0.2.2", harness.LanIPv4)
			from(t, "outside, IPv6", e.Inside("c1").Get(t, "tcp", "[2001:db8::2]:99"), "outside", harness.LanIPv6)
			from(t, "published", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8000"), "c1", "192.0.2.2")
			from(t, "published, IPv6", e.LAN.Outside.Get(t, "tcp", "[2001:db8::1]:8000"), "c1", "2001:db8::2")
			by(t, "published, from the host", e.Get(t, "tcp", "192.0.2.1:8000"), "c1")
			by(t, "published, from a container", e.Inside("c2").Get(t, "tcp", "192.0.2.1:8000"), "c1")
			e.LAN.Outside.Run(t, "ip", "addr", "add", "198.51.100.2/24", "dev", "lan0")
			t.Cleanup(func() { e.LAN.Outside.Run(t, "ip", "addr", "del", "198.51.100.2/24", "dev", "lan0") })
			sub := bridge + ".10"
			e.Run(t, "sh", "-ec", fmt.Sprintf(`ip link add link %s name %s type macvlan mode bridge
				ip addr add 198.51.100.1/24 dev %[2]s; ip link set %[2]s up`, bridge, sub))
			t.Cleanup(func() { e.Run(t, "ip", "link", "del", sub) })
			reachesOutside(t, e, sub, "198.51.100.2", "198.51.100.1")
			from(t, "published, by "+sub, e.LAN.Outside.Get(t, "tcp", "198.51.100.1:8000"), "c1", "198.51.100.2")
		})
	}
}

// reachesOutside waits until a container gets an answer from outside: gangway has to
// see that there is another link.
func reachesOutside(t *testing.T, e *harness.Engine, link, outside, host string) {
	t.Helper()
	harness.Eventually(t, "a container reaches the outside by "+link, func() error {
		answer, err := e.Inside("c1").TryGet("tcp", net.JoinHostPort(outside, "99"), "-timeout", "1s")
		if err == nil && answer.Client.Addr().String() != host {
			err = errors.New("the outside sees " + answer.Client.String())
		}
		return err
	})
}

// bridgeUplink puts the host's link to the outside on a bridge, which gets the
// addresses and the default routes, until the end of the test.
func bridgeUplink(t *testing.T, e *harness.Engine, bridge string) {
	t.Helper()
	mac := strings.TrimSpace(e.Run(t, "cat", "/sys/class/net/lan0/address"))
	addresses := func(link string) string {
		return fmt.Sprintf("ip addr add 192.0.2.1/24 dev %[1]s; ip addr add 2001:db8::1/64 dev %[1]s nodad", link)
	}
	t.Cleanup(func() {
		e.Run(t, "sh", "-ec", fmt.Sprintf("ip link del %s; %s", bridge, addresses("lan0")))
	})
	e.Run(t, "sh", "-ec", fmt.Sprintf(`ip link add %[1]s address %[2]s type bridge forward_delay 0
		ip addr flush dev lan0 scope global
		ip link set lan0 master %[1]s
		ip link set %[1]s up
		%[3]s
		ip route add default via 192.0.2.2
		ip -6 route add default via 2001:db8::2`, bridge, mac, addresses(bridge)))
}
