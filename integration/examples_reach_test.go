package integration

import (
	"strconv"
	"strings"

	"github.com/gangway-net/gangway/integration/harness"
)

// The examples whose containers reach further than a network of the host.

// examplePreparations make what an example finds on its host.
func examplePreparations() map[string]func(example) {
	return map[string]func(example){
		"lan":          example.prepareLAN,
		"lan-one-card": example.prepareOneCard,
		"ipv6-on-link": example.prepareOnLink,
		"dhcp":         example.prepareDHCP,
	}
}

func (x example) prepareLAN() { x.LAN.Cable(x.t, x.Node, "eth1") }

func (x example) prepareOneCard() {
	x.LAN.Cable(x.t, x.Node, "eth1")
	x.Run(x.t, "sh", "-ec", "ip addr add 10.79.0.2/24 dev eth1; ip link set eth1 up")
	x.t.Cleanup(func() { // as it is down again
		if at := x.Run(x.t, "ip", "-o", "addr", "show", "to", "10.79.0.2"); !strings.Contains(at, " eth1 ") {
			x.t.Errorf("without the network the host's address is at %s", at)
		}
	})
}

func (x example) prepareOnLink() {
	x.LAN.Cable(x.t, x.Node, "eth1")
	x.Run(x.t, "sh", "-ec", "ip link set eth1 up; ip addr add 2001:db8:79::2/64 dev eth1 nodad")
}

// commands are those that the comment at the top of the example's file tells to type, which begin with some words. What is
// told is what is run: so it cannot be wrong.
func (x example) commands(begin string) (all []string) {
	x.t.Helper()
	for line := range strings.Lines(x.file) {
		if told, ok := strings.CutPrefix(line, "#     "); ok && strings.HasPrefix(told, begin) {
			all = append(all, strings.TrimSpace(told))
		}
	}
	if len(all) == 0 {
		x.t.Fatalf("the comment of the example tells no command that begins with %q", begin)
	}
	return all
}

// follow types these commands.
func (x example) follow(begin string) {
	x.t.Helper()
	for _, command := range x.commands(begin) {
		x.Run(x.t, "sh", "-c", command)
	}
}

func (x example) lan() {
	x.LAN.Neighbour.Run(x.t, "ip", "addr", "add", "10.78.0.3/24", "dev", "lan0")
	x.t.Cleanup(func() { x.LAN.Neighbour.Run(x.t, "ip", "addr", "del", "10.78.0.3/24", "dev", "lan0") })
	x.LAN.Neighbour.Fetch(x.t, "10.78.0.200:80", "web")
	x.Fetch(x.t, "10.78.0.200:80", "web") // by the host's own address there
	if routes := x.Exec(x.t, x.container("web"), "ip", "route"); !strings.Contains(routes, "default via 10.78.0.1") {
		x.t.Errorf("routes of the web server:\n%s", routes)
	}
}

func (x example) lanOneCard() {
	lanAddress(x.t, x.LAN.Neighbour, "lan0", "10.79.0.3/24")
	x.LAN.Neighbour.Fetch(x.t, "10.79.0.200:80", "web")
	if at := x.Run(x.t, "ip", "-o", "addr", "show", "to", "10.79.0.2"); !strings.Contains(at, " br-lan ") || strings.Contains(at, " eth1 ") {
		x.t.Errorf("the host's address is at %s", at)
	}
}

func (x example) ipv6OnLink() {
	neighbour := x.LAN.Neighbour
	x.t.Cleanup(func() { neighbour.Run(x.t, "ip", "neigh", "flush", "dev", "lan0") })
	lanAddress(x.t, neighbour, "lan0", "2001:db8:79::3/64")
	neighbour.Fetch(x.t, "[2001:db8:79:0:80::80]:80", "web")
	neighbour.Unreachable(x.t, "tcp", "[2001:db8:79:0:80::80]:81")
}

func (x example) ipv6Prefix() {
	p := prefixed{x.t, x.Engine}
	p.world()
	p.delegated(prefixToday)
	x.LAN.Outside.Fetch(x.t, "["+outsideToday+"100]:8080", "web")
}

// prepareDHCP makes the network, on a LAN with a DHCP server that keeps an address for the web server.
func (x example) prepareDHCP() {
	router := x.LAN.Outside
	x.t.Cleanup(func() { // see testDHCP
		router.Run(x.t, "ip", "neigh", "flush", "dev", "lan0")
		x.Run(x.t, "sh", "-c", "for p in 67 68; do conntrack -D -p udp --orig-port-dst $p; done; true")
	})
	x.LAN.Cable(x.t, x.Node, "eth1")
	lanAddress(x.t, router, "lan0", "10.83.0.1/24")
	router.DHCP(x.t, "10.83.0.100", "10.83.0.150", "--dhcp-host=02:10:83:00:00:50,10.83.0.50")
	x.follow("docker network create ")
	x.t.Cleanup(func() { x.Docker(x.t, "network", "rm", "example-lan") })
}

func (x example) dhcp() {
	x.LAN.Outside.Fetch(x.t, "10.83.0.50:80", "web")
	if routes := x.Exec(x.t, x.container("web"), "ip", "route"); !strings.Contains(routes, "default via 10.83.0.1") {
		x.t.Errorf("routes of the web server:\n%s", routes)
	}
	if rows := x.Gangway(x.t, "addresses", "example-lan"); !strings.Contains(rows, "by 10.83.0.1 until ") {
		x.t.Errorf("addresses of the network:\n%s", rows)
	}
}

// givesOptionsOfOne says whether compose hands over the options of one container's place on a network: from 2.27.1 on.
func (x example) givesOptionsOfOne() bool { return x.Suite == harness.Forky }

// withoutOptionsOfOne is the file of the example ids for a compose that does not.
func (x example) withoutOptionsOfOne() string {
	const lines = `        driver_opts:
          gangway.promiscuous: "true"
`
	if strings.Count(x.file, lines) != 1 {
		x.t.Fatalf("the example's file does not have these lines once:\n%s", lines)
	}
	return strings.Replace(x.file, lines, "", 1)
}

// ids: what watches gets what app and db send each other, and a container beside it does not.
func (x example) ids() {
	if !x.givesOptionsOfOne() {
		x.follow("docker network ")
	}
	x.Sleep(x.t, harness.Container{Name: "twin", Network: "ids_front"})
	got := func(container string) (bytes int) {
		x.t.Helper()
		for _, n := range strings.Fields(x.Exec(x.t, container, "sh", "-c", "cat /sys/class/net/eth*/statistics/rx_bytes")) {
			one, err := strconv.Atoi(n)
			if err != nil {
				x.t.Fatal(err)
			}
			bytes += one
		}
		return bytes
	}
	const page = 4_000_000 // bytes, see the file
	watched, beside := got("example-ids"), got("twin")
	x.Exec(x.t, x.container("app"), "sh", "-c", "wget -q -O /dev/null http://db:5432/")
	if seen := got("example-ids") - watched; seen < page {
		x.t.Errorf("who watches has seen %d bytes of a page of %d", seen, page)
	}
	if seen := got("twin") - beside; seen > page/100 {
		x.t.Errorf("who does not watch has seen %d bytes of a page of %d", seen, page)
	}
}

// virtualMachine: a machine whose tap is put onto the bridge and the container reach each other.
func (x example) virtualMachine() {
	x.t.Cleanup(func() { x.Run(x.t, "sh", "-c", "conntrack -D -s 10.84.0.2; conntrack -D -d 10.84.0.2; true") })
	web := x.Address(x.t, x.container("web"), "virtual-machine_machines")
	if !strings.HasPrefix(web, "10.84.0.1") {
		x.t.Errorf("the web server has %s", web)
	}
	machine := x.Tap(x.t, "tap0", "10.84.0.2", "10.84.0.1", "192.0.2.2")
	x.follow("ip link set ")
	machine.Shows(x.t, "reached 192.0.2.2")
	from(x.t, "the web server asks the machine", x.as("web").Get(x.t, "tcp", "10.84.0.2:80"), "tap", web)
	if shown := x.Gangway(x.t, "endpoints", "--network", "virtual-machine_machines"); !strings.Contains(shown, "(foreign tap)") {
		x.t.Errorf("the machine is not shown:\n%s", shown)
	}
}
