package integration

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testNamespaces: containers of one network listen on the same port without
// conflict, and each has its own loopback, routes, ARP table and rules.
func testNamespaces(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.71.0.0/24")
	for _, name := range []string{"c1", "c2"} {
		e.Serve(t, harness.Container{Name: name, Network: "n1"}, "tcp", "0.0.0.0:80")
	}
	addr := map[string]string{"c1": e.Address(t, "c1", "n1"), "c2": e.Address(t, "c2", "n1")}
	from(t, "c1 asks c2", e.Inside("c1").Get(t, "tcp", addr["c2"]+":80"), "c2", addr["c1"])
	from(t, "c2 asks c1", e.Inside("c2").Get(t, "tcp", addr["c1"]+":80"), "c1", addr["c2"])
	for _, name := range []string{"c1", "c2"} {
		from(t, name+" asks its loopback", e.Inside(name).Get(t, "tcp", "127.0.0.1:80"), name, "127.0.0.1")
		routes := e.Exec(t, name, "ip", "route")
		for _, want := range []string{"default via 10.71.0.1 dev eth0", "10.71.0.0/24 dev eth0 scope link  src " + addr[name]} {
			if !strings.Contains(routes, want) {
				t.Errorf("routes of %s: no %q in:\n%s", name, want, routes)
			}
		}
		rules := inNetns(t, e, name, "iptables-save")
		if strings.Contains(rules, "GANGWAY") || !strings.Contains(rules, "127.0.0.11") {
			t.Errorf("rules of %s: want those of the engine's name server and none of the host's:\n%s", name, rules)
		}
	}
	arp1, arp2 := e.Exec(t, "c1", "cat", "/proc/net/arp"), e.Exec(t, "c2", "cat", "/proc/net/arp")
	if !hasNeighbour(arp1, addr["c2"], mac(t, e, "c2")) || hasNeighbour(arp1, addr["c1"], "") {
		t.Errorf("ARP table of c1, want c2 and not itself:\n%s", arp1)
	}
	if !hasNeighbour(arp2, addr["c1"], mac(t, e, "c1")) {
		t.Errorf("ARP table of c2, want c1:\n%s", arp2)
	}
}

// inNetns runs a command of the engine's host in a container's network
// namespace.
func inNetns(t *testing.T, e *harness.Engine, container string, cmd ...string) string {
	t.Helper()
	pid := e.Docker(t, "inspect", "--format", "{{.State.Pid}}", container)
	return e.Run(t, append([]string{"nsenter", "--target", pid, "--net", "--"}, cmd...)...)
}

// hasNeighbour looks for an address, and its MAC address if one is given, in
// the text of /proc/net/arp.
func hasNeighbour(table, addr, mac string) bool {
	for _, line := range strings.Split(table, "\n") {
		f := strings.Fields(line)
		if len(f) >= 4 && f[0] == addr && (mac == "" || f[3] == mac) {
			return true
		}
	}
	return false
}

func mac(t *testing.T, e *harness.Engine, container string) string {
	t.Helper()
	return e.Exec(t, container, "cat", "/sys/class/net/eth0/address")
}

// endpoint is what "gangway endpoints --json" tells of one.
type endpoint struct {
	ID                 string         `json:"id"`
	Network            string         `json:"network"`
	Bridge             string         `json:"bridge"`
	Addresses          []netip.Prefix `json:"addresses"`
	MAC                string         `json:"mac"`
	Sandbox            string         `json:"sandbox"`
	HostInterface      string         `json:"hostInterface"`
	HostIndex          int            `json:"hostIndex"`
	ContainerInterface string         `json:"containerInterface"`
	ContainerIndex     int            `json:"containerIndex"`
}

// testVeth: a veth pair joins container and bridge, and "gangway endpoints"
// names both ends.
func testVeth(t *testing.T, e *harness.Engine) {
	network := e.Network(t, "n1", "--subnet", "10.71.0.0/24")
	e.Sleep(t, harness.Container{Name: "c1", Network: "n1"})
	var all []endpoint
	e.GangwayJSON(t, &all, "endpoints")
	if len(all) != 1 {
		t.Fatalf("endpoints: %+v, want one", all)
	}
	got := all[0]
	index := func(file string) int {
		n, err := strconv.Atoi(e.Exec(t, "c1", "cat", "/sys/class/net/eth0/"+file))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	want := endpoint{
		ID:                 e.Docker(t, "inspect", "--format", `{{(index .NetworkSettings.Networks "n1").EndpointID}}`, "c1"),
		Network:            network,
		Bridge:             "gw-" + network[:12],
		Addresses:          []netip.Prefix{netip.MustParsePrefix(e.Address(t, "c1", "n1") + "/24")},
		MAC:                mac(t, e, "c1"),
		Sandbox:            e.Docker(t, "inspect", "--format", "{{.NetworkSettings.SandboxKey}}", "c1"),
		HostInterface:      got.HostInterface,
		HostIndex:          index("iflink"),
		ContainerInterface: "eth0",
		ContainerIndex:     index("ifindex"),
	}
	sameJSON(t, "gangway endpoints", got, want)
	host, ok := e.Links(t)[got.HostInterface]
	if !ok || host.Index != got.HostIndex || host.Peer != got.ContainerIndex || host.Master != got.Bridge || host.Info.Kind != "veth" {
		t.Errorf("host's end %s: %+v, want a veth on %s with peer %d", got.HostInterface, host, got.Bridge, got.ContainerIndex)
	}
	table := e.Gangway(t, "endpoints", "--no-trunc")
	for _, word := range []string{"eth0", got.HostInterface, got.Bridge, e.Address(t, "c1", "n1"), got.MAC} {
		if !strings.Contains(table, word) {
			t.Errorf("gangway endpoints: no %q in:\n%s", word, table)
		}
	}
}

func sameJSON(t *testing.T, what string, got, want any) {
	t.Helper()
	g, err := json.MarshalIndent(got, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	w, err := json.MarshalIndent(want, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if string(g) != string(w) {
		t.Errorf("%s: got\n%s\nwant\n%s", what, g, w)
	}
}

// bridgeOf returns the name of a network's bridge.
func bridgeOf(t *testing.T, e *harness.Engine, network string) string {
	t.Helper()
	prefix := "gw-"
	if e.Driver == string(harness.Builtin) {
		prefix = "br-"
	}
	return prefix + e.Docker(t, "network", "inspect", "--format", "{{.Id}}", network)[:12]
}

// testBridge: three containers on one bridge reach each other by address and by
// name, and the bridge's forwarding table shows them.
func testBridge(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", args(gangwayIPAM(e), []string{"--subnet", "10.71.0.0/24"})...)
	names := []string{"c1", "c2", "c3"}
	for _, name := range names {
		e.Serve(t, harness.Container{Name: name, Network: "n1", Args: []string{"--network-alias", "any"}}, "tcp", "0.0.0.0:80", "udp", "0.0.0.0:53")
	}
	for _, a := range names {
		for _, b := range names {
			if a == b {
				continue
			}
			client := e.Address(t, a, "n1")
			from(t, a+" asks "+b, e.Inside(a).Get(t, "tcp", e.Address(t, b, "n1")+":80"), b, client)
			from(t, a+" asks "+b+" by name", e.Inside(a).Get(t, "tcp", b+":80"), b, client)
			from(t, a+" asks "+b+" by name, udp", e.Inside(a).Get(t, "udp", b+":53"), b, client)
			e.Inside(a).Ping(t, e.Address(t, b, "n1"))
		}
	}
	e.Inside("c1").Get(t, "tcp", "any:80")
	bridge := bridgeOf(t, e, "n1")
	table := e.Run(t, "bridge", "fdb", "show", "br", bridge)
	links := e.Links(t)
	for _, name := range names {
		port := portOf(t, e, links, name)
		if !strings.Contains(table, mac(t, e, name)+" dev "+port+" master "+bridge) {
			t.Errorf("forwarding table of %s: %s is not at %s:\n%s", bridge, name, port, table)
		}
	}
}

// portOf finds the bridge port of a container's eth0.
func portOf(t *testing.T, e *harness.Engine, links map[string]harness.Link, container string) string {
	t.Helper()
	index := e.Exec(t, container, "cat", "/sys/class/net/eth0/iflink")
	for _, l := range links {
		if strconv.Itoa(l.Index) == index {
			return l.Name
		}
	}
	t.Fatalf("no link of the host has the index %s that %s names as its peer", index, container)
	return ""
}

// testGateway: host and container reach each other through the bridge's gateway
// address, and the container's default route leads there.
func testGateway(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.71.0.0/24", "--gateway", "10.71.0.254")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1"}, "tcp", "0.0.0.0:80")
	addr := e.Address(t, "c1", "n1")
	from(t, "host asks container", e.Get(t, "tcp", addr+":80"), "c1", "10.71.0.254")
	e.Ping(t, addr)
	if routes := e.Exec(t, "c1", "ip", "route"); !strings.Contains(routes, "default via 10.71.0.254 dev eth0") {
		t.Errorf("container's routes:\n%s", routes)
	}
	e.Host.Serve(t, "tcp", "0.0.0.0:99", "udp", "0.0.0.0:99")
	for _, proto := range []string{"tcp", "udp"} {
		from(t, "container asks gateway", e.Inside("c1").Get(t, proto, "10.71.0.254:99"), e.Name, addr)
		from(t, "container asks host", e.Inside("c1").Get(t, proto, harness.LanIPv4+":99"), e.Name, addr)
	}
	e.Inside("c1").Ping(t, "10.71.0.254")
	bridge := e.Links(t)[bridgeOf(t, e, "n1")]
	if len(bridge.Addresses) == 0 || bridge.Addresses[0].Local != "10.71.0.254" || bridge.Addresses[0].Prefix != 24 {
		t.Errorf("bridge's addresses: %+v, want 10.71.0.254/24", bridge.Addresses)
	}
}
