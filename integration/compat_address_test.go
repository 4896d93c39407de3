package integration

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testSubnets: subnets of every size, down to two addresses and up to a /8, hold
// as many containers as they have addresses.
func testSubnets(t *testing.T, e *harness.Engine) {
	for _, c := range []struct {
		name, subnet, gateway string
		containers            []string
		full                  bool
	}{
		{"n30", "10.94.0.0/30", "10.94.0.1", []string{"10.94.0.2"}, true},
		{"n8", "11.0.0.0/8", "11.0.0.1", []string{"11.0.0.2"}, false},
	} {
		e.Network(t, c.name, args(gangwayIPAM(e), []string{"--subnet", c.subnet, "--gateway", c.gateway})...)
		for i, want := range c.containers {
			name := fmt.Sprintf("%s-%d", c.name, i)
			e.Serve(t, harness.Container{Name: name, Network: c.name}, "tcp", "0.0.0.0:80")
			if got := e.Address(t, name, c.name); got != want {
				t.Errorf("%s: container %d has %s, want %s", c.subnet, i, got, want)
			}
			from(t, c.subnet, e.Get(t, "tcp", want+":80"), name, c.gateway)
		}
		if err := e.TryStart(t, harness.Container{Name: c.name + "-more", Network: c.name}, "true"); c.full == (err == nil) {
			t.Errorf("%s: one more container: %v, want an error: %t", c.subnet, err, c.full)
		}
	}
	e.Start(t, harness.Container{Name: "far", Network: "n8", Args: []string{"--ip", "11.200.3.4"}}, "sleep", "1000000")
	e.Inside("far").Ping(t, "11.0.0.2")
	e.Inside("far").Ping(t, "11.0.0.1")
}

// testSubnets6: so do those of IPv6, with ranges up to the end of a /64, and one
// is chosen from the unique local addresses if the user names none.
func testSubnets6(t *testing.T, e *harness.Engine) {
	const last = "fd00:94::ffff:ffff:ffff:fffe/127"
	for name, options := range map[string][]string{
		"n126":  {"--subnet", "fd00:941::/126"},
		"n64":   {"--subnet", "fd00:94::/64", "--ip-range", last},
		"n56":   {"--subnet", "fd00:942::/56", "--ip-range", "fd00:942::/64"},
		"local": nil,
	} {
		e.Network(t, name, args(gangwayIPAM(e), []string{"--ipv6"}, options)...)
		e.Sleep(t, harness.Container{Name: "c-" + name, Network: name})
		addr := netip.MustParseAddr(e.Address6(t, "c-"+name, name))
		within := netip.MustParsePrefix("fd00::/8")
		if name == "n64" {
			within = netip.MustParsePrefix(last)
		}
		if !within.Contains(addr) {
			t.Errorf("%v: container has %s, want one of %s", options, addr, within)
		}
		e.Ping(t, addr.String())
		gateway := e.Docker(t, "network", "inspect", "--format", "{{range .IPAM.Config}}{{.Gateway}} {{end}}", name)
		for _, g := range strings.Fields(gateway) {
			if _, err := netip.ParseAddr(strings.TrimSuffix(g, "/64")); err != nil {
				t.Errorf("gateway in docker network inspect: %v", err)
			}
		}
	}
}

// testLinkLocal: containers reach each other by the link-local addresses that
// the kernel gives them, and by those that the user chose.
func testLinkLocal(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", dual(e, "10.94.0.0/24", "fd00:94::/64")...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: []string{"--link-local-ip", "169.254.9.9", "--mac-address", "02:aa:bb:cc:dd:ee"}}, "tcp", "[::]:80")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n1", Args: []string{"--link-local-ip", "169.254.9.10"}})
	// The flows of addresses that the driver did not give out end by themselves.
	t.Cleanup(func() {
		e.Run(t, "sh", "-c", "conntrack -D -s 169.254.9.10; for p in tcp icmpv6; do conntrack -D -f ipv6 -p $p; done; true")
	})
	harness.Eventually(t, "link-local IPv6", func() error {
		return e.Inside("c2").TryPing("fe80::aa:bbff:fecc:ddee%eth0")
	})
	by(t, "link-local IPv6", e.Inside("c2").Get(t, "tcp", "[fe80::aa:bbff:fecc:ddee%eth0]:80"), "c1")
	from(t, "link-local IPv4", e.Inside("c2").Get(t, "tcp", "169.254.9.9:80"), "c1", "169.254.9.10")
	// One that was chosen at random is no neighbour (see package portfilter), which does
	// not keep the network's address from being one.
	e.Sleep(t, harness.Container{Name: "c3", Network: "n1"})
	inNetns(t, e, "c3", "sh", "-ec", "ip -6 addr flush dev eth0 scope link; ip addr add fe80::c38b:21ff:ab01:9d52/64 dev eth0 nodad")
	e.Inside("c3").Ping(t, e.Address6(t, "c2", "n1"))
	e.Inside("c3").Ping(t, "fd00:94::1")
	e.Inside("c2").Ping(t, e.Address6(t, "c3", "n1"))
	e.Ping(t, e.Address6(t, "c3", "n1"))
}

// testLinkLocalSubnets: networks have link-local subnets, with either address
// manager. Those of IPv4 are as any other; those of IPv6 reach as far as the bridge,
// so that ports at the host's IPv6 addresses lead to the container's IPv4 address.
func testLinkLocalSubnets(t *testing.T, e *harness.Engine) {
	e.LAN.Outside.Serve(t, "tcp", "[::]:99")
	// The flows of addresses that the driver did not give out end by themselves.
	t.Cleanup(func() { e.Run(t, "sh", "-c", "conntrack -D -f ipv6 -p icmpv6 || true") })
	managers := [][]string{nil}
	if own := gangwayIPAM(e); own != nil {
		managers = append(managers, own)
	}
	for i, subnet6 := range []string{"fe80::/64", "fe80:1::/64"} {
		for _, manager := range managers {
			name := fmt.Sprintf("n%d%d", i, len(manager))
			id := e.Network(t, name, args(manager, []string{"--ipv6", "--subnet", "169.254.170.0/24", "--subnet", subnet6})...)
			linkLocalNetwork(t, e, name, "gw-"+id[:12])
			if health := strings.TrimSpace(e.Gangway(t, "health")); health != "ok" {
				t.Errorf("%s: %s", subnet6, health)
			}
			e.Docker(t, "rm", "-f", "c1", "c2")
			e.Docker(t, "network", "rm", name)
		}
	}
	for _, manager := range managers {
		if manager != nil || e.Suite == harness.Forky { // older engines know no such subnet
			e.Refused(t, []string{"fe80::/80", "fe80::/64"}, args([]string{"network", "create", "-d", e.Driver}, manager, []string{"--ipv6", "--subnet", "fe80::/80", "bad"})...)
		}
	}
}

func linkLocalNetwork(t *testing.T, e *harness.Engine, name, bridge string) {
	e.Serve(t, harness.Container{Name: "c1", Network: name, Args: publish("8000:80")}, "tcp", "[::]:80")
	e.Sleep(t, harness.Container{Name: "c2", Network: name})
	four, six := e.Address(t, "c1", name), e.Address6(t, "c1", name)
	from(t, "within", e.Inside("c2").Get(t, "tcp", four+":80"), "c1", e.Address(t, "c2", name))
	by(t, "within, IPv6", e.Inside("c2").Get(t, "tcp", "["+six+"%eth0]:80"), "c1")
	from(t, "host", e.Get(t, "tcp", four+":80"), "c1", "169.254.170.1")
	by(t, "host, IPv6", e.Get(t, "tcp", "["+six+"%"+bridge+"]:80"), "c1")
	// The kernel's own address of the container is made from its hardware address.
	kernels := strings.Fields(e.Exec(t, "c1", "sh", "-c", "ip -6 -o addr show dev eth0 | awk '$4 ~ /ff:fe/ {print $4}' | cut -d/ -f1"))
	if len(kernels) != 1 {
		t.Fatalf("link-local addresses that the kernel has made: %v", kernels)
	}
	harness.Eventually(t, "the kernel's address", func() error { return e.Inside("c2").TryPing(kernels[0] + "%eth0") })
	outside := e.LAN.Outside
	from(t, "asks outside", e.Inside("c1").Get(t, "tcp", "192.0.2.2:99"), "outside", harness.LanIPv4)
	from(t, "published", outside.Get(t, "tcp", "192.0.2.1:8000"), "c1", outside.IPv4)
	by(t, "published at IPv6", outside.Get(t, "tcp", "[2001:db8::1]:8000"), "c1")
	outside.Ping(t, "2001:db8::1")
}

// testAnnounced: who has talked to an address reaches the container that has it
// now, at once, though its MAC address is another.
func testAnnounced(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", dual(e, "10.94.0.0/24", "fd00:94::/64")...)
	e.Sleep(t, harness.Container{Name: "c1", Network: "n1"})
	for i, chosen := range []string{"02:aa:bb:cc:dd:01", "02:aa:bb:cc:dd:02"} {
		name := fmt.Sprintf("moved%d", i)
		e.Serve(t, harness.Container{Name: name, Network: "n1", Args: []string{"--ip", "10.94.0.50", "--ip6", "fd00:94::50", "--mac-address", chosen}}, "tcp", "[::]:80")
		for _, addr := range []string{"10.94.0.50", "[fd00:94::50]"} {
			by(t, addr, e.Inside("c1").Get(t, "tcp", addr+":80"), name)
			by(t, addr+" from the host", e.Get(t, "tcp", addr+":80"), name)
		}
		if arp := e.Exec(t, "c1", "cat", "/proc/net/arp"); !hasNeighbour(arp, "10.94.0.50", chosen) {
			t.Errorf("ARP table of c1, want 10.94.0.50 at %s:\n%s", chosen, arp)
		}
		e.Docker(t, "rm", "-f", name)
	}
}

// testAdopted: a bridge that was there before the network carries it, and is
// afterwards as it was, with its addresses and its ports.
func testAdopted(t *testing.T, e *harness.Engine) {
	e.Run(t, "sh", "-ec", `ip link add own0 type bridge; ip addr add 10.94.0.1/24 dev own0; ip addr add 10.94.9.1/24 dev own0
		ip link add own0p type veth peer name own0q; ip link set own0p master own0; ip link set own0p up; ip link set own0q up; ip link set own0 up`)
	t.Cleanup(func() { e.Run(t, "sh", "-c", "ip link del own0p; ip link del own0") })
	before := e.Snapshot(t)
	delete(before, "sysctls") // a new link's settle with its first address
	e.Docker(t, "network", "create", "-d", e.Driver, "--subnet", "10.94.0.0/24", "--gateway", "10.94.0.1", "-o", "com.docker.network.bridge.name=own0", "n1")
	removed := false
	remove := func() {
		if !removed {
			removed = true
			e.Docker(t, "network", "rm", "n1")
		}
	}
	t.Cleanup(remove)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80")}, "tcp", "0.0.0.0:80")
	from(t, "host", e.Get(t, "tcp", e.Address(t, "c1", "n1")+":80"), "c1", "10.94.0.1")
	from(t, "published", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8000"), "c1", e.LAN.Outside.IPv4)
	if show := e.Run(t, "ip", "-o", "addr", "show", "own0"); !strings.Contains(show, "10.94.9.1/24") {
		t.Errorf("the owner's other address is gone:\n%s", show)
	}
	e.Docker(t, "rm", "-f", "c1")
	remove()
	if e.Driver != string(harness.Builtin) {
		e.Unchanged(t, before)
	}
	if _, there := e.Links(t)["own0"]; !there {
		t.Error("the bridge was deleted with the network")
	}
}

// testOccupied: on a bridge that was there before, with a machine on it, an
// address of that machine is given neither to the gateway nor to a container,
// and the error says who has it; nothing is left of the attempt.
func testOccupied(t *testing.T, e *harness.Engine) {
	e.Run(t, "sh", "-ec", `ip netns add machine; ip link add own0 type bridge; ip link set own0 up
		ip link add own0p type veth peer name m0 netns machine; ip link set own0p master own0 up
		ip -n machine link set m0 address 02:00:00:00:00:99 up
		ip -n machine addr add 10.94.0.7/24 dev m0; ip -n machine addr add fd00:94::7/64 dev m0 nodad`)
	t.Cleanup(func() { e.Run(t, "sh", "-c", "ip link del own0; ip netns del machine; busybox umount /run/netns") })
	on := []string{"-o", "com.docker.network.bridge.name=own0"}
	const mac = "02:00:00:00:00:99"
	e.Refused(t, []string{"10.94.0.7", "own0", mac, "--gateway"},
		args([]string{"network", "create", "-d", e.Driver, "--subnet", "10.94.0.0/24", "--gateway", "10.94.0.7"}, on, []string{"bad"})...)
	e.Network(t, "n1", args(dual(e, "10.94.0.0/24", "fd00:94::/64"), on)...)
	for flag, addr := range map[string]string{"--ip": "10.94.0.7", "--ip6": "fd00:94::7"} {
		e.Refused(t, []string{addr, "own0", mac, "--ip"}, "run", "-d", "--name", "bad", "--network", "n1", flag, addr, harness.Image, "true")
		e.Docker(t, "rm", "-f", "bad")
	}
	if left := strings.TrimSpace(e.Gangway(t, "endpoints", "--json")); left != "[]" {
		t.Errorf("endpoints that are left: %s", left)
	}
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: []string{"--ip", "10.94.0.8", "--ip6", "fd00:94::8"}}, "tcp", "[::]:80")
	for _, addr := range []string{"10.94.0.7", "fd00:94::7"} {
		e.Inside("c1").Ping(t, addr)
	}
	// Once the machine is gone, its address is free.
	e.Run(t, "ip", "link", "del", "own0p")
	e.Serve(t, harness.Container{Name: "c2", Network: "n1", Args: []string{"--ip", "10.94.0.7", "--ip6", "fd00:94::7"}}, "tcp", "[::]:80")
}

// testInternalHost: containers of an internal network reach the host at their
// gateway's addresses, and have no way to any other address.
func testInternalHost(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", append(dual(e, "10.94.0.0/24", "fd00:94::/64"), "--internal")...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1"}, "tcp", "[::]:80")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n1"})
	for _, addr := range []string{"10.94.0.1", "fd00:94::1"} {
		e.Inside("c1").Ping(t, addr)
	}
	from(t, "within, IPv6", e.Inside("c2").Get(t, "tcp", "["+e.Address6(t, "c1", "n1")+"]:80"), "c1", e.Address6(t, "c2", "n1"))
	from(t, "host, IPv6", e.Get(t, "tcp", "["+e.Address6(t, "c1", "n1")+"]:80"), "c1", "fd00:94::1")
	for _, addr := range []string{"192.0.2.2:99", "[2001:db8::2]:99"} {
		if _, err := e.Inside("c1").TryGet("tcp", addr); err == nil || !strings.Contains(err.Error(), "network is unreachable") {
			t.Errorf("%s: %v, want: network is unreachable", addr, err)
		}
	}
}
