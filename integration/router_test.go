package integration

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// TestRouter shows that a host which was no router is none by gangway's networks, on
// engines of its own: who is joined to it, and whether it forwards, is changed.
func TestRouter(t *testing.T) {
	t.Parallel()
	for _, suite := range []harness.Suite{harness.Bookworm, harness.Forky} {
		for _, firewall := range []string{"nftables", "iptables"} {
			t.Run(string(suite)+"/"+firewall, func(t *testing.T) {
				t.Parallel()
				testRouter(t, harness.Start(t, harness.Config{Suite: suite, Driver: harness.Daemon, Env: []string{"GANGWAY_FIREWALL=" + firewall}}))
			})
		}
	}
}

// Another machine on a second link of the host, and the network there.
const (
	farIPv4, farSubnet4 = "198.51.100.2", "198.51.100.0/24"
	farIPv6, farSubnet6 = "2001:db8:2::2", "2001:db8:2::/64"
)

func testRouter(t *testing.T, e *harness.Engine) {
	far := farMachine(t, e)
	// The policy is the administrator's; the engine may have set another one.
	e.Run(t, "sh", "-ec", "iptables -P FORWARD ACCEPT; ip6tables -P FORWARD ACCEPT")
	c := transit{e: e, far: far}
	e.Network(t, "n1", dual(e, "10.74.0.0/24", "fd00:74::/64")...)
	c.forwarding(t, "1")
	e.KillGangway(t)
	e.StartGangway(t) // who finds forwarding like this
	c.lives(t, "somebody's router")
	c.crosses(t, "somebody's router", true)
	e.Docker(t, "rm", "-f", "c1")
	c.forwarding(t, "0")
	c.crosses(t, "without forwarding", false)
	c.lives(t, "no router")
	c.crosses(t, "with a container", false)
	if status := e.Gangway(t, "status"); !strings.Contains(status, "IPv4 and IPv6 forwarded for the networks alone") {
		t.Errorf("status:\n%s", status)
	}
	e.KillGangway(t)
	e.StartGangway(t)
	c.crosses(t, "after a restart", false)
	c.beside(t)
	c.rule(t, "-A")
	c.comes(t, "a rule of the administrator's")
	c.rule(t, "-D")
	c.crosses(t, "without that rule", false)
	e.KillGangway(t)
	e.StartGangway(t, "GANGWAY_FORWARDING=open")
	c.comes(t, "GANGWAY_FORWARDING=open")
	e.KillGangway(t)
	e.StartGangway(t)
	c.goes(t, "closed once more")
	e.Docker(t, "rm", "-f", "c1")
	e.Docker(t, "network", "rm", "n1")
	c.crosses(t, "without networks", false)
	e.KillGangway(t)
	e.StartGangway(t)
	c.crosses(t, "without networks, after a restart", false)
}

// transit is the way from the host's neighbour to a far machine.
type transit struct {
	e   *harness.Engine
	far string
}

// forwarding sets both families' switches.
func (c transit) forwarding(t *testing.T, value string) {
	t.Helper()
	c.e.Run(t, "sh", "-ec", fmt.Sprintf("cd /proc/sys/net; echo %[1]s >ipv4/ip_forward; echo %[1]s >ipv6/conf/all/forwarding", value))
}

// rule adds an administrator's rule to FORWARD that lets the neighbour through, or
// deletes it.
func (c transit) rule(t *testing.T, command string) {
	t.Helper()
	for _, tool := range []string{"iptables", "ip6tables"} {
		c.e.Run(t, tool, command, "FORWARD", "-i", "lan0", "-o", "lan1", "-j", "ACCEPT")
	}
}

// lives starts a container that reaches the far machine, and is reached by a port.
func (c transit) lives(t *testing.T, when string) {
	t.Helper()
	e := c.e
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80")}, "tcp", "[::]:80")
	e.Inside("c1").Ping(t, farIPv4)
	e.Inside("c1").Ping(t, farIPv6)
	by(t, when, e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8000"), "c1")
	by(t, when+", IPv6", e.LAN.Outside.Get(t, "tcp", "[2001:db8::1]:8000"), "c1")
	for _, name := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		if got := e.Run(t, "cat", "/proc/sys/net/"+name); got != "1" {
			t.Fatalf("%s: %s is %s with a container", when, name, got)
		}
	}
}

// beside demands that the engine's own network works as before: its containers get out,
// and what they publish is reached.
func (c transit) beside(t *testing.T) {
	t.Helper()
	c.e.Serve(t, harness.Container{Name: "own", Network: "bridge", Args: publish("9000:80")}, "tcp", "0.0.0.0:80")
	c.e.Inside("own").Ping(t, farIPv4)
	by(t, "published by the engine", c.e.LAN.Outside.Get(t, "tcp", "192.0.2.1:9000"), "own")
}

// try pings the far machine from the neighbour, and says whether something arrived, as
// counted there.
func (c transit) try(t *testing.T, to string) (arrived int, answered bool) {
	t.Helper()
	sent := echoes(t, c.e, c.far)
	err := c.e.LAN.Outside.TryPing(to)
	return echoes(t, c.e, c.far) - sent, err == nil
}

func (c transit) crosses(t *testing.T, when string, want bool) {
	t.Helper()
	for _, to := range []string{farIPv4, farIPv6} {
		if n, answered := c.try(t, to); answered != want || n > 0 != want {
			t.Errorf("%s: of the neighbour's pings to %s %d arrive, answered: %t, want %t", when, to, n, answered, want)
		}
	}
}

// comes and goes wait for what gangway does when it sees a change.
func (c transit) comes(t *testing.T, when string) {
	t.Helper()
	c.awaits(t, when, true)
}

func (c transit) goes(t *testing.T, when string) {
	t.Helper()
	c.awaits(t, when, false)
}

func (c transit) awaits(t *testing.T, when string, want bool) {
	t.Helper()
	for _, to := range []string{farIPv4, farIPv6} {
		harness.Eventually(t, when, func() error {
			if n, answered := c.try(t, to); answered != want || n > 0 != want {
				return errors.New(to + " answers: " + strconv.FormatBool(answered))
			}
			return nil
		})
	}
}

// farMachine joins the host to another machine, which the neighbour has a route to, and
// returns that machine's process.
func farMachine(t *testing.T, e *harness.Engine) string {
	t.Helper()
	pid := e.Run(t, "sh", "-ec", `unshare --net sleep 1000000 >/dev/null 2>&1 &
		until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do :; done
		echo $!`)
	t.Cleanup(func() { e.Run(t, "sh", "-c", "kill "+pid) })
	e.Run(t, "sh", "-ec", fmt.Sprintf(`ip link add lan1 type veth peer name eth0 netns %[1]s
		ip addr add 198.51.100.1/24 dev lan1; ip addr add 2001:db8:2::1/64 dev lan1 nodad; ip link set lan1 up
		in="nsenter --target %[1]s --net ip"
		$in addr add %[2]s/24 dev eth0; $in addr add %[3]s/64 dev eth0 nodad; $in link set eth0 up
		$in route add default via 198.51.100.1; $in -6 route add default via 2001:db8:2::1`, pid, farIPv4, farIPv6))
	e.Ping(t, farIPv4)
	e.Ping(t, farIPv6)
	e.LAN.Outside.Run(t, "ip", "route", "add", farSubnet4, "via", harness.LanIPv4)
	e.LAN.Outside.Run(t, "ip", "route", "add", farSubnet6, "via", harness.LanIPv6)
	return pid
}

// echoes is how many echo requests have come in by the far machine's link.
func echoes(t *testing.T, e *harness.Engine, far string) int {
	t.Helper()
	out := e.Run(t, "awk", `/^Icmp: [0-9]/ { n += $10 } /^Icmp6InEchos/ { n += $2 } END { print n + 0 }`,
		"/proc/"+far+"/net/snmp", "/proc/"+far+"/net/snmp6")
	n, err := strconv.Atoi(out)
	if err != nil {
		t.Fatalf("counters of the far machine: %v", err)
	}
	return n
}
