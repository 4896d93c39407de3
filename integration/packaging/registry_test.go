package packaging

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
)

// registry is where the engine finds the registry: loopback needs no TLS.
const registry = "127.0.0.1:5000"

// TestRegistry is the plugin's life as a user sees it, on every engine: pushed,
// installed, used, upgraded under a running container, removed.
func TestRegistry(t *testing.T) {
	for _, suite := range harness.Suites() {
		t.Run(string(suite), func(t *testing.T) {
			t.Parallel()
			e := harness.Start(t, harness.Config{Suite: suite, Driver: harness.Builtin})
			e.Driver = string(harness.Managed)
			startRegistry(t, e)
			dir := t.TempDir()
			for _, version := range []string{"1.0.0", "2.0.0"} {
				push(t, e, dir, version)
			}
			// iptables keeps a table that was used once, so the first time differs.
			installed(t, e, func() {
				e.Docker(t, "network", "create", "-d", e.Driver, "n0")
				e.Docker(t, "run", "--rm", "--network", "n0", "-p", "9:9", harness.Image, "true")
				e.Docker(t, "network", "rm", "n0")
			})
			before := e.Snapshot(t)
			installed(t, e, func() { upgrade(t, e, filepath.Join(dir, "gangway")) })
			e.Unchanged(t, before)
		})
	}
}

// installed runs f while version 1.0.0 is installed, and removes the plugin.
func installed(t *testing.T, e *harness.Engine, f func()) {
	t.Helper()
	e.Docker(t, "plugin", "install", "--alias", "gangway", "--grant-all-permissions", registry+"/net/gangway:1.0.0")
	f()
	e.Docker(t, "plugin", "disable", "gangway")
	e.Docker(t, "plugin", "rm", "gangway")
}

// upgrade upgrades from 1.0.0 to 2.0.0 with a network in use.
func upgrade(t *testing.T, e *harness.Engine, program string) {
	ask := answers(t, e, program)
	if v := ask("1.0.0"); v != 0 {
		t.Errorf("%d networks at the start", v)
	}
	e.Network(t, "n1", "--subnet", "10.90.0.0/24", "--ipam-driver", e.Driver)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: []string{"-p", "8000:80"}}, "tcp", "0.0.0.0:80")
	stream := e.LAN.Outside.Stream(t, harness.LanIPv4+":8000")
	questions := e.LAN.Outside.Repeat(t, "tcp", harness.LanIPv4+":8000")

	// A plugin with networks can only be disabled by force.
	e.Refused(t, []string{"gangway"}, "plugin", "disable", "gangway")
	e.Docker(t, "plugin", "disable", "--force", "gangway")
	e.Docker(t, "plugin", "upgrade", "--grant-all-permissions", "--skip-remote-check", "gangway", registry+"/net/gangway:2.0.0")
	e.Docker(t, "plugin", "set", "gangway", "GANGWAY_LOG_LEVEL=debug", "GANGWAY_POOLS=10.201.0.0/16:26")
	e.Docker(t, "plugin", "enable", "gangway")

	if v := ask("2.0.0"); v != 1 {
		t.Errorf("%d networks after the upgrade, want 1", v)
	}
	if longest := stream.Stop(t); longest > 5*time.Second {
		t.Errorf("a connection stood still for %s during the upgrade", longest)
	}
	t.Logf("%d questions during the upgrade, none lost", questions.Stop(t))
	answer := e.LAN.Outside.Get(t, "tcp", harness.LanIPv4+":8000")
	if answer.Host != "c1" || answer.Client.Addr().String() != "192.0.2.2" {
		t.Errorf("answer after the upgrade: %s", answer)
	}
	// The old address is still taken, and the new container sees the old one.
	e.Sleep(t, harness.Container{Name: "c2", Network: "n1"})
	if address := e.Address(t, "c2", "n1"); address != "10.90.0.3" {
		t.Errorf("address of a second container: %s", address)
	}
	e.Inside("c2").Ping(t, "10.90.0.2")
	e.Network(t, "n2", "--ipam-driver", e.Driver)
	e.Sleep(t, harness.Container{Name: "c3", Network: "n2"})
	if address := e.Address(t, "c3", "n2"); !strings.HasPrefix(address, "10.201.0.") {
		t.Errorf("address from the pools that were set: %s", address)
	}
	for _, c := range []string{"c1", "c2", "c3"} {
		e.Docker(t, "rm", "-f", c)
	}
	e.Docker(t, "network", "rm", "n1", "n2")
}

// answers returns a function that checks the daemon's version and returns the
// number of its networks.
func answers(t *testing.T, e *harness.Engine, program string) func(version string) int {
	t.Helper()
	const inside = "/srv/gangway"
	run(t, nil, "cp", program, e.Path(inside))
	return func(version string) int {
		t.Helper()
		var status struct {
			Version  struct{ Version string }
			Networks int
		}
		if err := json.Unmarshal([]byte(e.Run(t, inside, "status", "--json")), &status); err != nil {
			t.Fatal(err)
		}
		if status.Version.Version != version {
			t.Errorf("the daemon is version %q, want %q", status.Version.Version, version)
		}
		return status.Networks
	}
}

// push pushes a version with the machine's make and docker command, which reach
// into the engine.
func push(t *testing.T, e *harness.Engine, dir, version string) {
	t.Helper()
	host := "DOCKER_HOST=unix://" + e.Path("/run/docker.sock")
	out := makeIn(t, dir, []string{host}, "push", "REGISTRY="+registry+"/net", "TAG="+version, "VERSION="+version)
	if want := "docker plugin install --alias gangway"; !strings.Contains(out, want) {
		t.Errorf("make push does not say how to go on:\n%s", out)
	}
	if left := e.Docker(t, "plugin", "ls", "-q"); left != "" {
		t.Errorf("make push left plugin %s", left)
	}
}

// startRegistry serves a registry on loopback of the engine's host.
func startRegistry(t *testing.T, e *harness.Engine) {
	t.Helper()
	dir := t.TempDir()
	config := "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: " + dir + "/data\nhttp:\n  addr: " + registry + "\n"
	if err := os.WriteFile(dir+"/config.yml", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	// The program is the machine's, the network is the engine's.
	network := filepath.Join(filepath.Dir(e.Path("")), "ns", "net")
	cmd := exec.CommandContext(ctx, "nsenter", "--net="+network, "--", "docker-registry", "serve", dir+"/config.yml")
	log, err := os.Create(dir + "/registry.log")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // killed
		if err := log.Close(); err != nil {
			t.Error(err)
		}
		if text, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
			t.Logf("registry:\n%s", text[max(0, len(text)-4000):])
		}
	})
	harness.Eventually(t, "registry", func() error {
		_, err := e.Try("busybox", "wget", "-q", "-O", "-", "http://"+registry+"/v2/")
		return err
	})
}
