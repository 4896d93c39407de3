package packaging

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// TestStoppedEngine: an engine whose socket systemd holds stays stopped when somebody
// has stopped it: a question for names would start it. Names are back when it is.
func TestStoppedEngine(t *testing.T) {
	t.Parallel()
	e := harness.Boot(t, harness.Bookworm)
	dir := t.TempDir()
	makeIn(t, dir, nil, "build", "VERSION=1")
	run(t, nil, "install", dir+"/gangway", e.Path("/usr/local/bin/gangway"))
	e.Daemon(t, "/usr/local/bin/gangway", "serve")
	harness.Eventually(t, "gangway", func() error {
		_, err := e.Try("gangway", "health")
		return err
	})
	e.UnitIs(t, "docker.socket", "active")
	e.Docker(t, "network", "create", "-d", "gangway", "front")
	t.Cleanup(func() { e.Docker(t, "network", "rm", "front") })
	id := e.Docker(t, "network", "inspect", "-f", "{{.Id}}", "front")
	called := func(want string) {
		t.Helper()
		harness.Eventually(t, "name "+want, func() error {
			out, err := e.Try("gangway", "networks", "--format", "{{.Name}}")
			if err == nil && out != want {
				err = fmt.Errorf("it is %q", out)
			}
			return err
		})
	}
	called("front")
	// The engine is asked a second after a network was made, whatever becomes of it.
	harness.Eventually(t, "the network's engine", func() error {
		var networks []struct{ Engine string }
		if err := json.Unmarshal([]byte(e.Run(t, "gangway", "networks", "--json")), &networks); err != nil {
			return err
		}
		if len(networks) != 1 || networks[0].Engine == "" {
			return fmt.Errorf("%+v", networks)
		}
		return nil
	})

	e.Run(t, "systemctl", "stop", "docker.service")
	called(id[:12])
	checks := func() uint64 {
		var status struct{ Checks uint64 }
		if err := json.Unmarshal([]byte(e.Run(t, "gangway", "status", "--json")), &status); err != nil {
			t.Fatal(err)
		}
		return status.Checks
	}
	first := checks()
	harness.Eventually(t, "two more checks, seconds apart", func() error {
		if checks() < first+2 {
			return errors.New("not yet")
		}
		return nil
	})
	if state, _ := e.Try("systemctl", "is-active", "docker.service"); state != "inactive" {
		t.Errorf("the engine is %s", state)
	}
	e.Run(t, "systemctl", "start", "docker.service")
	called("front")
}
