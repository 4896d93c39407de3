package integration

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testFamilies: an interface has addresses of the families that its network has
// and that the container wants, and of no others.
func testFamilies(t *testing.T, e *harness.Engine) {
	e.Network(t, "n4", "--subnet", "10.93.0.0/24")
	e.Network(t, "n46", dual(e, "10.93.1.0/24", "fd00:93::/64")...)
	e.Sleep(t, harness.Container{Name: "c4", Network: "n4"})
	if got := e.Exec(t, "c4", "ip", "addr", "show", "eth0"); !strings.Contains(got, "inet ") || strings.Contains(got, "inet6") {
		t.Errorf("eth0 in a network without IPv6:\n%s", got)
	}
	if got := e.Exec(t, "c4", "ip", "addr", "show", "lo"); strings.Contains(got, "inet6 ::1") == (e.Suite == harness.Bookworm) {
		t.Errorf("lo in a network without IPv6, which 20.10 alone switches off there too:\n%s", got)
	}
	e.Serve(t, harness.Container{Name: "no6", Network: "n46", Args: []string{"--sysctl", "net.ipv6.conf.all.disable_ipv6=1"}}, "tcp", "0.0.0.0:80")
	e.Serve(t, harness.Container{Name: "c46", Network: "n46"}, "tcp", "[::]:80")
	if got := e.Exec(t, "no6", "ip", "addr"); strings.Contains(got, "inet6") {
		t.Errorf("container with IPv6 switched off:\n%s", got)
	}
	by(t, "by name", e.Inside("c46").Get(t, "tcp", "no6:80"), "no6")
	by(t, "back", e.Inside("no6").Get(t, "tcp", e.Address(t, "c46", "n46")+":80"), "c46")
}

// testSysctls: settings of the container's interface, given with the endpoint
// (from 27.0 on) or, before 28, with the container, hold in it.
func testSysctls(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.93.0.0/24")
	c := harness.Container{Name: "c1", Network: "n1", Args: []string{"--sysctl", "net.ipv4.ip_unprivileged_port_start=100"}}
	switch e.Suite {
	case harness.Forky:
		c.Network = "name=n1,driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1"
	default:
		c.Args = append(c.Args, "--sysctl", "net.ipv4.conf.eth0.log_martians=1")
	}
	e.Sleep(t, c)
	for path, want := range map[string]string{"conf/eth0/log_martians": "1", "conf/lo/log_martians": "0", "ip_unprivileged_port_start": "100"} {
		if got := e.Exec(t, "c1", "cat", "/proc/sys/net/ipv4/"+path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}

// testTwoNetworks: a container starts in two networks at once, with addresses of
// its own in both, and its way out is the one that the engine chose.
func testTwoNetworks(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.93.0.0/24")
	e.Network(t, "n2", "--subnet", "10.93.1.0/24")
	create := func(name string, first, second []string) {
		t.Helper()
		if e.Suite == harness.Bookworm { // docker run takes one network before 25
			e.Docker(t, args([]string{"create", "--name", name, "--network", "n1"}, first, []string{harness.Image, "sleep", "1000000"})...)
			e.Docker(t, args([]string{"network", "connect"}, second, []string{"n2", name})...)
		} else {
			one, two := "name=n1", "name=n2"
			for i := 0; i+1 < len(first); i += 2 {
				one += "," + strings.TrimPrefix(first[i], "--") + "=" + first[i+1]
			}
			for i := 0; i+1 < len(second); i += 2 {
				two += "," + strings.TrimPrefix(second[i], "--") + "=" + second[i+1]
			}
			e.Docker(t, "create", "--name", name, "--network", one, "--network", two, harness.Image, "sleep", "1000000")
		}
		t.Cleanup(func() { e.Docker(t, "rm", "-f", name) })
		e.Docker(t, "start", name)
	}
	create("c1", []string{"--ip", "10.93.0.50"}, []string{"--ip", "10.93.1.50"})
	show := e.Exec(t, "c1", "ip", "-4", "-o", "addr")
	for _, want := range []string{"10.93.0.50/24", "10.93.1.50/24"} {
		if !strings.Contains(show, want) {
			t.Errorf("no %s in:\n%s", want, show)
		}
	}
	if n := len(strings.Split(show, "\n")); n != 3 {
		t.Errorf("%d addresses, want those of lo and two networks:\n%s", n, show)
	}
	if routes := e.Exec(t, "c1", "ip", "route"); !strings.Contains(routes, "default via 10.93.0.1 ") {
		t.Errorf("the first network by name is not the way out:\n%s", routes)
	}
	if e.Suite == harness.Forky { // 28.0 is the first with gw-priority
		create("c2", nil, []string{"--gw-priority", "1"})
		if routes := e.Exec(t, "c2", "ip", "route"); !strings.Contains(routes, "default via 10.93.1.1 ") {
			t.Errorf("the network with the highest gw-priority is not the way out:\n%s", routes)
		}
	}
}

// testMAC: MAC addresses that nobody chose are never in use twice, and one that
// was chosen is there again after a restart.
func testMAC(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.93.0.0/24")
	e.Sleep(t, harness.Container{Name: "c1", Network: "n1"})
	e.Docker(t, "stop", "-t", "0", "c1")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n1"})
	e.Docker(t, "start", "c1")
	if a, b := mac(t, e, "c1"), mac(t, e, "c2"); a == b {
		t.Errorf("two containers have the MAC address %s", a)
	}
	const chosen = "02:aa:bb:cc:dd:ee"
	e.Sleep(t, harness.Container{Name: "c3", Network: "n1", Args: []string{"--mac-address", chosen}})
	e.Docker(t, "restart", "-t", "0", "c3")
	if got := mac(t, e, "c3"); got != chosen {
		t.Errorf("--mac-address %s: after a restart %s", chosen, got)
	}
	if told := e.Docker(t, "inspect", "--format", `{{(index .NetworkSettings.Networks "n1").MacAddress}}`, "c1"); told != mac(t, e, "c1") {
		t.Errorf("docker inspect tells the MAC address %s, the interface has %s", told, mac(t, e, "c1"))
	}
}

// testSharedNamespace: a container in the network namespace of another one
// answers at its published ports.
func testSharedNamespace(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.93.0.0/24")
	e.Sleep(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80")})
	e.Docker(t, "run", "-d", "--init", "--name", "c2", "--network", "container:c1", harness.Image, "probe", "serve", "tcp", "0.0.0.0:80")
	t.Cleanup(func() { e.Docker(t, "rm", "-f", "c2") })
	e.Serving(t, "c2")
	from(t, "outside", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8000"), "c1", e.LAN.Outside.IPv4)
	by(t, "loopback of both", e.Inside("c1").Get(t, "tcp", "127.0.0.1:80"), "c1")
}

// testConnectFails: a connection that fails late, in the container, leaves
// nothing behind, and is possible when the obstacle has gone.
func testConnectFails(t *testing.T, e *harness.Engine) {
	e.Network(t, "inside", "--subnet", "10.93.0.0/24", "--internal")
	e.Network(t, "outside", "--subnet", "10.93.1.0/24")
	e.Sleep(t, harness.Container{Name: "c1", Network: "inside"})
	inNetns(t, e, "c1", "ip", "route", "add", "default", "via", "10.93.0.1")
	e.Refused(t, []string{"file exists"}, "network", "connect", "outside", "c1")
	if links := e.Exec(t, "c1", "ls", "/sys/class/net"); strings.Contains(links, "eth1") {
		t.Errorf("links after a failed connection: %s", links)
	}
	if n := e.Docker(t, "network", "inspect", "--format", "{{len .Containers}}", "outside"); n != "0" {
		t.Errorf("the network shows %s containers after a failed connection", n)
	}
	if e.Driver != string(harness.Builtin) {
		var all []endpoint
		if e.GangwayJSON(t, &all, "endpoints"); len(all) != 1 {
			t.Errorf("endpoints after a failed connection: %+v", all)
		}
	}
	inNetns(t, e, "c1", "ip", "route", "del", "default")
	e.Docker(t, "network", "connect", "outside", "c1")
	if routes := e.Exec(t, "c1", "ip", "route"); !strings.Contains(routes, "default via 10.93.1.1 ") {
		t.Errorf("routes after the connection:\n%s", routes)
	}
}

// testGatewayFails: a container whose other network cannot become the way out
// leaves the first one all the same, and can come back.
func testGatewayFails(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.93.0.0/24")
	e.Network(t, "n2", "--subnet", "10.93.1.0/24")
	e.Sleep(t, harness.Container{Name: "c1", Network: "n1"})
	e.Docker(t, "network", "connect", "n2", "c1")
	inNetns(t, e, "c1", "ip", "link", "set", "eth1", "down")
	if _, err := e.TryDocker("network", "disconnect", "n1", "c1"); err != nil {
		t.Logf("%s: %v", e, err)
	}
	e.Docker(t, "network", "disconnect", "-f", "n2", "c1")
	e.Docker(t, "network", "connect", "n2", "c1")
	e.Docker(t, "restart", "-t", "0", "c1")
	if routes := e.Exec(t, "c1", "ip", "route"); !strings.Contains(routes, "default via 10.93.") {
		t.Errorf("routes after the restart:\n%s", routes)
	}
}

// testPrune: docker network prune removes the networks that nobody uses.
func testPrune(t *testing.T, e *harness.Engine) {
	used := e.Network(t, "used", "--subnet", "10.93.0.0/24")
	idle := e.Network(t, "idle", "--subnet", "10.93.1.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "used"}, "tcp", "0.0.0.0:80")
	if out := e.Docker(t, "network", "prune", "-f"); !strings.Contains(out, "idle") || strings.Contains(out, "used\n") {
		t.Errorf("docker network prune removed:\n%s", out)
	}
	links := e.Links(t)
	prefix, _, _ := strings.Cut(bridgeOf(t, e, "used"), "-")
	if _, there := links[prefix+"-"+idle[:12]]; there {
		t.Error("the bridge of a pruned network is still there")
	}
	if _, there := links[prefix+"-"+used[:12]]; !there {
		t.Error("the bridge of a network in use is gone")
	}
	by(t, "container", e.Get(t, "tcp", e.Address(t, "c1", "used")+":80"), "c1")
}

// testNames: names in /etc/hosts and in the engine's name server come with a
// network and go with it.
func testNames(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", dual(e, "10.93.0.0/24", "fd00:93::/64")...)
	e.Network(t, "n2", "--subnet", "10.93.1.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1"}, "tcp", "[::]:80")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n2"})
	if got := e.Exec(t, "c1", "cat", "/etc/resolv.conf"); !strings.Contains(got, "nameserver 127.0.0.11") {
		t.Errorf("resolv.conf:\n%s", got)
	}
	own := hostsOf(t, e, "c1")
	for _, want := range []string{"10.93.0.2", "fd00:93::2"} {
		if !own[want] {
			t.Errorf("/etc/hosts has no %s for the container's own name: %v", want, own)
		}
	}
	e.Docker(t, "network", "connect", "n2", "c1")
	addr := e.Address(t, "c1", "n2")
	if own = hostsOf(t, e, "c1"); !own[addr] {
		t.Errorf("/etc/hosts has no %s after the connection: %v", addr, own)
	}
	by(t, "by name", e.Inside("c2").Get(t, "tcp", "c1:80"), "c1")
	e.Docker(t, "network", "disconnect", "n2", "c1")
	if e.Suite != harness.Forky {
		return // until 27 the engine leaves what it wrote for the network
	}
	if own = hostsOf(t, e, "c1"); own[addr] || !own["10.93.0.2"] {
		t.Errorf("/etc/hosts after the disconnection: %v, want it without %s", own, addr)
	}
	if a, err := e.Inside("c2").TryGet("tcp", "c1:80"); err == nil {
		t.Errorf("the name c1 still leads to %s", a)
	}
}

// hostsOf returns the addresses of a container's own name in its /etc/hosts. The
// engine writes IPv4 addresses from an address manager that is a plugin mapped
// into IPv6, since 28.0.
func hostsOf(t *testing.T, e *harness.Engine, container string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, line := range strings.Split(e.Exec(t, container, "cat", "/etc/hosts"), "\n") {
		f := strings.Fields(line)
		if len(f) < 2 || f[1] != container {
			continue
		}
		if a, err := netip.ParseAddr(f[0]); err == nil {
			found[a.Unmap().String()] = true
		}
	}
	return found
}
