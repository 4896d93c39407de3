package integration

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// hostPort returns the host port that leads to a container's TCP port over
// IPv4.
func hostPort(t *testing.T, e *harness.Engine, container, network string, port uint16) uint16 {
	t.Helper()
	if e.Driver == string(harness.Builtin) {
		format := fmt.Sprintf(`{{(index (index .NetworkSettings.Ports "%d/tcp") 0).HostPort}}`, port)
		addr := netip.MustParseAddrPort("0.0.0.0:" + e.Docker(t, "inspect", "--format", format, container))
		return addr.Port()
	}
	addr := e.Address(t, container, network)
	for _, p := range ports(t, e, "tcp") {
		if p.ContainerIP.String() == addr && p.ContainerFirst <= port && port-p.ContainerFirst <= p.Last-p.First {
			return p.First + port - p.ContainerFirst
		}
	}
	t.Fatalf("port %d of %s is not published", port, container)
	return 0
}

// testPortsMixed: ports that the user leaves open differ, whichever addresses
// they are for, and each host address has its own port of a number.
func testPortsMixed(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.92.0.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("81", "82", "127.0.0.1::80")},
		"tcp", "0.0.0.0:80-82")
	seen := map[uint16]uint16{}
	for _, p := range []uint16{80, 81, 82} {
		chosen := hostPort(t, e, "c1", "n1", p)
		if other, taken := seen[chosen]; taken {
			t.Errorf("host port %d leads to container ports %d and %d", chosen, other, p)
		}
		seen[chosen] = p
		a := e.Get(t, "tcp", fmt.Sprintf("127.0.0.1:%d", chosen))
		if by(t, "chosen port", a, "c1"); a.Local.Port() != p {
			t.Errorf("host port %d leads to %s, want port %d", chosen, a.Local, p)
		}
	}
	e.Serve(t, harness.Container{Name: "c2", Network: "n1", Args: publish("127.0.1.2:1716:80")}, "tcp", "0.0.0.0:80")
	e.Serve(t, harness.Container{Name: "c3", Network: "n1", Args: publish("127.0.1.3:1716:80")}, "tcp", "0.0.0.0:80")
	by(t, "one loopback address", e.Get(t, "tcp", "127.0.1.2:1716"), "c2")
	by(t, "the other loopback address", e.Get(t, "tcp", "127.0.1.3:1716"), "c3")
	e.Unreachable(t, "tcp", "127.0.0.1:1716")
}

// testPortsTo6: ports published at an IPv6 address of the host lead to a
// container that has none, and so do the link-local addresses.
func testPortsTo6(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.92.0.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("[::1]:8001:80", "[2001:db8::1]:8002:80", "8003:80")}, "tcp", "0.0.0.0:80")
	by(t, "host by [::1]", e.Get(t, "tcp", "[::1]:8001"), "c1")
	by(t, "outside", e.LAN.Outside.Get(t, "tcp", "[2001:db8::1]:8002"), "c1")
	e.Unreachable(t, "tcp", "127.0.0.1:8001")
	e.LAN.Outside.Unreachable(t, "tcp", "192.0.2.1:8002")
	local := ""
	for _, a := range e.Links(t)["lan0"].Addresses {
		if strings.HasPrefix(a.Local, "fe80:") {
			local = "[" + a.Local + "%lan0]:8003"
		}
	}
	// The host's flows with itself and with link-local neighbours end by themselves.
	t.Cleanup(func() { e.Run(t, "sh", "-c", "conntrack -D -f ipv6 -p tcp --orig-port-dst 8003 || true") })
	by(t, "host by its link-local address", e.Get(t, "tcp", local), "c1")
	by(t, "outside by the host's link-local address", e.LAN.Outside.Get(t, "tcp", local), "c1")
}

// testPortsMoved: a client that goes on sending from the same UDP port reaches
// the container that has the published port now; flows of other ports stay.
func testPortsMoved(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.92.0.0/24")
	moved := harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80/udp")}
	e.Serve(t, moved, "udp", "0.0.0.0:80")
	// Its host port is the other's container port.
	e.Serve(t, harness.Container{Name: "c2", Network: "n1", Args: publish("80:80/udp")}, "udp", "0.0.0.0:80")
	flow := []string{"-from", e.LAN.Outside.IPv4 + ":5555", "-timeout", "2s"}
	by(t, "first container", e.LAN.Outside.Get(t, "udp", "192.0.2.1:8000", flow...), "c1")
	by(t, "other port", e.LAN.Outside.Get(t, "udp", "192.0.2.1:80", flow...), "c2")
	before := flowID(t, e, 80)
	e.Docker(t, "rm", "-f", "c1")
	// Nobody answers, and the kernel tracks this as a flow to the host itself.
	e.LAN.Outside.Unreachable(t, "udp", "192.0.2.1:8000")
	if _, err := e.LAN.Outside.TryGet("udp", "192.0.2.1:8000", append(flow, "-timeout", "300ms")...); err == nil {
		t.Error("a port without container answers")
	}
	moved.Name = "c3"
	e.Serve(t, moved, "udp", "0.0.0.0:80")
	// The kernel's flow to the host is forgotten a moment after the port is there.
	var answer harness.Answer
	harness.Eventually(t, "the next container answers", func() (err error) {
		answer, err = e.LAN.Outside.TryGet("udp", "192.0.2.1:8000", append(flow, "-timeout", "300ms")...)
		return err
	})
	by(t, "next container", answer, "c3")
	by(t, "other port again", e.LAN.Outside.Get(t, "udp", "192.0.2.1:80", flow...), "c2")
	if after := flowID(t, e, 80); after != before {
		t.Errorf("the tracked flow of another port was dropped: id %s, now %s", before, after)
	}
}

// flowID returns the number of the tracked flow from the outside host's UDP port
// 5555 to a port of the engine's host.
func flowID(t *testing.T, e *harness.Engine, port int) string {
	t.Helper()
	list := e.Run(t, "conntrack", "-L", "-p", "udp", "--src", "192.0.2.2", "--sport", "5555", "--dst", "192.0.2.1", "--dport", fmt.Sprint(port), "-o", "id")
	m := regexp.MustCompile(` id=(\d+)`).FindStringSubmatch(list)
	if m == nil {
		t.Fatalf("no tracked flow to port %d: %s", port, list)
	}
	return m[1]
}

// testPortsUnfiltered: published ports answer containers of the same network
// where the host's firewall does not see what passes within a bridge.
func testPortsUnfiltered(t *testing.T, e *harness.Engine) {
	setting(t, e, "bridge/bridge-nf-call-iptables", "0")
	setting(t, e, "bridge/bridge-nf-call-ip6tables", "0")
	e.Network(t, "n1", dual(e, "10.92.0.0/24", "fd00:92::/64")...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80", "8000:80/udp")}, "tcp", "[::]:80", "udp", "[::]:80")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n1"})
	for _, name := range []string{"c1", "c2"} {
		for _, host := range []string{harness.LanIPv4, "[fd00:92::1]"} {
			for _, proto := range []string{"tcp", "udp"} {
				by(t, name+" by "+host+", "+proto, e.Inside(name).Get(t, proto, host+":8000"), "c1")
			}
		}
	}
}

// testPortsByFamily: the network that is a container's way out in a family has
// its published ports in that family, and they move when that changes.
func testPortsByFamily(t *testing.T, e *harness.Engine) {
	e.Network(t, "n4", "--subnet", "10.92.0.0/24")
	e.Network(t, "n46", dual(e, "10.92.1.0/24", "fd00:92::/64")...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n4", Args: publish("8000:80")}, "tcp", "[::]:80")
	lead := func(want4, want6 string) {
		t.Helper()
		for host, want := range map[string]string{harness.LanIPv4: want4, "[" + harness.LanIPv6 + "]": want6} {
			a := e.LAN.Outside.Get(t, "tcp", host+":8000")
			if by(t, host, a, "c1"); a.Local.Addr().String() != want {
				t.Errorf("%s leads to %s, want %s", host, a.Local.Addr(), want)
			}
		}
	}
	four := e.Address(t, "c1", "n4")
	lead(four, four)
	e.Docker(t, "network", "connect", "n46", "c1")
	lead(e.Address(t, "c1", "n46"), e.Address6(t, "c1", "n46"))
	e.Docker(t, "network", "disconnect", "n46", "c1")
	lead(four, four)
	if e.Suite != harness.Forky { // the first engine with networks without IPv4
		return
	}
	e.Network(t, "n6", args(gangwayIPAM(e), []string{"--ipv4=false", "--ipv6", "--subnet", "fd00:921::/64"})...)
	e.Docker(t, "network", "connect", "n6", "c1")
	lead(four, e.Address6(t, "c1", "n6"))
	e.Docker(t, "restart", "-t", "1", "c1")
	answering(t, e)
	lead(e.Address(t, "c1", "n4"), e.Address6(t, "c1", "n6"))
	e.Docker(t, "network", "disconnect", "n6", "c1")
	lead(e.Address(t, "c1", "n4"), e.Address(t, "c1", "n4"))
}

// answering waits until the server of a container that was started again answers
// at host port 8000. Its log says "ready" from the first time.
func answering(t *testing.T, e *harness.Engine) {
	t.Helper()
	harness.Eventually(t, "port 8000 after a restart", func() error {
		_, err := e.TryGet("tcp", "127.0.0.1:8000", "-timeout", "1s")
		return err
	})
}

// testPortsAgain: a container keeps what it published when it starts again, at
// once, and one that cannot have its port is not tried again and again.
func testPortsAgain(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.92.0.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80", "81")}, "tcp", "0.0.0.0:80-81")
	// Its end that the host closes rests in TIME_WAIT at the published port.
	stream := e.Stream(t, "[::1]:8000")
	e.Docker(t, "restart", "-t", "1", "c1")
	stream.Broken(t)
	answering(t, e)
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		by(t, "after a restart", e.Get(t, "tcp", host+":8000"), "c1")
	}
	from(t, "after a restart, from outside", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8000"), "c1", e.LAN.Outside.IPv4)
	by(t, "chosen port", e.Get(t, "tcp", fmt.Sprintf("127.0.0.1:%d", hostPort(t, e, "c1", "n1", 81))), "c1")

	e.Serve(t, harness.Container{Name: "c2", Network: "n1", Args: []string{"-P", "--expose", "80"}}, "tcp", "0.0.0.0:80")
	by(t, "-P", e.LAN.Outside.Get(t, "tcp", fmt.Sprintf("192.0.2.1:%d", hostPort(t, e, "c2", "n1", 80))), "c2")

	err := e.TryStart(t, harness.Container{Name: "c3", Network: "n1", Args: args(publish("8000:80"), []string{"--restart", "always"})}, "true")
	if err == nil {
		t.Error("a taken port was published")
	}
	if got := e.Docker(t, "inspect", "--format", "{{.State.Status}} {{.RestartCount}}", "c3"); got != "created 0" {
		t.Errorf("a container that could not start is in state %q, want created 0", got)
	}
}

// testRunRepeated: containers that come and go with the same name, address and
// ports find them free each time.
func testRunRepeated(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.92.0.0/24")
	for range 3 {
		out := e.Docker(t, args([]string{"run", "--rm", "--name", "job", "--network", "n1", "--ip", "10.92.0.50"},
			publish("8000:80", "9000-9009:9000-9009/udp"), []string{harness.Image, "ip", "-4", "addr", "show", "eth0"})...)
		if !strings.Contains(out, "10.92.0.50/24") {
			t.Errorf("addresses:\n%s", out)
		}
	}
	harness.Eventually(t, "no endpoint left", func() error {
		if n := e.Docker(t, "network", "inspect", "--format", "{{len .Containers}}", "n1"); n != "0" {
			return errors.New(n + " containers")
		}
		return nil
	})
}
