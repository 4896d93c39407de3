package integration

import (
	"strconv"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testPromiscuous: a container that watches gets what two others send each other, and one beside it
// does not; also of a container that comes later, and after somebody took the copies away. A
// network that keeps its containers from each other refuses it.
func testPromiscuous(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.75.0.0/24")
	e.Serve(t, harness.Container{Name: "server", Network: "n1"}, "source", "0.0.0.0:9100")
	e.Sleep(t, harness.Container{Name: "ids", Network: "name=n1,driver-opt=gangway.promiscuous=true"})
	e.Sleep(t, harness.Container{Name: "beside", Network: "n1"})
	e.Sleep(t, harness.Container{Name: "client", Network: "n1"})
	got := func(container string) (bytes float64) {
		t.Helper()
		bytes, err := strconv.ParseFloat(strings.TrimSpace(e.Exec(t, container, "cat", "/sys/class/net/eth0/statistics/rx_bytes")), 64)
		if err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	const much = 3 << 20 // as many bytes pass at least, see probe rate
	seen := func() (ids, beside bool) {
		t.Helper()
		wasIDs, wasBeside := got("ids"), got("beside")
		e.Exec(t, "client", "probe", "rate", "-for", "100ms", "in", e.Address(t, "server", "n1")+":9100")
		return got("ids")-wasIDs > much/2, got("beside")-wasBeside > much/2
	}
	if ids, beside := seen(); !ids || beside {
		t.Errorf("who watches sees the others: %t, who does not: %t", ids, beside)
	}
	port := portOf(t, e, e.Links(t), "server")
	e.Run(t, "tc", "filter", "del", "dev", port, "ingress", "pref", "18262")
	harness.Eventually(t, "copies", func() error {
		_, err := e.Try("sh", "-c", "tc filter show dev "+port+" ingress pref 18262 | grep -q mirred")
		return err
	})
	if ids, _ := seen(); !ids {
		t.Error("who watches sees nothing after the repair")
	}
	e.Docker(t, "rm", "-f", "ids")
	if left := e.Run(t, "sh", "-c", "tc filter show dev "+port+" ingress pref 18262"); left != "" {
		t.Errorf("without who watches: %s", left)
	}
	e.Network(t, "n2", "--subnet", "10.76.0.0/24", "-o", "com.docker.network.bridge.enable_icc=false")
	err := e.TryStart(t, harness.Container{Name: "refused", Network: "name=n2,driver-opt=gangway.promiscuous=true"}, "true")
	if err == nil || !strings.Contains(err.Error(), "gangway.promiscuous") {
		t.Errorf("on a network without ICC: %v", err)
	}
}
