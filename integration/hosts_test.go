package integration

import (
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// TestHosts shows gangway beside engines whose default network is on a bridge of another
// name; they are changed for good.
func TestHosts(t *testing.T) {
	t.Parallel()
	for _, suite := range []harness.Suite{harness.Bookworm, harness.Forky} {
		for _, firewall := range []string{"nftables", "iptables"} {
			t.Run(string(suite)+"/"+firewall, func(t *testing.T) {
				t.Parallel()
				testDefaultBridge(t, harness.Start(t, harness.Config{Suite: suite, Driver: harness.Daemon, Env: []string{"GANGWAY_FIREWALL=" + firewall}}))
			})
		}
	}
}

// testDefaultBridge: the engine's default network may be on a bridge of another
// name (dockerd --bridge), and is as separate from gangway's networks as docker0.
func testDefaultBridge(t *testing.T, e *harness.Engine) {
	e.Network(t, "mine", "--subnet", "10.91.0.0/24")
	e.Run(t, "sh", "-ec", "ip link add priv9 type bridge; ip addr add 10.91.9.1/24 dev priv9; ip link set priv9 up")
	e.Stop(t)
	e.Arguments("--bridge", "priv9")
	e.StartEngine(t)
	e.Serve(t, harness.Container{Name: "c1", Network: "mine"}, "tcp", "0.0.0.0:80", "udp", "0.0.0.0:80")
	e.Serve(t, harness.Container{Name: "own", Network: "bridge"}, "tcp", "0.0.0.0:80", "udp", "0.0.0.0:80")
	apart(t, e, e.Address(t, "c1", "mine"), "own", e.Address(t, "own", "bridge"))
}
