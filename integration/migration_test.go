package integration

import (
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
)

// testMigration: the recipe of docs/migration.md moves a running container from the
// built-in driver to gangway and back, with its address and published port, and what
// it leaves outlives restarts of the container and of the engine, and a reboot.
func testMigration(t *testing.T, e *harness.Engine) {
	builtin := *e
	builtin.Driver = string(harness.Builtin)
	builtin.Network(t, "front", "--subnet", "10.97.0.0/24", "--gateway", "10.97.0.1")
	e.Serve(t, harness.Container{Name: "web", Network: "front", Args: append(publish("8000:80"), "--restart", "always")}, "tcp", "0.0.0.0:80")
	answers(t, e, "with the built-in driver")
	for _, driver := range []string{e.Driver, builtin.Driver} {
		migrate(t, e, driver)
		answers(t, e, "after the move to "+driver)
		e.Docker(t, "restart", "-t", "1", "web")
		answers(t, e, "after docker restart")
		e.Restart(t)
		answers(t, e, "after a restart of the engine")
		if driver == e.Driver {
			reboot(t, e)
			e.StartEngine(t)
			answers(t, e, "after a reboot")
			warmUp(t, e)
		}
	}
}

// migrate is the recipe, command by command.
func migrate(t *testing.T, e *harness.Engine, driver string) {
	t.Helper()
	address := e.Address(t, "web", "front")
	e.Docker(t, "network", "disconnect", "front", "web")
	e.Docker(t, "network", "rm", "front")
	e.Docker(t, "network", "create", "-d", driver, "--subnet", "10.97.0.0/24", "--gateway", "10.97.0.1", "front")
	e.Docker(t, "network", "connect", "--ip", address, "front", "web")
}

func answers(t *testing.T, e *harness.Engine, when string) {
	t.Helper()
	harness.Eventually(t, "the published port "+when, func() error {
		_, err := e.LAN.Outside.TryGet("tcp", harness.LanIPv4+":8000", "-timeout", "1s")
		return err
	})
	by(t, "published port "+when, e.LAN.Outside.Get(t, "tcp", harness.LanIPv4+":8000"), "web")
	if got := e.Address(t, "web", "front"); got != "10.97.0.2" {
		t.Errorf("%s web has %s", when, got)
	}
}

// testBothNames: the plain daemon is found under the name with the tag as well, at once,
// by networks, address managers and after a restart of the engine.
func testBothNames(t *testing.T, e *harness.Engine) {
	tagged := *e
	tagged.Driver = string(harness.Managed)
	began := time.Now()
	tagged.Network(t, "n2", "--subnet", "10.96.2.0/24", "--ipam-driver", tagged.Driver)
	t.Logf("the first network of %s after %s", tagged.Driver, time.Since(began))
	e.Network(t, "n1", "--subnet", "10.96.1.0/24", "--ipam-driver", e.Driver)
	for _, names := range [][2]string{{"n2", e.Driver}, {"n1", tagged.Driver}} {
		e.Refused(t, []string{"subnet 10.96."}, "network", "create", "-d", names[1], "--ipam-driver", names[1], "--subnet", e.Docker(t, "network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", names[0]), "n3")
	}
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: append(publish("8001:80"), "--restart", "always")}, "tcp", "0.0.0.0:80")
	e.Serve(t, harness.Container{Name: "c2", Network: "n2", Args: append(publish("8002:80"), "--restart", "always")}, "tcp", "0.0.0.0:80")
	both := func() {
		t.Helper()
		for port, name := range map[string]string{"8001": "c1", "8002": "c2"} {
			harness.Eventually(t, name, func() error {
				_, err := e.LAN.Outside.TryGet("tcp", harness.LanIPv4+":"+port, "-timeout", "1s")
				return err
			})
			by(t, "port "+port, e.LAN.Outside.Get(t, "tcp", harness.LanIPv4+":"+port), name)
		}
	}
	both()
	e.Restart(t)
	both()
	e.KillGangway(t)
	e.StartGangway(t)
	both()
	e.Docker(t, "restart", "-t", "1", "c2")
	both()
}
