package integration

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// secondSocket is the API socket of the second engine on a host.
const secondSocket = "unix:///run/two.sock"

// TestTwoEngines: one daemon serves two engines of one host, with the same names on
// both: it names what each has, and the names of one go with it alone.
func TestTwoEngines(t *testing.T) {
	t.Parallel()
	e := harness.Start(t, harness.Config{Suite: harness.Trixie, Driver: harness.Daemon, Env: []string{"GANGWAY_ENGINE=/run/docker.sock,/run/two.sock"}})
	second := e.Daemon(t, "dockerd", "-H", secondSocket, "--data-root", "/var/lib/docker/two", "--exec-root", "/run/two", "-p", "/run/two.pid", "--bridge", "none", "--iptables=false")
	two := func(args ...string) string {
		t.Helper()
		return e.Docker(t, append([]string{"-H", secondSocket}, args...)...)
	}
	harness.Eventually(t, "the second engine", func() error {
		_, err := e.TryDocker("-H", secondSocket, "version")
		return err
	})
	e.Run(t, "sh", "-c", "docker save "+harness.Image+" | docker -H "+secondSocket+" load")
	e.Network(t, "front", "--subnet", "10.97.1.0/24")
	e.Serve(t, harness.Container{Name: "web", Network: "front", Args: publish("8001:80")}, "tcp", "0.0.0.0:80")
	two("network", "create", "-d", e.Driver, "--subnet", "10.97.2.0/24", "front")
	two("run", "-d", "--init", "--name", "web", "--network", "front", "-p", "8002:80", harness.Image, "probe", "serve", "tcp", "0.0.0.0:80")
	shows := func(want ...string) {
		t.Helper()
		harness.Eventually(t, "names of both engines", func() error {
			out, err := e.TryGangway("ports", "--format", "{{.Port}} {{.Container}} {{.Network}} {{.ContainerID}}")
			if err == nil && !slices.Equal(strings.Split(out, "\n"), want) {
				err = fmt.Errorf("%q, want %q", out, want)
			}
			return err
		})
	}
	first := "8001/tcp web front " + e.Docker(t, "inspect", "-f", "{{.Id}}", "web")[:12]
	shows(first, "8002/tcp web front "+two("inspect", "-f", "{{.Id}}", "web")[:12])
	endpoint, network := two("inspect", "-f", "{{.NetworkSettings.Networks.front.EndpointID}}", "web"), two("network", "inspect", "-f", "{{.Id}}", "front")
	second.Signal(t, syscall.SIGKILL)
	shows(first, "8002/tcp "+endpoint[:12]+" "+network[:12]+" -")
}
