package packaging

import (
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// TestInstall: make install and make uninstall put the plugin into an engine,
// replace it and take it out, and leave one alone that has networks.
func TestInstall(t *testing.T) {
	e := harness.Start(t, harness.Config{Suite: harness.Trixie, Driver: harness.Builtin})
	e.Driver = string(harness.Managed)
	dir := t.TempDir()
	env := []string{"DOCKER_HOST=unix://" + e.Path("/run/docker.sock")}
	makeIn(t, dir, env, "install", "VERSION=1")
	makeIn(t, dir, env, "install", "VERSION=2")
	e.Docker(t, "network", "create", "-d", e.Driver, "n1")
	for _, target := range []string{"install", "uninstall"} {
		out, err := try(t, env, "make", "BINARY="+dir+"/gangway", "PLUGIN="+dir+"/plugin", "DESTDIR="+dir, target)
		if err == nil || !strings.Contains(out, "docker network rm n1") {
			t.Errorf("make %s with a network: %v\n%s", target, err, out)
		}
	}
	e.Docker(t, "network", "inspect", "n1")
	e.Docker(t, "run", "--rm", "--network", "n1", harness.Image, "true")
	e.Docker(t, "network", "rm", "n1")
	makeIn(t, dir, env, "uninstall", "DESTDIR="+dir)
	if left := e.Docker(t, "plugin", "ls", "-q"); left != "" {
		t.Errorf("make uninstall left plugin %s", left)
	}
}
