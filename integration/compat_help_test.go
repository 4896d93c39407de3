package integration

import (
	"strings"
	"sync"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// compatScenarios are behaviours of the engine's own driver that users and the
// engine's own tests rely on; docs/compatibility.md names the scenario of each.
func compatScenarios() []scenario {
	return []scenario{
		{name: "direct-routing", run: testDirectRouting, own: true, rules: true},
		{name: "loopback-only", run: testLoopbackOnly, own: true, rules: true},
		{name: "drop-in-forward", run: testDropInForward, own: true, rules: true},
		{name: "advertisements", run: testAdvertisements},
		{name: "ports-mixed", run: testPortsMixed},
		{name: "ports-4-to-6", run: testPortsTo6},
		{name: "ports-moved", run: testPortsMoved},
		{name: "ports-unfiltered", run: testPortsUnfiltered, own: true, rules: true},
		{name: "ports-by-family", run: testPortsByFamily},
		{name: "ports-again", run: testPortsAgain},
		{name: "run-repeated", run: testRunRepeated},
		{name: "families", run: testFamilies},
		{name: "sysctls", run: testSysctls},
		{name: "two-networks", run: testTwoNetworks},
		{name: "mac", run: testMAC},
		{name: "shared-namespace", run: testSharedNamespace},
		{name: "connect-fails", run: testConnectFails, own: true},
		{name: "gateway-fails", run: testGatewayFails},
		{name: "prune", run: testPrune},
		{name: "names", run: testNames},
		{name: "subnets", run: testSubnets},
		{name: "subnets-ipv6", run: testSubnets6, own: true},
		{name: "link-local", run: testLinkLocal},
		{name: "announced", run: testAnnounced, own: true},
		{name: "adopted", run: testAdopted, plugin: true},
		{name: "link-local-subnets", run: testLinkLocalSubnets, own: true, rules: true, plugin: true},
		{name: "occupied", run: testOccupied, own: true, plugin: true},
		{name: "internal-host", run: testInternalHost, own: true},
		{name: "point-to-point", run: testPointToPoint, own: true},
		{name: "routed-beside", run: testRoutedBeside, own: true},
		{name: "examples", run: testExamples, own: true},
	}
}

// together runs checks at the same time: most of them wait for an answer that
// must not come.
func together(checks ...func()) {
	var all sync.WaitGroup
	for _, check := range checks {
		all.Go(check)
	}
	all.Wait()
}

// routes gives a host the way to subnets by the engine's host, until the end of
// the test.
func routes(t *testing.T, host *harness.Host, subnets ...string) {
	t.Helper()
	for _, subnet := range subnets {
		via := harness.LanIPv4
		if strings.Contains(subnet, ":") {
			via = harness.LanIPv6
		}
		host.Run(t, "ip", "route", "add", subnet, "via", via)
		t.Cleanup(func() { host.Run(t, "ip", "route", "del", subnet) })
	}
}

// setting writes a sysctl of the engine's host, and puts back what was there
// at the end of the test. The path is relative to /proc/sys/net.
func setting(t *testing.T, e *harness.Engine, path, value string) {
	t.Helper()
	file := "/proc/sys/net/" + path
	before := e.Run(t, "cat", file)
	e.Run(t, "sh", "-c", "echo "+value+" >"+file)
	t.Cleanup(func() { e.Run(t, "sh", "-c", "echo "+before+" >"+file) })
}

// tables are the commands of both families.
func tables() []string { return []string{"iptables", "ip6tables"} }

// dual are the arguments of a network with a subnet of each family.
func dual(e *harness.Engine, subnet4, subnet6 string) []string {
	return args(gangwayIPAM(e), []string{"--ipv6", "--subnet", subnet4, "--subnet", subnet6})
}
