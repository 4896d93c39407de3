package integration

import (
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testTaps: a machine at a tap that somebody has put on a network's bridge reaches containers, the
// host and the outside as a container does, and is reached by them, and by nobody else. It is
// shown with what the bridge has learned of it, and stays, whatever becomes of the daemon and of
// the network.
func testTaps(t *testing.T, e *harness.Engine) {
	const machine, mac = "10.75.0.200", "02:54:41:50:00:c8"
	e.Network(t, "n1", "--subnet", "10.75.0.0/24", "--ip-range", "10.75.0.0/25")
	e.Network(t, "n2", "--subnet", "10.76.0.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1"}, "tcp", "0.0.0.0:80")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n2"})
	t.Cleanup(func() { e.Run(t, "sh", "-c", "conntrack -D -d 10.75.0.200; conntrack -D -s 10.75.0.200; true") })
	vm := e.Tap(t, "tap-vm", machine, "10.75.0.1", "192.0.2.2")
	bridge := bridgeOf(t, e, "n1")
	e.Run(t, "ip", "link", "set", "tap-vm", "up", "master", bridge)

	vm.Shows(t, "reached 192.0.2.2") // by the address of the host: nobody there knows the machine's
	e.Inside("c1").Ping(t, machine)
	from(t, "container", e.Inside("c1").Get(t, "tcp", machine+":80"), "tap", e.Address(t, "c1", "n1"))
	from(t, "host", e.Get(t, "tcp", machine+":80"), "tap", "10.75.0.1")
	e.LAN.Outside.Run(t, "ip", "route", "add", "10.75.0.0/24", "via", harness.LanIPv4)
	t.Cleanup(func() { e.LAN.Outside.Run(t, "ip", "route", "del", "10.75.0.0/24") })
	e.LAN.Outside.Unreachable(t, "tcp", machine+":80")
	e.Inside("c2").Unreachable(t, "tcp", machine+":80")

	shown := func(on string) bool {
		t.Helper()
		for line := range strings.Lines(e.Gangway(t, "endpoints", "--network", on)) {
			if strings.Contains(line, "(foreign tap)") && strings.Contains(line, "tap-vm") && strings.Contains(line, mac) {
				return true
			}
		}
		return false
	}
	if !shown("n1") || shown("n2") {
		t.Errorf("the tap is shown on n1: %t, on n2: %t", shown("n1"), shown("n2"))
	}
	e.StopGangway(t)
	e.StartGangway(t)
	e.Gangway(t, "status")
	if on := e.Run(t, "ip", "-o", "link", "show", "tap-vm"); !strings.Contains(on, "master "+bridge) {
		t.Errorf("after a restart: %s", on)
	}
	from(t, "container, after a restart", e.Inside("c1").Get(t, "tcp", machine+":80"), "tap", e.Address(t, "c1", "n1"))
	e.Docker(t, "rm", "-f", "c1")
	e.Docker(t, "network", "rm", "n1")
	if on := e.Run(t, "ip", "-o", "link", "show", "tap-vm"); strings.Contains(on, "master") {
		t.Errorf("without the network: %s", on)
	}
}
