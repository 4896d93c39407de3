package integration

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// example is a running example.
type example struct {
	*harness.Engine
	t *testing.T
	// name is that of its folder, file what is in its compose file.
	name, file string
}

// exampleChecks say of each folder of examples what must be true when it is up.
func exampleChecks() map[string]func(example) {
	return map[string]func(example){
		"web-and-db":       example.webAndDB,
		"static-addresses": example.staticAddresses,
		"ipv6":             example.ipv6,
		"ipv6-prefix":      example.ipv6Prefix,
		"internal":         example.internal,
		"port-ranges":      example.portRanges,
		"agent-sandbox":    example.agentSandbox,
		"mtu":              example.mtu,
		"rates":            example.rates,
		"routes":           example.routes,
		"vpn":              example.vpn,
		"lan":              example.lan,
		"lan-one-card":     example.lanOneCard,
		"ipv6-on-link":     example.ipv6OnLink,
		"dhcp":             example.dhcp,
		"ids":              example.ids,
		"virtual-machine":  example.virtualMachine,
	}
}

// testExamples: each example comes up as it is, does what it says, and goes down
// without a trace.
func testExamples(t *testing.T, e *harness.Engine) {
	files, err := filepath.Glob("../examples/*/compose.yml")
	if err != nil || len(files) != len(exampleChecks()) {
		t.Fatalf("examples: %v, %v, want one for each of %d checks", files, err, len(exampleChecks()))
	}
	before := e.Snapshot(t)
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file))
		t.Run(name, func(t *testing.T) { example{e, t, name, readFile(t, file)}.run() })
	}
	e.Unchanged(t, before)
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func (x example) run() {
	check, ok := exampleChecks()[x.name]
	if !ok {
		x.t.Fatal("the example has no check")
	}
	if prepare, ok := examplePreparations()[x.name]; ok {
		prepare(x)
	}
	x.up()
	check(x)
}

// up starts the example with the engine's driver and the tests' image, until the
// end of the test.
func (x example) up() {
	x.t.Helper()
	dir := x.Path("/srv/" + x.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		x.t.Fatal(err)
	}
	variables := fmt.Sprintf("IMAGE=%s\nDRIVER=%s\n", harness.Image, x.Driver)
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(variables), 0o600); err != nil {
		x.t.Fatal(err)
	}
	file := x.file
	if x.name == "ids" && !x.givesOptionsOfOne() {
		file = x.withoutOptionsOfOne()
	}
	x.t.Cleanup(func() { x.Compose(x.t, x.name, file, "down", "-t", "0") })
	x.Compose(x.t, x.name, file, "up", "-d")
}

// container returns the id of a service's container.
func (x example) container(service string) string {
	x.t.Helper()
	return x.Docker(x.t, "ps", "-q", "--filter", "label=com.docker.compose.project="+x.name, "--filter", "label=com.docker.compose.service="+service)
}

// as asks from a service's container.
func (x example) as(service string) *harness.Prober { return x.Inside(x.container(service)) }

func (x example) webAndDB() {
	for _, addr := range []string{"192.0.2.1:8080", "[2001:db8::1]:8080"} {
		x.LAN.Outside.Fetch(x.t, addr, "web")
	}
	x.Fetch(x.t, "127.0.0.1:8081", "web")
	x.as("web").Fetch(x.t, "db:5432", "db")
	x.LAN.Outside.Unreachable(x.t, "tcp", "192.0.2.1:8081")
	if routes := x.Exec(x.t, x.container("db"), "ip", "route"); strings.Contains(routes, "default") {
		x.t.Errorf("the database has a way out:\n%s", routes)
	}
}

func (x example) staticAddresses() {
	x.as("clerk").Fetch(x.t, "10.76.0.50:631", "printer")
	x.as("clerk").Fetch(x.t, "laser:631", "printer")
	addr := netip.MustParseAddr(x.Address(x.t, x.container("clerk"), "static-addresses_office"))
	if !netip.MustParsePrefix("10.76.0.128/26").Contains(addr) || addr.String() == "10.76.0.129" {
		x.t.Errorf("clerk has %s", addr)
	}
	if got := mac(x.t, x.Engine, x.container("printer")); got != "02:10:76:00:00:32" {
		x.t.Errorf("printer has the MAC address %s", got)
	}
	bridge := x.Links(x.t)["gw-office"]
	if bridge.MTU != 1400 || len(bridge.Addresses) == 0 || bridge.Addresses[0].Local != "10.76.0.254" {
		x.t.Errorf("gw-office: %+v", bridge)
	}
}

func (x example) ipv6() {
	for _, addr := range []string{"192.0.2.1:8088", "[2001:db8::1]:8088"} {
		x.LAN.Outside.Fetch(x.t, addr, "web")
	}
	x.Fetch(x.t, "[::1]:8088", "web")
	x.as("client").Fetch(x.t, "[fd00:76::80]:8080", "web")
	x.as("client").Fetch(x.t, "web:8080", "web")
}

func (x example) internal() {
	x.as("worker").Fetch(x.t, "queue:4222", "queue")
	x.LAN.Outside.Serve(x.t, "tcp", "192.0.2.2:99")
	if _, err := x.as("worker").TryGet("tcp", "192.0.2.2:99", "-timeout", "1s"); err == nil {
		x.t.Error("a worker reaches the outside")
	}
}

func (x example) agentSandbox() {
	x.LAN.Outside.Serve(x.t, "tcp", "192.0.2.2:5432", "tcp", "192.0.2.2:8443", "dns:registry.example=192.0.2.2", "192.0.2.2:53")
	for service, reached := range map[string][]string{"agent": {"192.0.2.2:5432"}, "courier": {"192.0.2.2:5432", "registry.example:8443"}} {
		for _, to := range []string{"192.0.2.2:5432", "192.0.2.2:8443", "registry.example:5433", "registry.example:8443"} {
			_, err := x.as(service).TryGet("tcp", to, "-timeout", "5s")
			if (err == nil) != slices.Contains(reached, to) {
				x.t.Errorf("%s asks %s: %v", service, to, err)
			}
		}
	}
}

func (x example) portRanges() {
	for i := range 3 {
		x.LAN.Outside.Fetch(x.t, fmt.Sprintf("192.0.2.1:%d", 9000+i), "media")
		x.Fetch(x.t, fmt.Sprintf("127.0.0.1:%d", 9100+i), "media")
	}
	x.LAN.Outside.Unreachable(x.t, "tcp", "192.0.2.1:9100")
	if runs := ports(x.t, x.Engine, "udp"); len(runs) != 1 || runs[0].First != 20000 || runs[0].Last != 20999 {
		x.t.Errorf("udp ports: %+v, want one run 20000-20999", runs)
	}
}

func (x example) rates() {
	type rates struct {
		NetworkName, RateIn, RateOut string
	}
	var all []rates
	x.GangwayJSON(x.t, &all, "rate")
	for _, want := range []rates{{"rates_guests", "40mbit", "10mbit"}, {"rates_mirrors", "", "20mbit/64kb"}} {
		if !slices.Contains(all, want) {
			x.t.Errorf("%+v, want among them %+v", all, want)
		}
	}
	x.LAN.Outside.Serve(x.t, "source", "192.0.2.2:9100")
	bits, err := strconv.ParseFloat(strings.TrimSpace(x.Exec(x.t, x.container("guest"), "probe", "rate", "-for", "1s", "out", "192.0.2.2:9100")), 64)
	if err != nil || bits > 11e6 || bits < 3e6 {
		x.t.Errorf("a guest sends %.0f bits a second, %v", bits, err)
	}
}

func (x example) routes() {
	// Who is behind the router is nobody whose flows would go with him.
	defer x.Run(x.t, "sh", "-c", "conntrack -D -d 10.9.0.1; true")
	x.as("client").Ping(x.t, "10.9.0.1")
	x.Ping(x.t, "10.9.0.1")
	if routes := x.Exec(x.t, x.container("client"), "ip", "route"); !strings.Contains(routes, "10.9.0.0/16 via 10.77.0.5") {
		x.t.Errorf("routes of the client:\n%s", routes)
	}
	if routes := x.Exec(x.t, x.container("client"), "ip", "route"); !strings.Contains(routes, "default via 10.77.1.1") {
		x.t.Errorf("routes of the client, which is on another network as well:\n%s", routes)
	}
}

func (x example) vpn() {
	x.LAN.Outside.Serve(x.t, "tcp", "192.0.2.2:99")
	x.behind()
	x.Docker(x.t, "kill", "example-vpn")
	if _, err := x.as("app").TryGet("tcp", "192.0.2.2:99", "-timeout", "1s"); err == nil {
		x.t.Error("without the VPN the app reaches the outside")
	}
	x.Docker(x.t, "start", "example-vpn")
	x.behind()
}

// behind waits until the app reaches the other end of the tunnel: the engine tells in the background who its gateway is.
func (x example) behind() {
	x.t.Helper()
	harness.Eventually(x.t, "the app reaches the other end", func() error { return x.as("app").TryPing("10.64.0.1") })
}

func (x example) mtu() {
	x.Run(x.t, "sh", "-ec", "ip route add default via 192.0.2.2; ip link set lan0 mtu 1400")
	x.t.Cleanup(func() { x.Run(x.t, "sh", "-ec", "ip link set lan0 mtu 1500; ip route del default") })
	bridge := bridgeOf(x.t, x.Engine, "mtu_front")
	harness.Eventually(x.t, "the MTU of the way out", func() error {
		if got := x.Links(x.t)[bridge].MTU; got != 1400 {
			return fmt.Errorf("bridge has %d", got)
		}
		return nil
	})
}
