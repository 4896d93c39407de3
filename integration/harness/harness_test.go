package harness_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// TestEngine shows with the engine's own driver that an engine of each suite
// runs containers that are reached, that a snapshot sees what they need in the
// kernel, and that their removal is seen too.
func TestEngine(t *testing.T) {
	for _, suite := range harness.Suites() {
		t.Run(string(suite), func(t *testing.T) {
			t.Parallel()
			e := harness.Start(t, harness.Config{Suite: suite, Driver: harness.Builtin})
			t.Run("container", func(t *testing.T) { testContainer(t, e) })
			t.Run("restart", func(t *testing.T) { testRestart(t, e) })
		})
	}
}

func testContainer(t *testing.T, e *harness.Engine) {
	// The engine makes chains with its first network and its first published
	// port, and leaves flows behind.
	e.Network(t, "first")
	e.Start(t, harness.Container{Name: "first", Network: "first", Args: []string{"-p", "9:9"}}, "true")
	e.Docker(t, "wait", "first")
	e.Docker(t, "rm", "first")
	before := e.Snapshot(t)
	t.Cleanup(func() {
		delete(before, "flows")
		e.Unchanged(t, before)
	})
	e.Network(t, "n1")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: []string{"-p", "8000:80", "-p", "53:53/udp"}},
		"tcp", "0.0.0.0:80", "udp", "0.0.0.0:53")
	addr := e.Address(t, "c1", "n1")
	for proto, to := range map[string]string{"tcp": "192.0.2.1:8000", "udp": "192.0.2.1:53"} {
		if a := e.LAN.Outside.Get(t, proto, to); a.Client.Addr().String() != "192.0.2.2" || a.Host != "c1" {
			t.Errorf("outside asks %s %s: %s", proto, to, a)
		}
	}
	if a := e.Get(t, "tcp", addr+":80"); a.Host != "c1" {
		t.Errorf("host asks container: %s", a)
	}
	e.LAN.Outside.Serve(t, "tcp", "192.0.2.2:99")
	if a := e.Inside("c1").Get(t, "tcp", "192.0.2.2:99"); a.Client.Addr().String() != "192.0.2.1" {
		t.Errorf("container asks outside: %s", a)
	}
	e.Ping(t, addr)
	e.LAN.Outside.Ping(t, "2001:db8::1")
	e.LAN.Outside.Unreachable(t, "tcp", "192.0.2.1:81")
	diff := before.Diff(e.Snapshot(t))
	for _, section := range []string{"links", "routes", "iptables", "sockets", "sysctls"} {
		if !strings.Contains(diff, section+":\n") {
			t.Errorf("snapshot with a container shows no difference in %s:\n%s", section, diff)
		}
	}
}

func testRestart(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1")
	e.Sleep(t, harness.Container{Name: "c1", Network: "n1", Args: []string{"--restart", "always"}})
	e.Kill(t)
	if _, err := e.TryDocker("version"); err == nil {
		t.Error("a killed engine answers")
	}
	e.StartEngine(t)
	e.Restart(t)
	harness.Eventually(t, "container after restart", func() error {
		_, err := e.TryExec("c1", "true")
		return err
	})
}

// TestUnifiedCgroups runs an engine on a machine with cgroup v2 only, which
// hybrid machines can be made to look like.
func TestUnifiedCgroups(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const script = `umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"`
	out, err := exec.Command("unshare", "--mount", "sh", "-c", script, "sh", self, "-test.run", "^TestEngine$/^forky$/container").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// killedEnv makes TestKilled the run that is killed. It is the file that the run
// writes its name to.
const killedEnv = "GANGWAY_HARNESS_KILLED"

// TestKilled shows that nothing stays of a run that is killed: its processes
// end with it, and the next run removes its folders and cgroups.
func TestKilled(t *testing.T) {
	if file := os.Getenv(killedEnv); file != "" {
		e := harness.Start(t, harness.Config{Suite: harness.Bookworm, Driver: harness.Builtin})
		e.Sleep(t, harness.Container{Name: "c1", Network: "bridge"})
		if len(harness.Remains(t, harness.RunName(t))) == 0 {
			t.Fatal("nothing is there that could remain")
		}
		proc, err := os.FindProcess(os.Getpid())
		if err = errors.Join(err, os.WriteFile(file, []byte(harness.RunName(t)), 0o600)); err != nil {
			t.Fatal(err)
		}
		t.Fatal(proc.Kill())
	}
	before := harness.Machine(t)
	file := filepath.Join(t.TempDir(), "run")
	cmd := exec.Command("/proc/self/exe", "-test.run", "^TestKilled$")
	cmd.Env = append(os.Environ(), killedEnv+"="+file)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the run was not killed: %v\n%s", err, out)
	}
	run, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// Another run sweeps.
	cmd = exec.Command("/proc/self/exe", "-test.run", "^TestHosts$")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	harness.Eventually(t, "processes of the killed run to end", func() error {
		if left := harness.Remains(t, string(run)); len(left) > 0 {
			return errors.New(strings.Join(left, "\n"))
		}
		return nil
	})
	if diff := before.Diff(harness.Machine(t)); diff != "" {
		t.Error(diff)
	}
}

// TestHosts shows that the hosts of a segment reach each other and see each
// other's addresses.
func TestHosts(t *testing.T) {
	lan := harness.NewLAN(t)
	lan.Outside.Serve(t, "tcp", "0.0.0.0:80", "udp", "[::]:80", "sctp", "192.0.2.2:80")
	for proto, addr := range map[string]string{"tcp": "192.0.2.2:80", "udp": "[2001:db8::2]:80", "sctp": "192.0.2.2:80"} {
		answer := lan.Neighbour.Get(t, proto, addr)
		want := "192.0.2.3"
		if proto == "udp" {
			want = "2001:db8::3"
		}
		if answer.Host != "outside" || answer.Client.Addr().String() != want {
			t.Errorf("%s: %s", proto, answer)
		}
	}
	lan.Neighbour.Ping(t, "192.0.2.2")
	lan.Neighbour.Ping(t, "2001:db8::2")
	_, err := lan.Neighbour.TryGet("tcp", "192.0.2.2:81")
	if err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("closed port: %v, want refused", err)
	}
	stream := lan.Neighbour.Stream(t, "192.0.2.2:80")
	stream.Stop(t)
}
