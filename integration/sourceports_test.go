package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
)

// testSourcePorts: what containers send out gets no port as its source that is published,
// from the start of the container on, nor one on which the host listens, soon.
func testSourcePorts(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", args(gangwayIPAM(e), []string{"--subnet", "10.73.0.0/24"})...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("60000:8080/udp")}, "udp", "0.0.0.0:8080")
	if err := sourcePorts(t, e, "32768-59391"); err != nil {
		t.Error(err)
	}
	e.Host.Serve(t, "udp", "0.0.0.0:51820")
	// Three checks of everything, which are 30 s apart at most.
	harness.EventuallyWithin(t, 2*time.Minute, "the host's own port is left out", func() error { return sourcePorts(t, e, "32768-51199") })
	from(t, "published", e.LAN.Outside.Get(t, "udp", harness.LanIPv4+":60000"), "c1", e.LAN.Outside.IPv4)
	by(t, "the host's own", e.LAN.Outside.Get(t, "udp", harness.LanIPv4+":51820"), e.Name)
	e.LAN.Outside.Serve(t, "udp", "0.0.0.0:99")
	from(t, "out", e.Inside("c1").Get(t, "udp", "192.0.2.2:99"), "outside", harness.LanIPv4)
	if status := e.Gangway(t, "status"); strings.Contains(status, "degraded") {
		t.Errorf("gangway status:\n%s", status)
	}
}

// sourcePorts demands a range of source ports for UDP in the rules.
func sourcePorts(t *testing.T, e *harness.Engine, want string) error {
	t.Helper()
	rules := e.Run(t, "sh", "-c", "nft list table inet gangway 2>/dev/null; iptables-save; iptables-legacy-save 2>/dev/null || true")
	if strings.Contains(rules, "udp ip saddr @masquerade4 masquerade to :"+want+" ") || strings.Contains(rules, "-p udp -j MASQUERADE --to-ports "+want+" ") {
		return nil
	}
	return fmt.Errorf("no rule for %s", want)
}
