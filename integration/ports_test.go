package integration

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// publish returns the arguments of docker run for published ports.
func publish(ports ...string) []string {
	var all []string
	for _, p := range ports {
		all = append(all, "-p", p)
	}
	return all
}

// testPorts: an outside host reaches a container by a published port, with its
// address preserved; so do the host, other containers, containers of other
// networks, and the container itself.
func testPorts(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", args(gangwayIPAM(e), []string{"--subnet", "10.73.0.0/24"})...)
	e.Network(t, "n2", args(gangwayIPAM(e), []string{"--subnet", "10.73.1.0/24"})...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:8080", "8000:8080/udp")},
		"tcp", "0.0.0.0:8080", "udp", "0.0.0.0:8080")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n1"})
	e.Sleep(t, harness.Container{Name: "c3", Network: "n2"})
	e.Sleep(t, harness.Container{Name: "c4", Network: "bridge"})
	for _, proto := range []string{"tcp", "udp"} {
		for _, host := range []*harness.Host{e.LAN.Outside, e.LAN.Neighbour} {
			from(t, "outside, "+proto, host.Get(t, proto, harness.LanIPv4+":8000"), "c1", host.IPv4)
		}
		for _, addr := range []string{"127.0.0.1", harness.LanIPv4, "10.73.0.1", "10.73.1.1"} {
			by(t, "host by "+addr+", "+proto, e.Get(t, proto, addr+":8000"), "c1")
		}
		for _, name := range []string{"c1", "c2", "c3", "c4"} {
			if proto == "udp" && e.Driver == string(harness.Builtin) && e.Suite != harness.Forky {
				continue // 20.10 and 26.1 answer from another address
			}
			by(t, name+", "+proto, e.Inside(name).Get(t, proto, harness.LanIPv4+":8000"), "c1")
			by(t, name+" by a gateway, "+proto, e.Inside(name).Get(t, proto, "10.73.0.1:8000"), "c1")
		}
	}
	if e.Driver != string(harness.Builtin) {
		from(t, "other network", e.Inside("c3").Get(t, "tcp", harness.LanIPv4+":8000"), "c1", e.Address(t, "c3", "n2"))
	}
	e.Docker(t, "stop", "-t", "1", "c1")
	_, err := e.LAN.Outside.TryGet("tcp", harness.LanIPv4+":8000", "-timeout", "1s")
	if err == nil {
		t.Error("the port answers after its container has stopped")
	}
	e.Host.Serve(t, "tcp", "0.0.0.0:8000", "udp", "0.0.0.0:8000")
	by(t, "the freed port", e.LAN.Outside.Get(t, "udp", harness.LanIPv4+":8000"), e.Name)
}

// testPortsIPv6: a published port serves both families, and [::1].
func testPortsIPv6(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", args(gangwayIPAM(e), []string{"--ipv6", "--subnet", "10.73.0.0/24", "--subnet", "fd00:73::/64"})...)
	e.Network(t, "n4", args(gangwayIPAM(e), []string{"--subnet", "10.73.1.0/24"})...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:8080", "8000:8080/udp")}, "tcp", "[::]:8080", "udp", "[::]:8080")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n1"})
	for _, proto := range []string{"tcp", "udp"} {
		from(t, "outside, "+proto, e.LAN.Outside.Get(t, proto, "[2001:db8::1]:8000"), "c1", "2001:db8::2")
		from(t, "outside by IPv4, "+proto, e.LAN.Outside.Get(t, proto, "192.0.2.1:8000"), "c1", "192.0.2.2")
		for _, addr := range []string{"[2001:db8::1]", "[fd00:73::1]", "[::1]", "127.0.0.1"} {
			by(t, "host by "+addr+", "+proto, e.Get(t, proto, addr+":8000"), "c1")
		}
		for _, name := range []string{"c1", "c2"} {
			by(t, name+", "+proto, e.Inside(name).Get(t, proto, "[2001:db8::1]:8000"), "c1")
		}
	}
	// A container without IPv6 is reached over the host's IPv6 addresses too.
	e.Serve(t, harness.Container{Name: "c4", Network: "n4", Args: publish("8004:8080", "8004:8080/udp")}, "tcp", "0.0.0.0:8080", "udp", "0.0.0.0:8080")
	for _, proto := range []string{"tcp", "udp"} {
		by(t, "IPv6 to a container without, "+proto, e.LAN.Outside.Get(t, proto, "[2001:db8::1]:8004"), "c4")
		by(t, "[::1] to a container without IPv6, "+proto, e.Get(t, proto, "[::1]:8004"), "c4")
	}
}

// port is what "gangway ports --json" tells of a run.
type port struct {
	Network        string     `json:"network"`
	Protocol       string     `json:"protocol"`
	HostIP         netip.Addr `json:"hostIP"`
	First          uint16     `json:"first"`
	Last           uint16     `json:"last"`
	ContainerIP    netip.Addr `json:"containerIP"`
	ContainerFirst uint16     `json:"containerFirst"`
	Path           string     `json:"path"`
}

// ports returns the runs of one protocol for IPv4.
func ports(t *testing.T, e *harness.Engine, proto string) []port {
	t.Helper()
	var all, of []port
	e.GangwayJSON(t, &all, "ports")
	for _, p := range all {
		if p.Protocol == proto && p.HostIP.Is4() {
			of = append(of, p)
		}
	}
	return of
}

// testPortRange: a range of ports is one run, and every port leads to its own.
func testPortRange(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.73.0.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("9000-9009:9000-9009/udp")}, "udp", "0.0.0.0:9000-9009")
	for _, p := range []int{9000, 9005, 9009} {
		a := e.LAN.Outside.Get(t, "udp", fmt.Sprintf("192.0.2.1:%d", p))
		from(t, "range", a, "c1", "192.0.2.2")
		if int(a.Local.Port()) != p {
			t.Errorf("host port %d leads to %s", p, a.Local)
		}
	}
	if runs := ports(t, e, "udp"); len(runs) != 1 || runs[0].First != 9000 || runs[0].Last != 9009 || runs[0].ContainerFirst != 9000 {
		t.Errorf("ports of a range: %+v, want one run 9000-9009", runs)
	}
}

// testPortShift: so is a range whose container ports are others.
func testPortShift(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.73.0.0/24")
	e.Serve(t, harness.Container{Name: "c2", Network: "n1", Args: publish("9100-9109:9200-9209")}, "tcp", "0.0.0.0:9200-9209")
	for _, p := range []int{9100, 9104, 9109} {
		a := e.LAN.Outside.Get(t, "tcp", fmt.Sprintf("192.0.2.1:%d", p))
		from(t, "shifted range", a, "c2", "192.0.2.2")
		if int(a.Local.Port()) != p+100 {
			t.Errorf("host port %d leads to %s, want port %d", p, a.Local, p+100)
		}
		by(t, "shifted range from the host", e.Get(t, "tcp", fmt.Sprintf("127.0.0.1:%d", p)), "c2")
	}
	if runs := ports(t, e, "tcp"); len(runs) != 1 || runs[0].First != 9100 || runs[0].Last != 9109 || runs[0].ContainerFirst != 9200 {
		t.Errorf("ports of a shifted range: %+v, want one run 9100-9109", runs)
	}
}

// testPortOneOf: of a range for one container port, each container takes one,
// and one container too many is told so.
func testPortOneOf(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.73.0.0/24")
	for i := range 3 {
		e.Serve(t, harness.Container{Name: fmt.Sprintf("r%d", i), Network: "n1", Args: publish("9300-9302:80")}, "tcp", "0.0.0.0:80")
	}
	hosts := map[string]bool{}
	for p := 9300; p <= 9302; p++ {
		hosts[e.LAN.Outside.Get(t, "tcp", fmt.Sprintf("192.0.2.1:%d", p)).Host] = true
	}
	if len(hosts) != 3 {
		t.Errorf("one port of a range: answered by %v, want three containers", hosts)
	}
	if err := e.TryStart(t, harness.Container{Name: "r3", Network: "n1", Args: publish("9300-9302:80")}, "true"); err == nil {
		t.Error("a fourth container got one of three ports")
	}
}

// testPortEphemeral: a port that the user leaves open is chosen, and told by
// "gangway ports".
func testPortEphemeral(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.73.0.0/24")
	e.Serve(t, harness.Container{Name: "c3", Network: "n1", Args: publish("80")}, "tcp", "0.0.0.0:80")
	runs := ports(t, e, "tcp")
	if len(runs) != 1 || runs[0].First < 1024 || runs[0].First != runs[0].Last || runs[0].ContainerFirst != 80 {
		t.Fatalf("ephemeral port: %+v, want one", runs)
	}
	from(t, "ephemeral port", e.LAN.Outside.Get(t, "tcp", fmt.Sprintf("192.0.2.1:%d", runs[0].First)), "c3", "192.0.2.2")
}

// testPortSCTP: ports of sctp are published as well, also on kernels that do
// not speak it.
func testPortSCTP(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.73.0.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("7700:77/sctp")}, "sctp", "0.0.0.0:77")
	from(t, "outside", e.LAN.Outside.Get(t, "sctp", "192.0.2.1:7700"), "c1", "192.0.2.2")
	by(t, "host", e.Get(t, "sctp", "192.0.2.1:7700"), "c1")
}

// testPortBindings: a port without a host address is published at each address
// of the network's lists, the same port at all, whoever chose it; where one of
// them is taken, the container does not start and nothing of it is kept.
func testPortBindings(t *testing.T, e *harness.Engine) {
	for _, a := range []string{"192.0.2.50/24", "2001:db8::50/64"} {
		e.Run(t, "ip", "addr", "add", a, "dev", "lan0", "nodad")
		t.Cleanup(func() { e.Run(t, "ip", "addr", "del", a, "dev", "lan0") })
	}
	e.Network(t, "n1", args(gangwayIPAM(e), []string{"--ipv6", "--subnet", "10.73.0.0/24", "--subnet", "fd00:73::/64",
		"-o", "com.docker.network.bridge.host_binding_ipv4=127.0.0.1,192.0.2.50", "-o", "gangway.host_binding_ipv6=2001:db8::50,::1"})...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8003:80", "81")}, "tcp", "[::]:80", "tcp", "[::]:81")
	var ports []struct {
		HostIP         string `json:"hostIP"`
		First          int    `json:"first"`
		ContainerFirst int    `json:"containerFirst"`
	}
	e.GangwayJSON(t, &ports, "ports")
	at := map[int][]string{}
	for _, p := range ports {
		at[p.ContainerFirst] = append(at[p.ContainerFirst], fmt.Sprintf("%s %d", p.HostIP, p.First))
	}
	slices.Sort(at[81])
	free := strings.Fields(at[81][0])[1]
	want := []string{"127.0.0.1 " + free, "192.0.2.50 " + free, "2001:db8::50 " + free, "::1 " + free}
	if len(at[80]) != 4 || !slices.Equal(at[81], want) {
		t.Errorf("gangway ports: %v, want port 81 at %v", ports, want)
	}
	outside := e.LAN.Outside
	from(t, "outside", outside.Get(t, "tcp", "192.0.2.50:8003"), "c1", "192.0.2.2")
	from(t, "outside by IPv6", outside.Get(t, "tcp", "[2001:db8::50]:8003"), "c1", "2001:db8::2")
	for _, own := range []string{"127.0.0.1:8003", "[::1]:8003", "192.0.2.50:8003"} {
		by(t, "host asks "+own, e.Get(t, "tcp", own), "c1")
	}
	for _, other := range []string{"192.0.2.1:8003", "[2001:db8::1]:8003"} {
		outside.Unreachable(t, "tcp", other)
	}
	from(t, "chosen port", outside.Get(t, "tcp", "192.0.2.50:"+free), "c1", "192.0.2.2")
	by(t, "chosen port at another address", e.Get(t, "tcp", "[::1]:"+free), "c1")

	e.Network(t, "n2", "--subnet", "10.73.1.0/24")
	e.Serve(t, harness.Container{Name: "c2", Network: "n2", Args: publish("192.0.2.50:8005:80")}, "tcp", "0.0.0.0:80")
	err := e.TryStart(t, harness.Container{Name: "c3", Network: "n1", Args: publish("8004:80", "8005:80")}, "true")
	if err == nil || !strings.Contains(err.Error(), "192.0.2.50:8005") {
		t.Errorf("a port that is taken at one of the addresses: %v", err)
	}
	e.Serve(t, harness.Container{Name: "c4", Network: "n2", Args: publish("8004:80")}, "tcp", "0.0.0.0:80")
	by(t, "nothing was kept", e.Get(t, "tcp", "127.0.0.1:8004"), "c4")
	e.Refused(t, []string{"host_binding_ipv4", "names 192.0.2.1 twice"}, "network", "create", "-d", e.Driver,
		"-o", "com.docker.network.bridge.host_binding_ipv4=192.0.2.1,192.0.2.1", "n3")
}

// testPortAddresses: a port published at one host address answers there only,
// and host_binding_ipv4 is where those without an address are published.
func testPortAddresses(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.73.0.0/24")
	e.Network(t, "n2", "--subnet", "10.73.1.0/24", "-o", "com.docker.network.bridge.host_binding_ipv4=127.0.0.1")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("127.0.0.1:8001:80", "192.0.2.1:8002:80")}, "tcp", "0.0.0.0:80")
	by(t, "host by loopback", e.Get(t, "tcp", "127.0.0.1:8001"), "c1")
	from(t, "outside", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8002"), "c1", "192.0.2.2")
	e.LAN.Outside.Unreachable(t, "tcp", "192.0.2.1:8001")
	e.Unreachable(t, "tcp", "192.0.2.1:8001")
	e.Unreachable(t, "tcp", "127.0.0.1:8002")
	e.Serve(t, harness.Container{Name: "c2", Network: "n2", Args: publish("8003:80")}, "tcp", "0.0.0.0:80")
	by(t, "host by host_binding_ipv4", e.Get(t, "tcp", "127.0.0.1:8003"), "c2")
	e.LAN.Outside.Unreachable(t, "tcp", "192.0.2.1:8003")

	// The same port at another address is another container's.
	e.Serve(t, harness.Container{Name: "c3", Network: "n1", Args: publish("192.0.2.1:8001:80")}, "tcp", "0.0.0.0:80")
	by(t, "same port, loopback", e.Get(t, "tcp", "127.0.0.1:8001"), "c1")
	by(t, "same port, outside", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8001"), "c3")
}

// testPortsTaken: a host port that somebody else holds is an error that names
// it, and nothing is left of the container.
func testPortsTaken(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.73.0.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80")}, "tcp", "0.0.0.0:80")
	e.Host.Serve(t, "tcp", "0.0.0.0:8005", "udp", "0.0.0.0:8006")
	for _, taken := range []string{"8000:80", "127.0.0.1:8000:80", "8005:80", "8006:80/udp", "7999-8001:79-81"} {
		err := e.TryStart(t, harness.Container{Name: "c2", Network: "n1", Args: publish(taken)}, "true")
		if err == nil {
			t.Errorf("-p %s: started though the port is taken", taken)
		}
		e.Docker(t, "rm", "-f", "c2")
	}
	// The engine's own driver finds gangway's port taken as well.
	if err := e.TryStart(t, harness.Container{Name: "c3", Network: "bridge", Args: publish("8000:80")}, "true"); err == nil {
		t.Error("the engine's own driver published a port that is taken")
	}
	by(t, "the holder", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8000"), "c1")
	by(t, "the other holder", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8005"), e.Name)
}

// testPortsFollowGateway: published ports move to another network of the
// container when the engine decides so, and back.
func testPortsFollowGateway(t *testing.T, e *harness.Engine) {
	e.Network(t, "na", "--subnet", "10.73.0.0/24")
	e.Network(t, "nb", "--subnet", "10.73.1.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "na", Args: publish("8000:80")}, "tcp", "0.0.0.0:80")
	e.Docker(t, "network", "connect", "nb", "c1")
	reached := func(want string) {
		t.Helper()
		a := e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8000")
		from(t, "port", a, "c1", "192.0.2.2")
		if a.Local.Addr().String() != want {
			t.Errorf("the port leads to %s, want %s", a.Local.Addr(), want)
		}
	}
	reached(e.Address(t, "c1", "na"))
	b := e.Address(t, "c1", "nb")
	e.Docker(t, "network", "disconnect", "na", "c1")
	reached(b)
	e.Docker(t, "network", "connect", "na", "c1")
	reached(e.Address(t, "c1", "na"))
	e.Docker(t, "network", "disconnect", "na", "c1")
	e.Docker(t, "network", "disconnect", "nb", "c1")
	e.LAN.Outside.Unreachable(t, "tcp", "192.0.2.1:8000")
}
