package packaging

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// demoWords are what a demo that worked has said.
var demoWords = []string{
	"Hello from container web. You are 198.51.100.2.",
	"10.123.0.2:80",
	"map port4",
	"make demo-clean",
}

func said(t *testing.T, out string) {
	t.Helper()
	for _, word := range demoWords {
		if !strings.Contains(out, word) {
			t.Errorf("no %q in:\n%s", word, out)
		}
	}
}

// TestDemoPrivate: where no engine runs the demo starts a private one, and
// leaves nothing on the machine, also after it failed half-way.
func TestDemoPrivate(t *testing.T) {
	makeDefault(t)
	// Nobody answers there, so it does not use an engine of the machine.
	env := []string{"DOCKER_HOST=unix:///nonexistent/docker.sock", "DEMO=gangway-demo-test"}
	before := machine(t)
	down := func() {
		t.Helper()
		run(t, env, "scripts/demo.sh", "down")
		if _, err := os.Stat("/var/lib/gangway-demo-test"); err == nil {
			t.Error("files are left")
		}
		groups, err := filepath.Glob("/sys/fs/cgroup/*/gangway-demo-test")
		if err != nil || len(groups) > 0 {
			t.Errorf("cgroups are left: %v, %v", groups, err)
		}
		if diff := before.Diff(machine(t)); diff != "" {
			t.Errorf("left on the machine:\n%s", diff)
		}
	}
	t.Cleanup(down)
	out, err := try(t, append(env, "PORT=99999"), "scripts/demo.sh", "up")
	if err == nil || !strings.Contains(out, "make demo-clean") {
		t.Errorf("a port that does not exist: %v:\n%s", err, out)
	}
	down()
	said(t, run(t, env, "scripts/demo.sh", "up"))
	// Again, in place of the first one.
	said(t, run(t, append(env, "PORT=8081"), "scripts/demo.sh", "up"))
}

// machine is what the demo could leave on the machine. Processes are told by
// their arguments, as other engines may run.
func machine(t *testing.T) harness.Snapshot {
	t.Helper()
	all := harness.Machine(t)
	s := harness.Snapshot{"links": all["links"], "mounts": all["mounts"]}
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(line), "/var/lib/gangway-demo-test") {
			s["processes"] = append(s["processes"], strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return s
}

// TestDemoLocal: where an engine runs the demo uses it and leaves it as it was,
// with the plugin if it was installed before.
func TestDemoLocal(t *testing.T) {
	makeDefault(t)
	e := harness.Start(t, harness.Config{Suite: harness.Forky, Driver: harness.Managed})
	const inside = "/srv/project"
	run(t, nil, "mkdir", "-p", e.Path(inside+"/build"))
	run(t, nil, "cp", "-a", "scripts", e.Path(inside+"/"))
	run(t, nil, "cp", "-a", "build/gangway", "build/plugin", e.Path(inside+"/build/"))
	demo := func(verb string) string { return e.Run(t, "sh", inside+"/scripts/demo.sh", verb) }

	said(t, demo("up"))
	demo("down")
	if names := e.Docker(t, "plugin", "ls", "--format", "{{.Name}}"); names != "gangway:latest" {
		t.Errorf("plugins after the demo: %q, want the one from before", names)
	}
	before := e.Snapshot(t)
	said(t, demo("up"))
	demo("down")
	e.Unchanged(t, before)

	e.Docker(t, "plugin", "rm", "-f", "gangway")
	said(t, demo("up"))
	demo("down")
	if names := e.Docker(t, "plugin", "ls", "--format", "{{.Name}}"); names != "" {
		t.Errorf("plugins after the demo: %q", names)
	}
	if images := e.Docker(t, "images", "-q"); strings.Contains(images, "\n") {
		t.Errorf("images after the demo: %q, want the test's", images)
	}
}

// makeDefault makes the plugin where the demo takes it from.
func makeDefault(t *testing.T) {
	t.Helper()
	run(t, nil, "make", "plugin")
}
