package integration

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testAddresses: requested pools, ranges, auxiliary, static and MAC addresses
// are what containers get.
func testAddresses(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", args(gangwayIPAM(e), []string{
		"--subnet", "10.75.0.0/24", "--ip-range", "10.75.0.128/29", "--gateway", "10.75.0.129", "--aux-address", "router=10.75.0.130"})...)
	inside := netip.MustParsePrefix("10.75.0.128/29")
	seen := map[string]bool{"10.75.0.129": true, "10.75.0.130": true}
	for _, name := range []string{"c1", "c2", "c3"} {
		e.Sleep(t, harness.Container{Name: name, Network: "n1"})
		addr := e.Address(t, name, "n1")
		if !inside.Contains(netip.MustParseAddr(addr)) || seen[addr] {
			t.Errorf("%s has %s: want an unused address of %s", name, addr, inside)
		}
		seen[addr] = true
	}
	e.Serve(t, harness.Container{Name: "fixed", Network: "n1", Args: []string{"--ip", "10.75.0.77", "--mac-address", "02:aa:bb:cc:dd:ee"}}, "tcp", "0.0.0.0:80")
	if got := e.Address(t, "fixed", "n1"); got != "10.75.0.77" {
		t.Errorf("--ip 10.75.0.77: container has %s", got)
	}
	if got := mac(t, e, "fixed"); got != "02:aa:bb:cc:dd:ee" {
		t.Errorf("--mac-address: container has %s", got)
	}
	by(t, "static address", e.Inside("c1").Get(t, "tcp", "10.75.0.77:80"), "fixed")
	if arp := e.Exec(t, "c1", "cat", "/proc/net/arp"); !hasNeighbour(arp, "10.75.0.77", "02:aa:bb:cc:dd:ee") {
		t.Errorf("ARP table of c1:\n%s", arp)
	}
	if err := e.TryStart(t, harness.Container{Name: "twice", Network: "n1", Args: []string{"--ip", "10.75.0.77"}}, "true"); err == nil {
		t.Error("an address in use was given again")
	}
	if err := e.TryStart(t, harness.Container{Name: "aux", Network: "n1", Args: []string{"--ip", "10.75.0.130"}}, "true"); err == nil {
		t.Error("an auxiliary address was given to a container")
	}

	e.Network(t, "n6", args(gangwayIPAM(e), []string{"--ipv6", "--subnet", "10.75.1.0/24", "--subnet", "fd00:75::/64", "--gateway", "10.75.1.1", "--gateway", "fd00:75::ffff"})...)
	e.Serve(t, harness.Container{Name: "dual", Network: "n6", Args: []string{"--ip6", "fd00:75::77"}}, "tcp", "[::]:80")
	if got := e.Address6(t, "dual", "n6"); got != "fd00:75::77" {
		t.Errorf("--ip6 fd00:75::77: container has %s", got)
	}
	e.Sleep(t, harness.Container{Name: "dual2", Network: "n6"})
	from(t, "dual stack", e.Inside("dual2").Get(t, "tcp", "[fd00:75::77]:80"), "dual", e.Address6(t, "dual2", "n6"))
	from(t, "dual stack, IPv4", e.Inside("dual2").Get(t, "tcp", e.Address(t, "dual", "n6")+":80"), "dual", e.Address(t, "dual2", "n6"))
	if routes := e.Exec(t, "dual", "ip", "-6", "route"); !strings.Contains(routes, "default via fd00:75::ffff dev eth0") {
		t.Errorf("IPv6 routes:\n%s", routes)
	}
}

// testAutomaticSubnets: networks without a subnet get one each, from nothing
// that the host uses already.
func testAutomaticSubnets(t *testing.T, e *harness.Engine) {
	e.Run(t, "ip", "route", "add", "blackhole", "10.210.0.0/24", "table", "777")
	t.Cleanup(func() { e.Run(t, "ip", "route", "del", "blackhole", "10.210.0.0/24", "table", "777") })
	var taken []netip.Prefix
	for _, name := range []string{"n1", "n2", "n3", "n4"} {
		e.Network(t, name, gangwayIPAM(e)...)
		subnet := netip.MustParsePrefix(e.Docker(t, "network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", name))
		for _, other := range taken {
			if subnet.Overlaps(other) {
				t.Errorf("%s has %s, which overlaps %s", name, subnet, other)
			}
		}
		taken = append(taken, subnet)
	}
	for _, line := range e.Snapshot(t)["routes"] {
		for _, subnet := range taken {
			route, err := netip.ParsePrefix(strings.TrimPrefix(strings.Fields(line)[0], "blackhole "))
			if err == nil && route.Overlaps(subnet) && !strings.Contains(line, "dev gw-") {
				t.Errorf("%s overlaps the host's route %s", subnet, line)
			}
		}
	}
	e.Serve(t, harness.Container{Name: "c1", Network: "n1"}, "tcp", "0.0.0.0:80")
	by(t, "host asks", e.Get(t, "tcp", e.Address(t, "c1", "n1")+":80"), "c1")
}

// testMTU: the option sets the MTU of both ends of the pair and of the bridge.
func testMTU(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.75.0.0/24", "-o", "com.docker.network.driver.mtu=1400", "-o", "com.docker.network.bridge.name=gwtest0")
	e.Sleep(t, harness.Container{Name: "c1", Network: "n1"})
	if got := e.Exec(t, "c1", "cat", "/sys/class/net/eth0/mtu"); got != "1400" {
		t.Errorf("container's MTU is %s, want 1400", got)
	}
	links := e.Links(t)
	if got := links["gwtest0"].MTU; got != 1400 {
		t.Errorf("bridge's MTU is %d, want 1400", got)
	}
	if got := links[portOf(t, e, links, "c1")].MTU; got != 1400 {
		t.Errorf("MTU of the host's end is %d, want 1400", got)
	}
}

// testConnect: a running container joins and leaves a second network, and its
// default route stays right.
func testConnect(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.75.0.0/24")
	e.Network(t, "n2", "--subnet", "10.75.1.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1"}, "tcp", "0.0.0.0:80")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n2"})
	e.Docker(t, "network", "connect", "--ip", "10.75.1.50", "--alias", "both", "n2", "c1")
	from(t, "second network", e.Inside("c2").Get(t, "tcp", "both:80"), "c1", e.Address(t, "c2", "n2"))
	links := strings.Fields(e.Exec(t, "c1", "ls", "/sys/class/net"))
	if got := strings.Join(links, " "); got != "eth0 eth1 lo" {
		t.Errorf("links of a container in two networks: %s", got)
	}
	e.LAN.Outside.Serve(t, "tcp", "192.0.2.2:99")
	from(t, "outside from two networks", e.Inside("c1").Get(t, "tcp", "192.0.2.2:99"), "outside", harness.LanIPv4)
	e.Docker(t, "network", "disconnect", "n1", "c1")
	from(t, "outside from the other network", e.Inside("c1").Get(t, "tcp", "192.0.2.2:99"), "outside", harness.LanIPv4)
	if routes := e.Exec(t, "c1", "ip", "route"); !strings.Contains(routes, "default via 10.75.1.1") {
		t.Errorf("routes after leaving the first network:\n%s", routes)
	}
	e.Docker(t, "network", "connect", "n1", "c1")
	by(t, "first network again", e.Get(t, "tcp", e.Address(t, "c1", "n1")+":80"), "c1")
	e.Docker(t, "network", "disconnect", "n2", "c1")
	e.Docker(t, "restart", "-t", "1", "c1")
	e.Serving(t, "c1")
	by(t, "after a restart", e.Get(t, "tcp", e.Address(t, "c1", "n1")+":80"), "c1")
}

// testInternal: containers of an internal network reach each other and nothing
// else, and nothing else reaches them, whatever they publish.
func testInternal(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.75.0.0/24", "--internal")
	e.Network(t, "n2", "--subnet", "10.75.1.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80")}, "tcp", "0.0.0.0:80")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n1"})
	e.Sleep(t, harness.Container{Name: "c3", Network: "n2"})
	by(t, "within", e.Inside("c2").Get(t, "tcp", "c1:80"), "c1")
	if routes := e.Exec(t, "c1", "ip", "route"); strings.Contains(routes, "default") {
		t.Errorf("internal network with a default route:\n%s", routes)
	}
	if links := e.Exec(t, "c1", "ls", "/sys/class/net"); strings.Contains(links, "eth1") {
		t.Errorf("the engine attached one more network: %s", links)
	}
	e.LAN.Outside.Serve(t, "tcp", "192.0.2.2:99")
	inNetns(t, e, "c1", "ip", "route", "add", "default", "via", "10.75.0.1")
	e.Inside("c1").Unreachable(t, "tcp", "192.0.2.2:99")
	addr := e.Address(t, "c1", "n1")
	e.Inside("c3").Unreachable(t, "tcp", addr+":80")
	e.LAN.Outside.Unreachable(t, "tcp", "192.0.2.1:8000")
}

// testIPv6Only: where the engine offers networks without IPv4, their containers
// reach each other and the outside, and are reached.
func testIPv6Only(t *testing.T, e *harness.Engine) {
	if e.Suite != harness.Forky {
		e.Refused(t, []string{"unknown flag"}, "network", "create", "--ipv4=false", "n1")
		return
	}
	e.Network(t, "n1", args(gangwayIPAM(e), []string{"--ipv4=false", "--ipv6", "--subnet", "fd00:75::/64"})...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80")}, "tcp", "[::]:80")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n1"})
	addr := e.Address6(t, "c1", "n1")
	by(t, "by name", e.Inside("c2").Get(t, "tcp", "c1:80"), "c1")
	by(t, "host", e.Get(t, "tcp", "["+addr+"]:80"), "c1")
	from(t, "outside", e.LAN.Outside.Get(t, "tcp", "[2001:db8::1]:8000"), "c1", "2001:db8::2")
	e.LAN.Outside.Serve(t, "tcp", "[2001:db8::2]:99")
	from(t, "container asks outside", e.Inside("c1").Get(t, "tcp", "[2001:db8::2]:99"), "outside", harness.LanIPv6)
	if links := e.Exec(t, "c1", "ls", "/sys/class/net"); strings.Contains(links, "eth1") {
		t.Errorf("the engine attached one more network: %s", links)
	}
}
