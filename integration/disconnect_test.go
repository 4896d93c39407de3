package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testDisconnect: a container that leaves one of its networks keeps its statistics
// and the numbers of its interfaces, and what it left is closed to it at once.
func testDisconnect(t *testing.T, e *harness.Engine) {
	own := gangwayIPAM(e)
	e.Network(t, "n1", args(own, []string{"--subnet", "10.89.0.0/24"})...)
	e.Network(t, "n2", args(own, []string{"--subnet", "10.89.1.0/24"})...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1"}, "tcp", "0.0.0.0:80")
	e.Serve(t, harness.Container{Name: "c2", Network: "n2"}, "tcp", "0.0.0.0:80")
	for i := range 3 {
		e.Docker(t, "network", "connect", "n2", "c1")
		second := "eth1"
		if e.Suite != harness.Forky { // older engines never give a number again, with no driver
			second = fmt.Sprintf("eth%d", 1+i)
		}
		if links := interfaces(t, e, "c1"); links != "eth0 "+second {
			t.Errorf("interfaces in two networks: %s, want eth0 %s", links, second)
		}
		by(t, "in the second network", e.Inside("c1").Get(t, "tcp", "c2:80"), "c2")
		e.Docker(t, "network", "disconnect", "n2", "c1")
		if links := interfaces(t, e, "c1"); links != "eth0" {
			t.Errorf("interfaces after the disconnect: %s, want eth0", links)
		}
	}
	from(t, "the network that is left", e.Get(t, "tcp", e.Address(t, "c1", "n1")+":80"), "c1", "10.89.0.1")
	harness.Eventually(t, "docker stats counts", func() error {
		io := e.Docker(t, "stats", "--no-stream", "--format", "{{.NetIO}}", "c1")
		if in, out, _ := strings.Cut(io, " / "); in == "0B" || out == "0B" {
			return fmt.Errorf("NET I/O %s after packets went both ways", io)
		}
		return nil
	})
}

// interfaces lists a container's interfaces besides lo.
func interfaces(t *testing.T, e *harness.Engine, container string) string {
	t.Helper()
	return strings.Join(strings.Fields(e.Exec(t, container, "sh", "-c", "cd /sys/class/net; echo eth*")), " ")
}
