package packaging

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
)

// project is where the scripts and what they install are on an engine's host.
const project = "/srv/project"

// local is an engine whose host has the project.
type local struct{ *harness.Engine }

// startLocal starts an engine without the plugin and gives its host the project, with
// the programs that scripts need and that the engine's tree does not have.
func startLocal(t *testing.T, suite harness.Suite, driver harness.Driver) local {
	t.Helper()
	l := local{harness.Start(t, harness.Config{Suite: suite, Driver: driver})}
	run(t, nil, "mkdir", "-p", l.Path(project+"/bin"))
	run(t, nil, "cp", "-a", "scripts", "packaging", l.Path(project+"/"))
	registry, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Fatal(err)
	}
	run(t, nil, "cp", registry, l.Path(project+"/bin/"))
	return l
}

// build puts a version of the plugin's folder there.
func (l local) build(t *testing.T, version string) {
	t.Helper()
	dir := t.TempDir()
	makeIn(t, dir, nil, "plugin", "VERSION="+version)
	run(t, nil, "rm", "-rf", l.Path(project+"/build"))
	run(t, nil, "mkdir", l.Path(project+"/build"))
	run(t, nil, "cp", "-a", dir+"/plugin", dir+"/gangway", l.Path(project+"/build/"))
}

// script runs what make install, upgrade and uninstall run.
func (l local) script(args ...string) (string, error) {
	return l.Try(append([]string{"env", "PATH=" + project + "/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-c", `"$@" 2>&1`, "sh", "sh", project + "/scripts/install-plugin.sh"}, args...)...)
}

func (l local) mustScript(t *testing.T, args ...string) {
	t.Helper()
	if out, err := l.script(args...); err != nil {
		t.Fatalf("install-plugin.sh %v: %v\n%s", args, err, out)
	}
}

// status is what the daemon says.
func (l local) status(t *testing.T) (version string, networks int) {
	t.Helper()
	var status struct {
		Version  struct{ Version string }
		Networks int
	}
	if err := json.Unmarshal([]byte(l.Run(t, project+"/build/gangway", "status", "--json")), &status); err != nil {
		t.Fatal(err)
	}
	return status.Version.Version, status.Networks
}

// TestInstall: make install and make uninstall put the plugin into an engine,
// replace it and take it out, and leave one alone that has networks.
func TestInstall(t *testing.T) {
	t.Parallel()
	l := startLocal(t, harness.Trixie, harness.Builtin)
	l.Driver = string(harness.Managed)
	if out, err := l.script("--upgrade", project+"/build/plugin"); err == nil || !strings.Contains(out, "make install") {
		t.Errorf("an upgrade of nothing: %v\n%s", err, out)
	}
	for _, version := range []string{"1", "2"} {
		l.build(t, version)
		l.mustScript(t, project+"/build/plugin")
		l.Run(t, "sh", project+"/scripts/command.sh", "install", project+"/build/gangway")
		if said := l.Docker(t, "gangway", "version"); strings.Count(said, " "+version+",") != 2 {
			t.Errorf("docker gangway version says\n%s", said)
		}
		if got, _ := l.status(t); got != version {
			t.Errorf("version %s is installed, want %s", got, version)
		}
	}
	l.Docker(t, "network", "create", "-d", l.Driver, "n1")
	for _, verb := range []string{project + "/build/plugin", "--remove"} {
		out, err := l.script(verb)
		if err == nil || !strings.Contains(out, "docker network rm n1") {
			t.Errorf("install-plugin.sh %s with a network: %v\n%s", verb, err, out)
		}
	}
	l.Docker(t, "network", "inspect", "n1")
	l.Docker(t, "run", "--rm", "--network", "n1", harness.Image, "true")
	l.Docker(t, "network", "rm", "n1")
	l.mustScript(t, "--remove")
	if left := l.Docker(t, "plugin", "ls", "-q"); left != "" {
		t.Errorf("make uninstall left plugin %s", left)
	}
	l.Run(t, "sh", project+"/scripts/command.sh", "uninstall")
	if left, err := l.TryDocker("gangway", "version"); err == nil {
		t.Errorf("docker gangway is left: %s", left)
	}
}

// TestUninstallNoEngine: without an engine there is nobody to ask, and no failure.
func TestUninstallNoEngine(t *testing.T) {
	env := []string{"DOCKER_HOST=unix:///nonexistent/docker.sock"}
	out := run(t, env, "make", "DESTDIR="+t.TempDir(), "uninstall")
	if !strings.Contains(out, "No Docker engine answers") || !strings.Contains(out, "There is no daemon.") {
		t.Errorf("make uninstall says:\n%s", out)
	}
}

// TestUpgrade: make upgrade replaces a plugin that was built here under a running
// container, whose traffic goes on; addresses, networks and settings stay.
func TestUpgrade(t *testing.T) {
	for _, suite := range []harness.Suite{harness.Bookworm, harness.Forky} {
		t.Run(string(suite), func(t *testing.T) {
			t.Parallel()
			l := startLocal(t, suite, harness.Builtin)
			l.Driver = string(harness.Managed)
			l.build(t, "1")
			l.mustScript(t, project+"/build/plugin")
			l.Docker(t, "plugin", "disable", "gangway")
			l.Docker(t, "plugin", "set", "gangway", "GANGWAY_POOLS=10.201.0.0/16:26")
			l.Docker(t, "plugin", "enable", "gangway")
			l.Network(t, "n1", "--subnet", "10.90.0.0/24", "--ipam-driver", l.Driver)
			l.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: []string{"-p", "8000:80"}}, "tcp", "0.0.0.0:80")
			stream := l.LAN.Outside.Stream(t, harness.LanIPv4+":8000")
			questions := l.LAN.Outside.Repeat(t, "tcp", harness.LanIPv4+":8000")

			l.build(t, "2")
			l.mustScript(t, "--upgrade", project+"/build/plugin")
			if version, networks := l.status(t); version != "2" || networks != 1 {
				t.Errorf("version %s with %d networks after the upgrade", version, networks)
			}
			if longest := stream.Stop(t); longest > 5*time.Second {
				t.Errorf("a connection stood still for %s during the upgrade", longest)
			}
			t.Logf("%d questions during the upgrade, none lost", questions.Stop(t))
			l.afterUpgrade(t)
		})
	}
}

// afterUpgrade: what was there is there, and what is new does not take it.
func (l local) afterUpgrade(t *testing.T) {
	t.Helper()
	if names := l.Docker(t, "plugin", "ls", "--format", "{{.Name}} {{.Enabled}}"); names != "gangway:latest true" {
		t.Errorf("plugins after the upgrade: %q", names)
	}
	l.Sleep(t, harness.Container{Name: "c2", Network: "n1"})
	if address := l.Address(t, "c2", "n1"); address != "10.90.0.3" {
		t.Errorf("address of a second container: %s", address)
	}
	l.Network(t, "n2", "--ipam-driver", l.Driver)
	if subnet := l.Docker(t, "network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", "n2"); !strings.HasPrefix(subnet, "10.201.") {
		t.Errorf("the pools that were set: %s", subnet)
	}
	if left := l.Run(t, "sh", "-c", "pidof docker-registry || true; ls -A /tmp"); left != "" {
		t.Errorf("the upgrade left %q", left)
	}
	for _, c := range []string{"c1", "c2"} {
		l.Docker(t, "rm", "-f", c)
	}
	l.Docker(t, "network", "rm", "n1", "n2")
}

// TestInstallBeside: where one form serves, installing the other is refused at once and
// changes nothing, and a plugin that is enabled all the same says so, until it is alone.
func TestInstallBeside(t *testing.T) {
	t.Parallel()
	l := startLocal(t, harness.Forky, harness.Daemon)
	l.build(t, "1")
	began := time.Now()
	out, err := l.script(project + "/build/plugin")
	if err == nil || !strings.Contains(out, "the plain daemon serves this host") || l.Docker(t, "plugin", "ls", "-q") != "" {
		t.Errorf("make install beside a daemon: %v after %s\n%s", err, time.Since(began), out)
	}
	t.Logf("refused after %s", time.Since(began))

	l.Docker(t, "plugin", "create", "gangway", project+"/build/plugin")
	l.Docker(t, "plugin", "enable", "gangway")
	l.Refused(t, []string{"another gangway", "stop it first"}, "network", "create", "-d", string(harness.Managed), "n1")
	l.StopGangway(t)
	harness.Eventually(t, "the plugin works", func() error {
		_, failed := l.TryDocker("network", "create", "-d", string(harness.Managed), "n1")
		return failed
	})
	l.Docker(t, "network", "rm", "n1")

	out, err = l.Try("sh", "-c", `"$@" 2>&1`, "sh", "sh", project+"/scripts/daemon.sh", "install", project+"/build/gangway")
	if err == nil || !strings.Contains(out, "the managed plugin serves this host") {
		t.Errorf("make install-daemon beside a plugin: %v\n%s", err, out)
	}
	if _, err := l.Try("test", "-e", "/usr/local/bin/gangway"); err == nil {
		t.Error("the daemon was installed")
	}
	l.Docker(t, "plugin", "rm", "-f", "gangway")
	l.StartGangway(t)
}

// TestMistypedSetting: a plugin with a setting that is wrong starts, and says what is
// wrong to who uses it; corrected, it works.
func TestMistypedSetting(t *testing.T) {
	for _, suite := range []harness.Suite{harness.Bookworm, harness.Forky} {
		t.Run(string(suite), func(t *testing.T) {
			t.Parallel()
			e := harness.Start(t, harness.Config{Suite: suite, Driver: harness.Managed})
			for _, setting := range [][2]string{{"GANGWAY_LOG_LEVEL=verbose", "GANGWAY_LOG_LEVEL=info"}, {"GANGWAY_POOLS=10.0.0.0", "GANGWAY_POOLS="}} {
				e.Docker(t, "plugin", "disable", "gangway")
				e.Docker(t, "plugin", "set", "gangway", setting[0])
				e.Docker(t, "plugin", "enable", "gangway")
				name, _, _ := strings.Cut(setting[0], "=")
				e.Refused(t, []string{name, "docker plugin set"}, "network", "create", "-d", e.Driver, "n1")
				e.Refused(t, []string{name}, "network", "create", "--ipam-driver", e.Driver, "n1")
				if out, err := e.TryGangway("status"); err == nil || !strings.Contains(out, name) || !strings.Contains(out, "problem") {
					t.Errorf("gangway status: %v\n%s", err, out)
				}
				if log := e.Run(t, "sh", "-c", "pidof gangway | wc -w"); log != "1" {
					t.Errorf("%s processes", log)
				}
				e.Docker(t, "plugin", "disable", "gangway")
				e.Docker(t, "plugin", "set", "gangway", setting[1])
				e.Docker(t, "plugin", "enable", "gangway")
				e.Network(t, "n1")
				e.Docker(t, "run", "--rm", "--network", "n1", harness.Image, "true")
				e.Docker(t, "network", "rm", "n1")
			}
		})
	}
}
