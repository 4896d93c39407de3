package integration

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// scenario is one thing that has to be true on every engine. It leaves the
// engine as it was; the harness compares.
type scenario struct {
	name string
	run  func(t *testing.T, e *harness.Engine)
	// plugin says that it is also run with the managed plugin.
	plugin bool
	// own says that it is about gangway itself: it makes no sense with the
	// engine's own driver.
	own bool
	// rules says that it is also run with gangway's rules in iptables: it
	// shows what the rules do.
	rules bool
}

// reachScenarios are of networks that reach further, and of containers that are bound.
func reachScenarios() []scenario {
	return []scenario{
		{name: "mtu-auto", run: testMTUAuto, own: true, rules: true},
		{name: "ipv6-prefix", run: testIPv6Prefix, plugin: true, own: true, rules: true},
		{name: "ipv6-prefix-on-link", run: testPrefixOnLink, plugin: true, own: true, rules: true},
		{name: "promiscuous", run: testPromiscuous, plugin: true, own: true},
		{name: "taps", run: testTaps, own: true, rules: true},
		{name: "vpn", run: testVPN, plugin: true, own: true, rules: true},
		{name: "uplink", run: testUplink, plugin: true, own: true, rules: true},
		{name: "dhcp", run: testDHCP, plugin: true, own: true},
		{name: "ndp-proxy", run: testNDPProxy, plugin: true, own: true, rules: true},
		{name: "uplink-move", run: testUplinkMove, plugin: true, own: true, rules: true},
		{name: "rate", run: testRate, plugin: true, own: true},
		{name: "large", run: testLarge, own: true, rules: true},
		{name: "large-gateway", run: testLargeGateway, own: true},
	}
}

func scenarios() []scenario {
	return slices.Concat(compatScenarios(), reachScenarios(), []scenario{
		{name: "namespaces", run: testNamespaces},
		{name: "veth", run: testVeth, plugin: true, own: true},
		{name: "bridge", run: testBridge, plugin: true},
		{name: "gateway", run: testGateway},
		{name: "outside", run: testOutside, plugin: true, rules: true},
		{name: "outside-ipv6", run: testOutsideIPv6, plugin: true},
		{name: "ports", run: testPorts, plugin: true, rules: true},
		{name: "ports-ipv6", run: testPortsIPv6, own: true, rules: true},
		{name: "ports-range", run: testPortRange, plugin: true, own: true, rules: true},
		{name: "ports-shift", run: testPortShift, own: true, rules: true},
		{name: "ports-one-of", run: testPortOneOf},
		{name: "ports-ephemeral", run: testPortEphemeral, own: true},
		{name: "source-ports", run: testSourcePorts, plugin: true, own: true, rules: true},
		{name: "ports-sctp", run: testPortSCTP, own: true, rules: true},
		{name: "ports-addresses", run: testPortAddresses, rules: true},
		{name: "relay-origin", run: testRelayOrigin, own: true, rules: true},
		{name: "link-local-ports", run: testLinkLocalPorts, own: true, rules: true},
		{name: "broadcast", run: testBroadcast, own: true, rules: true},
		{name: "ports-bindings", run: testPortBindings, own: true, rules: true},
		{name: "ports-taken", run: testPortsTaken},
		{name: "ports-follow-gateway", run: testPortsFollowGateway, own: true},
		{name: "ports-two-networks", run: testPortsTwoNetworks, rules: true},
		{name: "behind-container", run: testBehindContainer, own: true, rules: true},
		{name: "ports-two-gateways", run: testTwoGateways, plugin: true, own: true},
		{name: "published-only", run: testPublishedOnly, own: true},
		{name: "isolation", run: testIsolation, own: true, rules: true},
		{name: "docker-user", run: testDockerUser, rules: true},
		{name: "untouched", run: testUntouched, rules: true},
		{name: "addresses", run: testAddresses, plugin: true},
		{name: "automatic-subnets", run: testAutomaticSubnets, own: true},
		{name: "mtu", run: testMTU},
		{name: "routes", run: testRoutes, plugin: true, own: true, rules: true},
		{name: "connect", run: testConnect},
		{name: "disconnect", run: testDisconnect, plugin: true},
		{name: "internal", run: testInternal, own: true, rules: true},
		{name: "no-icc", run: testNoICC, rules: true},
		{name: "spoofing", run: testSpoofing, plugin: true, own: true},
		{name: "neighbour-flood", run: testNeighbourFlood, own: true, rules: true},
		{name: "source-check", run: testSourceCheck, plugin: true, own: true, rules: true},
		{name: "policy", run: testPolicy, plugin: true, own: true, rules: true},
		{name: "policy-strict", run: testPolicyStrict, plugin: true, own: true, rules: true},
		{name: "policy-names", run: testPolicyNames, plugin: true, own: true, rules: true},
		{name: "policy-host-names", run: testPolicyHostNames, plugin: true, own: true, rules: true},
		{name: "policy-npm", run: testPolicyNPM, plugin: true, own: true, rules: true},
		{name: "policy-races", run: testPolicyRaces, plugin: true, own: true, rules: true},
		{name: "policy-named", run: testNamedPolicy, plugin: true, own: true, rules: true},
		{name: "policy-peers", run: testPolicyPeers, plugin: true, own: true, rules: true},
		{name: "policy-learn", run: testPolicyLearn, plugin: true, own: true, rules: true},
		{name: "drops", run: testDrops, plugin: true, own: true, rules: true},
		{name: "drops-follow", run: testFollowDrops, plugin: true, own: true, rules: true},
		{name: "foreign-bridges", run: testForeignBridges, own: true, rules: true},
		{name: "uplink-bridge", run: testUplinkBridge, own: true, rules: true},
	}, modeScenarios(), lifeScenarios())
}

// modeScenarios are about families, gateway modes, and what the host has.
func modeScenarios() []scenario {
	return []scenario{
		{name: "ipv6-only", run: testIPv6Only},
		{name: "ipv6-off", run: testIPv6Off, plugin: true, own: true},
		{name: "routed", run: testRouted, own: true, rules: true},
		{name: "routed-errors", run: testRoutedErrors, own: true, rules: true},
		{name: "nat-unprotected", run: testNATUnprotected, own: true, rules: true},
		{name: "isolated", run: testIsolated, own: true},
		{name: "trusted-interfaces", run: testTrustedInterfaces, own: true, rules: true},
		{name: "inhibit-ipv4", run: testInhibitIPv4, own: true},
		{name: "default-gateway", run: testDefaultGateway, plugin: true},
		{name: "unmet", run: testUnmet, own: true, plugin: true},
		{name: "policy-routing", run: testPolicyRouting, rules: true},
		{name: "container-gateway", run: testContainerGateway, own: true},
		{name: "host-addresses", run: testHostAddresses, own: true, rules: true},
	}
}

// lifeScenarios are about what happens to engine and daemon.
func lifeScenarios() []scenario {
	return []scenario{
		{name: "compose", run: testCompose, plugin: true},
		{name: "see", run: testSee, plugin: true, own: true, rules: true},
		{name: "doctor", run: testDoctor, plugin: true, own: true, rules: true},
		{name: "events-restart", run: testEventsRestart, plugin: true, own: true},
		{name: "support", run: testSupport, plugin: true, own: true},
		{name: "docker-ps", run: testDockerPS, plugin: true, own: true},
		{name: "docker-ps-compose", run: testDockerPSCompose, own: true},
		{name: "api-consumers", run: testAPIConsumers, own: true},
		{name: "api-streams", run: testAPIStreams, own: true},
		{name: "api-bodies", run: testAPIBodies, own: true},
		{name: "api-refuses", run: testAPIRefuses, own: true},
		{name: "page", run: testPage, plugin: true, own: true},
		{name: "trace", run: testTrace, plugin: true, own: true, rules: true},
		{name: "capture", run: testCapture, plugin: true, own: true},
		{name: "privileges", run: testPrivileges, plugin: true, own: true},
		{name: "churn", run: testChurn, plugin: true, own: true},
		{name: "refused", run: testRefused, own: true},
		{name: "removal", run: testRemoval, plugin: true, own: true, rules: true},
		{name: "restart-gangway", run: testRestartGangway, own: true, rules: true},
		{name: "restart-engine", run: testRestartEngine, plugin: true, own: true, rules: true},
		{name: "hung-firewall", run: testHungFirewall, own: true, rules: true},
		{name: "ports-reserved", run: testPortsReserved, own: true},
		{name: "ports-restored", run: testPortsRestored, own: true},
		{name: "reboot", run: testReboot, plugin: true, own: true, rules: true},
		{name: "migration", run: testMigration, plugin: true, own: true},
		{name: "both-names", run: testBothNames, own: true},
		{name: "shown-names", run: testShownNames, plugin: true, own: true},
		{name: "strange-names", run: testStrangeNames, own: true},
	}
}

// TestDaemon runs every scenario with gangway as a plain daemon.
func TestDaemon(t *testing.T) {
	t.Parallel()
	driver := harness.Daemon
	if d := os.Getenv("GANGWAY_TEST_DRIVER"); d != "" {
		driver = harness.Driver(d)
	}
	onEngines(t, harness.Suites(), driver, func(s scenario) bool { return !s.own || driver == harness.Daemon })
}

// TestPlugin runs the scenarios that tell the managed plugin from the plain
// daemon, in whose place it then is.
func TestPlugin(t *testing.T) {
	t.Parallel()
	if os.Getenv("GANGWAY_TEST_DRIVER") != "" {
		return // it names what TestDaemon is to run with, instead of gangway
	}
	onEngines(t, outermost(), harness.Managed, func(s scenario) bool { return s.plugin })
}

// TestDaemonIPTables runs the scenarios that are about rules once more, with the
// rules in iptables.
func TestDaemonIPTables(t *testing.T) {
	t.Parallel()
	if os.Getenv("GANGWAY_TEST_DRIVER") != "" {
		return
	}
	onEngines(t, outermost(), harness.Daemon, func(s scenario) bool { return s.rules }, "GANGWAY_FIREWALL=iptables")
}

// outermost are the oldest and the newest engine. What lies between differs from them in the calls that it makes, which the plain
// daemon gets from it as well; it would find the plugin and the rules in iptables as these two do.
func outermost() []harness.Suite {
	all := harness.Suites()
	return []harness.Suite{all[0], all[len(all)-1]}
}

// onEngines runs the wanted scenarios one after the other on one engine of
// each version, the engines in parallel; env are settings of gangway.
func onEngines(t *testing.T, suites []harness.Suite, driver harness.Driver, wanted func(scenario) bool, env ...string) {
	for _, suite := range suites {
		t.Run(string(suite), func(t *testing.T) {
			t.Parallel()
			e := harness.Start(t, harness.Config{Suite: suite, Driver: driver, Env: env})
			warmUp(t, e)
			for _, s := range scenarios() {
				if !wanted(s) {
					continue
				}
				t.Run(s.name, func(t *testing.T) {
					if driver != harness.Builtin { // which leaves flows behind
						e.Restored(t)
					}
					s.run(t, e)
				})
			}
		})
	}
}

// warmUp lets the engine make what it makes once and keeps: chains with its
// first network and its first published port of its own. So does iptables: the
// base chain that a table's first rule goes to stays when the rule goes. And so
// does forwarding: who turns it on cannot know who relies on it since.
func warmUp(t *testing.T, e *harness.Engine) {
	e.Run(t, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
	for _, at := range []string{"raw PREROUTING", "filter FORWARD", "nat PREROUTING", "nat OUTPUT", "nat POSTROUTING"} {
		e.Run(t, "sh", "-c", fmt.Sprintf(`set -- %s; for cmd in iptables ip6tables; do
			$cmd -t $1 -A $2 -m comment --comment warm-up && $cmd -t $1 -D $2 -m comment --comment warm-up || exit; done`, at))
	}
	e.Docker(t, "network", "create", "warm-up")
	e.Docker(t, "run", "--rm", "--network", "warm-up", "-p", "9:9", harness.Image, "true")
	e.Docker(t, "network", "rm", "warm-up")
}

// gangwayIPAM returns the arguments that choose the driver's own address
// manager.
func gangwayIPAM(e *harness.Engine) []string {
	if e.Driver == string(harness.Builtin) {
		return nil
	}
	return []string{"--ipam-driver", e.Driver}
}

// args joins lists of arguments.
func args(lists ...[]string) []string {
	var all []string
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// from fails the test unless the answer is the server's and shows the client.
func from(t *testing.T, what string, a harness.Answer, server, client string) {
	t.Helper()
	if a.Host != server || a.Client.Addr().String() != client {
		t.Errorf("%s: answered by %s, want %s with client %s", what, a, server, client)
	}
}

// by fails the test unless the answer is the server's.
func by(t *testing.T, what string, a harness.Answer, server string) {
	t.Helper()
	if a.Host != server {
		t.Errorf("%s: answered by %s, want %s", what, a, server)
	}
}
