package integration

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testContainerGateway: where the bridge has no address a container may be the
// gateway, one at a time and nobody else, and is again after restarts.
func testContainerGateway(t *testing.T, e *harness.Engine) {
	const gateway, behind = "10.84.0.9", "198.51.100.1"
	e.Network(t, "n1", args(gangwayIPAM(e), []string{"--subnet", modeSubnet4, "--gateway", gateway, "-o", "com.docker.network.bridge.inhibit_ipv4=true"})...)
	be := []string{"--ip", gateway}
	e.Sleep(t, harness.Container{Name: "router", Network: "n1", Args: be})
	lend := func() { inNetns(t, e, "router", "ip", "addr", "add", behind+"/32", "dev", "lo") }
	lend()
	if routes := e.Exec(t, "router", "ip", "route"); strings.Contains(routes, "default") {
		t.Errorf("routes of the gateway: %s", routes)
	}
	e.Sleep(t, harness.Container{Name: "c1", Network: "n1"})
	e.Sleep(t, harness.Container{Name: "c2", Network: "n1", Args: []string{"--cap-add", "NET_RAW"}})
	if routes := e.Exec(t, "c1", "ip", "route"); !strings.Contains(routes, "default via "+gateway) {
		t.Errorf("routes: %s", routes)
	}
	e.Inside("c1").Ping(t, behind)
	e.Refused(t, []string{gateway}, args([]string{"run", "--rm", "--network", "n1"}, be, []string{harness.Image, "true"})...)

	// The port filter lets the gateway say who it is, and nobody else.
	claim := func(who string) {
		frame := arpAnswer(everybodyMAC, macOf(t, e, who), netip.MustParseAddr(gateway), netip.MustParseAddr(gateway))
		e.Exec(t, who, "probe", "send", "eth0", hex.EncodeToString(frame))
	}
	known := func() string { return e.Exec(t, "c1", "ip", "neigh", "show", gateway) }
	claim("c2")
	claim("router")
	harness.Eventually(t, "c1 knows the gateway", func() error {
		if got := known(); !strings.Contains(got, macOf(t, e, "router").String()) {
			return errors.New(got)
		}
		return nil
	})
	e.Docker(t, "restart", "-t", "0", "router")
	e.StopGangway(t)
	e.StartGangway(t)
	e.Docker(t, "restart", "-t", "0", "router")
	e.Restart(t)
	e.Docker(t, "start", "router", "c1")
	lend()
	e.Inside("c1").Ping(t, behind)
	e.Docker(t, "rm", "-f", "router")
	e.Sleep(t, harness.Container{Name: "next", Network: "n1", Args: be})
	e.Inside("c1").Ping(t, gateway)
}
