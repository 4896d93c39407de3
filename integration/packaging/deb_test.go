package packaging

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
)

// debian is a host of a suite, which systemd runs, with the suite's engine.
type debian struct{ *harness.Engine }

// debLife is a package's life on a host: installed, upgraded under a running container,
// removed with a network, installed again, purged.
func debLife(t *testing.T, suite harness.Suite, first, second packages) {
	d := debian{harness.Boot(t, suite)}
	run(t, nil, "cp", first.file(t, ".deb", runtime.GOARCH), d.Path("/root/first.deb"))
	run(t, nil, "cp", second.file(t, ".deb", runtime.GOARCH), d.Path("/root/second.deb"))
	d.apt(t, "install", "/root/first.deb")
	d.serves(t, older, 0)
	d.enabled(t, "enabled")
	d.apiIs(t, "disabled", "inactive")
	d.Run(t, "systemctl", "enable", "--now", "gangway-api.service")
	d.Network(t, "n1", "--subnet", "10.90.0.0/24")
	d.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: []string{"-p", "8000:80"}}, "tcp", "0.0.0.0:80")
	d.c1Answers(t, "after the installation")
	d.refusesSource(t)

	api := d.Run(t, "systemctl", "show", "--property", "MainPID", "gangway-api.service")
	d.upgrade(t, func() { d.apt(t, "install", "/root/second.deb") })
	d.apiIs(t, "enabled", "active")
	if d.Run(t, "systemctl", "show", "--property", "MainPID", "gangway-api.service") == api {
		t.Error("the second API socket is served by the version before")
	}
	d.remove(t)
	d.UnitIs(t, "gangway-api.service", "inactive")
	d.apt(t, "install", "/root/second.deb")
	d.serves(t, newer, 1)
	d.c1Answers(t, "after the package was installed again")
	d.stayDisabled(t)
	d.Docker(t, "rm", "-f", "c1")
	d.Docker(t, "network", "rm", "n1")
	d.purge(t)
	if suite == harness.Bookworm {
		d.besidePlugin(t)
	} else {
		d.pushed(t, first)
	}
}

// apt runs apt-get, which asks nothing, and returns what it says.
func (d debian) apt(t *testing.T, args ...string) string {
	t.Helper()
	out, err := d.Try(append([]string{"sh", "-c", `DEBIAN_FRONTEND=noninteractive apt-get -y --no-install-recommends "$@" 2>&1`, "sh"}, args...)...)
	if err != nil {
		t.Fatalf("apt-get %v: %v\n%s", args, err, out)
	}
	t.Logf("apt-get %s:\n%s", strings.Join(args, " "), out)
	return out
}

// serves waits until the daemon of a version works, with so many networks.
func (d debian) serves(t *testing.T, version string, networks int) {
	t.Helper()
	d.UnitIs(t, "gangway.socket", "active")
	d.UnitIs(t, "gangway.service", "active")
	harness.Eventually(t, "the daemon works", func() error {
		var status struct {
			State    string
			Version  struct{ Version string }
			Networks int
		}
		out, err := d.Try("gangway", "status", "--json")
		if err != nil {
			return fmt.Errorf("%w; its journal:\n%s", err, d.Journal("gangway.service"))
		}
		if err = json.Unmarshal([]byte(out), &status); err == nil && (status.State != "ok" || status.Version.Version != version || status.Networks != networks) {
			err = fmt.Errorf("%s", out)
		}
		return err
	})
}

// enabled checks in which state both units will be found at the next boot.
func (d debian) enabled(t *testing.T, want string) {
	t.Helper()
	for _, unit := range []string{"gangway.socket", "gangway.service"} {
		if got, _ := d.Try("systemctl", "is-enabled", unit); got != want {
			t.Errorf("%s is %s, want %s", unit, got, want)
		}
	}
}

// apiIs checks the unit that only the administrator enables.
func (d debian) apiIs(t *testing.T, enabled, active string) {
	t.Helper()
	if got, _ := d.Try("systemctl", "is-enabled", "gangway-api.service"); got != enabled {
		t.Errorf("gangway-api.service is %s, want %s", got, enabled)
	}
	d.UnitIs(t, "gangway-api.service", active)
}

func (d debian) c1Answers(t *testing.T, when string) {
	t.Helper()
	if answer := d.LAN.Outside.Get(t, "tcp", harness.LanIPv4+":8000"); answer.Host != "c1" {
		t.Errorf("%s: %s", when, answer)
	}
}

// refusesSource: make install-daemon does not put its units before the package's.
func (d debian) refusesSource(t *testing.T) {
	t.Helper()
	run(t, nil, "mkdir", d.Path("/root/source"))
	run(t, nil, "cp", "-a", "scripts", "packaging", d.Path("/root/source/"))
	out, err := d.Try("sh", "-c", "sh /root/source/scripts/daemon.sh install /usr/bin/gangway 2>&1")
	if err == nil || !strings.Contains(out, "the package gangway is installed") {
		t.Errorf("make install-daemon beside the package: %v\n%s", err, out)
	}
}

// upgrade: what runs does not notice, settings stay and nobody is asked about them.
// install puts the newer package in the place of the older one.
func (d debian) upgrade(t *testing.T, install func()) {
	t.Helper()
	d.Run(t, "sh", "-c", "echo GANGWAY_LOG_LEVEL=debug >>/etc/default/gangway")
	stream := d.LAN.Outside.Stream(t, harness.LanIPv4+":8000")
	questions := d.LAN.Outside.Repeat(t, "tcp", harness.LanIPv4+":8000")
	install()
	d.serves(t, newer, 1)
	d.enabled(t, "enabled")
	if longest := stream.Stop(t); longest > 5*time.Second {
		t.Errorf("a connection stood still for %s during the upgrade", longest)
	}
	t.Logf("%d questions during the upgrade, none lost", questions.Stop(t))
	d.c1Answers(t, "after the upgrade")
	if log := d.Journal("gangway.service"); !strings.Contains(log, "level=debug") {
		t.Errorf("the setting is not in force:\n%s", log)
	}
}

// remove: it tells of the network that is left and goes on. State and settings stay.
func (d debian) remove(t *testing.T) {
	t.Helper()
	if out := d.apt(t, "remove", "gangway"); !strings.Contains(out, "without their driver: n1") {
		t.Error("nothing is said of the network n1")
	}
	d.UnitIs(t, "gangway.service", "inactive")
	if left := d.Run(t, "sh", "-c", "ls -d /usr/bin/gangway /run/docker/plugins/gangway* 2>/dev/null || true"); left != "" {
		t.Errorf("left after the removal: %s", left)
	}
	d.Run(t, "sh", "-c", "ls -A /var/lib/gangway | grep . && grep debug /etc/default/gangway")
	d.c1Answers(t, "after the removal")
}

// stayDisabled: what the administrator has disabled stays so.
func (d debian) stayDisabled(t *testing.T) {
	t.Helper()
	d.Run(t, "systemctl", "disable", "--now", "gangway.socket", "gangway.service")
	d.apt(t, "install", "--reinstall", "/root/second.deb")
	d.enabled(t, "disabled")
	d.UnitIs(t, "gangway.service", "inactive")
	d.Run(t, "systemctl", "enable", "--now", "gangway.socket", "gangway.service")
	d.serves(t, newer, 1)
}

// purge leaves nothing.
func (d debian) purge(t *testing.T) {
	t.Helper()
	if out := d.apt(t, "purge", "gangway"); strings.Contains(out, "without their driver") {
		t.Error("networks are said to be left where there is none")
	}
	if left := d.Run(t, "sh", "-c", "find / -xdev -name '*gangway*' ! -path /.gangway-packages ! -path '/opt/*' ! -path '/proc/*' ! -path '/root/*' ! -path '/var/log/*'; pidof gangway || true"); left != "" {
		t.Errorf("left after the purge:\n%s", left)
	}
}

// besidePlugin: where the managed plugin serves, the package starts nothing, now or at
// the next boot, until somebody says so.
func (d debian) besidePlugin(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	makeIn(t, dir, nil, "plugin")
	run(t, nil, "cp", "-a", dir+"/plugin", d.Path("/root/plugin"))
	d.Docker(t, "plugin", "create", "gangway", "/root/plugin")
	d.Docker(t, "plugin", "enable", "gangway")
	for _, file := range []string{"first", "second"} {
		if out := d.apt(t, "install", "/root/"+file+".deb"); !strings.Contains(out, "not started: this host is served by the managed plugin") {
			t.Errorf("nothing is said of the plugin when the %s is installed", file)
		}
		d.enabled(t, "disabled")
		d.UnitIs(t, "gangway.service", "inactive")
	}
	d.Docker(t, "network", "create", "-d", string(harness.Managed), "n2")
	d.Docker(t, "network", "rm", "n2")
	d.Docker(t, "plugin", "rm", "-f", "gangway")
	d.Run(t, "systemctl", "enable", "--now", "gangway.socket", "gangway.service")
	d.serves(t, newer, 0)
}

// pushed: make push takes the plugin of either architecture from what make packages
// built, and the engine installs its own from the registry.
func (d debian) pushed(t *testing.T, p packages) {
	t.Helper()
	startRegistry(t, d.Engine)
	for _, arch := range []string{"amd64", "arm64"} {
		run(t, []string{"DOCKER_HOST=unix://" + d.Path("/run/docker.sock")}, "make", "push",
			"PACKAGE="+p.file(t, "gangway-plugin", arch, ".tar.gz"), "REGISTRY="+registry+"/net", "TAG="+p.version+"-"+arch)
	}
	d.Docker(t, "plugin", "install", "--alias", "gangway", "--grant-all-permissions", registry+"/net/gangway:"+p.version+"-"+runtime.GOARCH)
	d.Docker(t, "network", "create", "-d", string(harness.Managed), "n3")
	d.Docker(t, "run", "--rm", "--network", "n3", harness.Image, "true")
	d.Docker(t, "network", "rm", "n3")
	d.Docker(t, "plugin", "rm", "-f", "gangway")
}
