package integration

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// linkLocal returns the link-local address of a link of the host.
func linkLocal(t *testing.T, e *harness.Engine, link string) string {
	t.Helper()
	for _, a := range e.Links(t)[link].Addresses {
		if strings.HasPrefix(a.Local, "fe80:") {
			return a.Local
		}
	}
	t.Fatalf("%s has no link-local address", link)
	return ""
}

// forgetFlows has the host forget its flows to a port of its own, which end by
// themselves only.
func forgetFlows(t *testing.T, e *harness.Engine, port int) {
	t.Cleanup(func() {
		for _, proto := range []string{"tcp", "udp"} {
			for _, family := range []string{"ipv4", "ipv6"} {
				e.Run(t, "sh", "-c", fmt.Sprintf("conntrack -D -f %s -p %s --orig-port-dst %d || true", family, proto, port))
			}
		}
	})
}

// testRelayOrigin: a relay leads nobody out of an internal network, by whichever
// address of the host he asks; containers of other networks use it.
func testRelayOrigin(t *testing.T, e *harness.Engine) {
	inner := e.Network(t, "inner", append(dual(e, "10.76.0.0/24", "fd00:76::/64"), "--internal")...)
	outer := e.Network(t, "outer", dual(e, "10.76.1.0/24", "fd00:761::/64")...)
	e.Network(t, "n4", "--subnet", "10.76.2.0/24")
	forgetFlows(t, e, 8004)
	// A container without IPv6: its port is relayed to by IPv6.
	e.Serve(t, harness.Container{Name: "c4", Network: "n4", Args: publish("8004:8080", "8004:8004/udp")}, "tcp", "0.0.0.0:8080", "udp", "0.0.0.0:8004")
	e.Sleep(t, harness.Container{Name: "in", Network: "inner"})
	e.Sleep(t, harness.Container{Name: "out", Network: "outer"})
	inNetns(t, e, "in", "ip", "-6", "route", "add", "default", "via", "fd00:76::1")
	for _, proto := range []string{"tcp", "udp"} {
		for _, host := range []string{"fd00:76::1", harness.LanIPv6, "fd00:761::1", linkLocal(t, e, "gw-"+inner[:12]) + "%eth0"} {
			e.Inside("in").Unreachable(t, proto, "["+host+"]:8004")
		}
		for _, host := range []string{"fd00:761::1", harness.LanIPv6, linkLocal(t, e, "gw-"+outer[:12]) + "%eth0"} {
			by(t, "another network by "+host+", "+proto, e.Inside("out").Get(t, proto, "["+host+"]:8004"), "c4")
		}
		by(t, "outside, "+proto, e.LAN.Outside.Get(t, proto, "["+harness.LanIPv6+"]:8004"), "c4")
		by(t, "the host, "+proto, e.Get(t, proto, "[::1]:8004"), "c4")
	}
	e.Inside("in").Unreachable(t, "broadcast", "10.76.0.255:8004")
	by(t, "broadcast from another network", e.Inside("out").Get(t, "broadcast", "10.76.1.255:8004"), "c4")
}

// testLinkLocalPorts: a published port of a container with IPv6 answers at link-local
// addresses of the host.
func testLinkLocalPorts(t *testing.T, e *harness.Engine) {
	id := e.Network(t, "n1", dual(e, "10.76.0.0/24", "fd00:76::/64")...)
	forgetFlows(t, e, 1236)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("1236:80", "1236:80/udp")}, "tcp", "[::]:80", "udp", "[::]:80")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n1"})
	lan, bridge := linkLocal(t, e, "lan0"), linkLocal(t, e, "gw-"+id[:12])
	for _, proto := range []string{"tcp", "udp"} {
		by(t, "host, "+proto, e.Get(t, proto, "["+lan+"%lan0]:1236"), "c1")
		by(t, "neighbour, "+proto, e.LAN.Neighbour.Get(t, proto, "["+lan+"%lan0]:1236"), "c1")
		by(t, "another container, "+proto, e.Inside("c2").Get(t, proto, "["+bridge+"%eth0]:1236"), "c1")
		by(t, "the container, "+proto, e.Inside("c1").Get(t, proto, "["+bridge+"%eth0]:1236"), "c1")
		// What can be translated still is.
		from(t, "neighbour by a global address, "+proto, e.LAN.Neighbour.Get(t, proto, "["+harness.LanIPv6+"]:1236"), "c1", e.LAN.Neighbour.IPv6)
	}
}

// testBroadcast: what is sent to a published UDP port by broadcast reaches the
// container, and the answer the sender; what a neighbour of the container sends
// reaches it without a relay.
func testBroadcast(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.76.0.0/24")
	forgetFlows(t, e, 47808)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("47808:47808/udp")}, "udp", "0.0.0.0:47808")
	by(t, "outside", e.LAN.Outside.Get(t, "broadcast", "192.0.2.255:47808"), "c1")
	by(t, "host", e.Get(t, "broadcast", "192.0.2.255:47808"), "c1")
	from(t, "unicast", e.LAN.Outside.Get(t, "udp", "192.0.2.1:47808"), "c1", "192.0.2.2")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n1"})
	a := e.Inside("c2").Get(t, "broadcast", "10.76.0.255:47808")
	from(t, "neighbour of the container", a, "c1", e.Address(t, "c2", "n1"))
}

// testPortsRestored: a port that somebody took while gangway was down, and one at an
// address that is not there yet, keep no other port from being held and relayed.
// They are named, and held as soon as they can be.
func testPortsRestored(t *testing.T, e *harness.Engine) {
	address := func(what string) { e.Run(t, "ip", "addr", what, "192.0.2.50/24", "dev", "lan0") }
	address("add")
	there := true
	t.Cleanup(func() {
		if there {
			address("del")
		}
	})
	e.Network(t, "n1", "--subnet", "10.76.0.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80", "8001:80", "192.0.2.50:8002:80")}, "tcp", "0.0.0.0:80")
	by(t, "before", e.Get(t, "tcp", "[::1]:8000"), "c1")
	e.StopGangway(t)
	address("del")
	there = false
	taker := e.Daemon(t, "/opt/gangway/probe", "serve", "tcp", "[::1]:8000")
	harness.Eventually(t, "the port is taken", func() error {
		_, err := e.TryGet("tcp", "[::1]:8000", "-timeout", "1s")
		return err
	})
	e.StartGangway(t)
	var out string
	harness.Eventually(t, "gangway says what it does not hold", func() (err error) {
		if out, err = e.TryGangway("health"); strings.Contains(out, "is not held") {
			return nil
		}
		return fmt.Errorf("health %q: %w", out, err)
	})
	for _, want := range []string{"tcp [::]:8000 is not held: ", "(pid ", "tcp 192.0.2.50:8002 is not held: "} {
		if !strings.Contains(out, want) {
			t.Errorf("health: %q, want %q", out, want)
		}
	}
	by(t, "another port's relay", e.Get(t, "tcp", "[::1]:8001"), "c1")
	by(t, "the other family's port", e.Get(t, "tcp", "127.0.0.1:8000"), "c1")
	if err := e.TryStart(t, harness.Container{Name: "c2", Network: "n1", Args: publish("0.0.0.0:8000:80")}, "true"); err == nil {
		t.Error("a port that is held in one family was published twice")
	}
	taker.Signal(t, syscall.SIGTERM)
	address("add")
	there = true
	harness.Eventually(t, "all ports are held", func() error {
		_, err := e.TryGangway("health")
		return err
	})
	by(t, "after", e.Get(t, "tcp", "[::1]:8000"), "c1")
}

// testPortsReserved: a port that gangway chooses is none that the host's administrator
// keeps from being chosen; a port that a user names may be.
func testPortsReserved(t *testing.T, e *harness.Engine) {
	sysctl := func(name, value string) {
		path := "/proc/sys/net/ipv4/" + name
		old := e.Run(t, "cat", path)
		t.Cleanup(func() { e.Run(t, "sh", "-c", "echo '"+old+"' >"+path) })
		e.Run(t, "sh", "-c", "echo '"+value+"' >"+path)
	}
	sysctl("ip_local_port_range", "40000 40009")
	sysctl("ip_local_reserved_ports", "40000-40003,40005-40009")
	e.Network(t, "n1", "--subnet", "10.76.0.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("80", "80/udp", "40001:80")}, "tcp", "0.0.0.0:80", "udp", "0.0.0.0:80")
	for proto, port := range map[string]string{"tcp": "40004", "udp": "40004"} {
		from(t, "chosen, "+proto, e.LAN.Outside.Get(t, proto, "192.0.2.1:"+port), "c1", "192.0.2.2")
	}
	from(t, "named", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:40001"), "c1", "192.0.2.2")
	e.Refused(t, []string{"40000-40009: no free port, 40004 is in use"}, "run", "--rm", "--network", "n1", "-p", "81", harness.Image, "true")
}
