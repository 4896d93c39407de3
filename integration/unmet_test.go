package integration

import (
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testUnmet: what a network names and the host does not have, or a port that leads
// nowhere, is a lasting line of the status with its name, until it is there.
func testUnmet(t *testing.T, e *harness.Engine) {
	health := func(state string, words ...string) {
		t.Helper()
		out, _ := e.TryGangway("health") // it ends with an error where not all is well
		first, _, _ := strings.Cut(strings.TrimSpace(out), ":")
		if first != state {
			t.Errorf("health is %q, want %q", out, state)
		}
		status, _ := e.TryGangway("status")
		for _, w := range words {
			if !strings.Contains(out, w) || !strings.Contains(status, w) {
				t.Errorf("%q is missing in health %q or in status %q", w, out, status)
			}
		}
	}
	const option = "com.docker.network."
	e.Network(t, "n1", "--subnet", "10.84.0.0/24", "-o", option+"host_ipv4=192.0.2.51", "-o", option+"bridge.trusted_host_interfaces=lan0:nope0")
	health("degraded", "host_ipv4", "192.0.2.51", "trusted_host_interfaces", "nope0")
	told(t, e, "problem", "192.0.2.51")
	e.Run(t, "ip", "addr", "add", "192.0.2.51/24", "dev", "lan0")
	health("degraded", "nope0")
	e.Run(t, "ip", "link", "add", "nope0", "type", "bridge")
	health("ok")
	told(t, e, "solved", "192.0.2.51")
	told(t, e, "solved", "nope0")
	e.Run(t, "ip", "link", "del", "nope0")
	e.Run(t, "ip", "addr", "del", "192.0.2.51/24", "dev", "lan0")
	health("degraded", "nope0", "192.0.2.51")
	e.Docker(t, "network", "rm", "n1")
	health("ok")

	e.Run(t, "sh", "-c", "ip link add mine0 type bridge && ip link set mine0 up")
	t.Cleanup(func() { e.Run(t, "ip", "link", "del", "mine0") })
	e.Network(t, "n2", "--subnet", "10.84.1.0/24", "--gateway", "10.84.1.99", "-o", option+"bridge.name=mine0", "-o", option+"bridge.inhibit_ipv4=true")
	health("ok")
	e.Serve(t, harness.Container{Name: "c1", Network: "n2", Args: publish("8000:80")}, "tcp", "0.0.0.0:80")
	health("degraded", "inhibit_ipv4", "mine0")
	e.Run(t, "ip", "addr", "add", "10.84.1.50/24", "dev", "mine0")
	health("ok")
	by(t, "the host has a way", e.Get(t, "tcp", e.Address(t, "c1", "n2")+":80"), "c1")
}
