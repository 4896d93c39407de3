package packaging

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// rpmArch is this machine's name among rpm's.
func rpmArch() string {
	return map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
}

// rpmOnHost is a package's life on a host that systemd runs, with an engine, where rpm
// runs the package's scripts: installed, started by the administrator, upgraded under a
// running container, removed with a network, installed again, and put back to the older
// version while it is disabled. Debian's engine and systemd stand for Red Hat's, and the
// preset is theirs: what nobody has named stays off.
func rpmOnHost(t *testing.T, first, second packages) {
	d := debian{harness.Boot(t, harness.Trixie)}
	run(t, nil, "cp", first.file(t, rpmArch()+".rpm"), d.Path("/root/first.rpm"))
	run(t, nil, "cp", second.file(t, rpmArch()+".rpm"), d.Path("/root/second.rpm"))
	const presets = "/etc/systemd/system-preset"
	run(t, nil, "mkdir", "-p", d.Path(presets))
	if err := os.WriteFile(d.Path(presets+"/00-default.preset"), []byte("disable *\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func() { d.Run(t, "systemctl", "enable", "--now", "gangway.socket", "gangway.service") }

	if said := d.rpm(t, "-i", "/root/first.rpm"); !strings.Contains(said, "systemctl enable --now gangway.socket gangway.service") {
		t.Errorf("the installation does not say how to start it:\n%s", said)
	}
	d.enabled(t, "disabled")
	d.UnitIs(t, "gangway.service", "inactive")
	start()
	d.serves(t, older, 0)
	d.Network(t, "n1", "--subnet", "10.90.0.0/24")
	d.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: []string{"-p", "8000:80"}}, "tcp", "0.0.0.0:80")
	d.c1Answers(t, "after the installation")

	d.upgrade(t, func() { d.rpm(t, "-U", "/root/second.rpm") })

	if said := d.rpm(t, "-e", "gangway"); !strings.Contains(said, "without their driver: n1") {
		t.Errorf("nothing is said of the network n1:\n%s", said)
	}
	d.UnitIs(t, "gangway.service", "inactive")
	if left := d.Run(t, "sh", "-c", "ls -d /usr/bin/gangway /run/docker/plugins/gangway* 2>/dev/null || true"); left != "" {
		t.Errorf("left after the removal: %s", left)
	}
	d.Run(t, "sh", "-c", "ls -A /var/lib/gangway | grep . && grep debug /etc/default/gangway.rpmsave")
	d.c1Answers(t, "after the removal")

	d.rpm(t, "-i", "/root/second.rpm")
	start()
	d.serves(t, newer, 1)
	d.c1Answers(t, "after the package was installed again")
	d.Run(t, "systemctl", "disable", "--now", "gangway.socket", "gangway.service")
	d.rpm(t, "-U", "--oldpackage", "/root/first.rpm")
	d.enabled(t, "disabled")
	d.UnitIs(t, "gangway.service", "inactive")
	start()
	d.serves(t, older, 1)
	d.c1Answers(t, "after the older version was put back")
}

// rpm runs rpm, and returns what it says. On Debian it knows no package that anything
// could need.
func (d debian) rpm(t *testing.T, args ...string) string {
	t.Helper()
	out, err := d.Try(append([]string{"sh", "-c", `rpm "$@" 2>&1`, "sh", args[0], "--nodeps"}, args[1:]...)...)
	if err != nil || strings.Contains(out, "scriptlet failed") {
		t.Fatalf("rpm %v: %v\n%s", args, err, out)
	}
	t.Logf("rpm %s:\n%s", strings.Join(args, " "), out)
	return out
}
