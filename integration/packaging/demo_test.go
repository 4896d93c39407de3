package packaging

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// demoWords are what a demo that worked has said.
var demoWords = []string{
	"Hello from container web. You are 198.51.100.2.",
	"0.0.0.0 (nat)",
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

// demoName is what everything that the test's private demos make starts with. Each clone of the
// project has its own: what a test leaves that was killed stops no other clone.
var demoName = func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("gangway-demo-test-%08x", crc32.ChecksumIEEE([]byte(dir)))
}()

// room is where the demo sees mounts and links of its own: those of others come and
// go on a machine that does other things as well.
type room struct{ pid int }

func startRoom(t *testing.T) room {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--net", "sh", "-c", "echo here; exec sleep infinity")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // killed
	})
	if _, err := io.ReadFull(out, make([]byte, len("here"))); err != nil {
		t.Fatalf("no namespaces of its own: %v", err)
	}
	return room{cmd.Process.Pid}
}

func (r room) try(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	return try(t, env, append([]string{"nsenter", "--target", fmt.Sprint(r.pid), "--mount", "--net", "--"}, args...)...)
}

func (r room) run(t *testing.T, env []string, args ...string) string {
	t.Helper()
	out, err := r.try(t, env, args...)
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return out
}

// machine is what the demo could leave. Processes are told by their arguments.
func (r room) machine(t *testing.T) harness.Snapshot {
	t.Helper()
	lines := func(args ...string) []string { return strings.Split(strings.TrimSpace(r.run(t, nil, args...)), "\n") }
	s := harness.Snapshot{"links": lines("ip", "-br", "link"), "mounts": lines("cat", "/proc/self/mounts")}
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(line), "/var/lib/"+demoName) {
			s["processes"] = append(s["processes"], strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return s
}

// TestDemoPrivate: where no engine runs the demo starts a private one, and
// leaves nothing on the machine, also after it failed half-way. Another clone of the
// project leaves it alone.
func TestDemoPrivate(t *testing.T) {
	makeDefault(t)
	r, script := startRoom(t), root(t)+"/scripts/demo.sh"
	// Nobody answers there, so it does not use an engine of the machine.
	env := []string{"DOCKER_HOST=unix:///nonexistent/docker.sock", "DEMO=" + demoName}
	before := r.machine(t)
	down := func() {
		t.Helper()
		r.run(t, env, script, "down")
		if _, err := os.Stat("/var/lib/" + demoName); err == nil {
			t.Error("files are left")
		}
		groups, err := filepath.Glob("/sys/fs/cgroup/*/" + demoName)
		if err != nil || len(groups) > 0 {
			t.Errorf("cgroups are left: %v, %v", groups, err)
		}
		if diff := before.Diff(r.machine(t)); diff != "" {
			t.Errorf("left on the machine:\n%s", diff)
		}
	}
	t.Cleanup(down)
	out, err := r.try(t, append(env, "PORT=99999"), script, "up")
	if err == nil || !strings.Contains(out, "make demo-clean") {
		t.Errorf("a port that does not exist: %v:\n%s", err, out)
	}
	down()
	said(t, r.run(t, env, script, "up"))
	r.secondClone(t, env)
	// Again, in place of the first one.
	said(t, r.run(t, append(env, "PORT=8081"), script, "up"))
}

// secondClone: another clone's demo, and its clean-up, are refused with the first
// one's folder and the way out, and leave the first one running.
func (r room) secondClone(t *testing.T, env []string) {
	t.Helper()
	clone := t.TempDir()
	run(t, nil, "cp", "-a", "scripts", clone)
	engine := r.run(t, nil, "cat", "/var/lib/"+demoName+"/engine.pid")
	for _, verb := range []string{"up", "down"} {
		out, err := r.try(t, env, clone+"/scripts/demo.sh", verb)
		if err == nil || !strings.Contains(out, root(t)) || !strings.Contains(out, "DEMO=") {
			t.Errorf("demo.sh %s of another clone: %v\n%s", verb, err, out)
		}
	}
	if now := r.run(t, nil, "cat", "/var/lib/"+demoName+"/engine.pid"); now != engine {
		t.Errorf("the first clone's engine was %q, is %q", engine, now)
	}
	pid, _, _ := strings.Cut(engine, " ")
	if _, err := os.Stat("/proc/" + pid); err != nil {
		t.Errorf("the first clone's engine has ended: %v", err)
	}
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
