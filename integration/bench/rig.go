package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
	"github.com/gangway-net/gangway/integration/testkit"
)

// inside is where the engine's node, and its containers, have the programs.
const inside = "/srv/bench"

// network is the name of the network that a variant is measured on.
const network = "bench"

// rig is one engine on which the variants take turns.
type rig struct {
	*harness.Engine
	api *http.Client
	// dir has the programs for those who see the machine's files: the other
	// hosts of the engine's network.
	dir string
	// active is the variant whose turn it is, driver its name for the engine
	// and daemon its process, nil for the built-in driver.
	active Variant
	driver string
	daemon *process
}

// newRig starts the engine and puts the programs there.
func newRig(t testing.TB) *rig {
	t.Helper()
	e := harness.Start(t, harness.Config{Suite: harness.Forky, Driver: harness.Builtin})
	r := &rig{Engine: e, api: testkit.UnixClient(e.Path("/run/docker.sock"), 0), dir: t.TempDir()}
	t.Cleanup(r.api.CloseIdleConnections)
	programs(t, r.dir)
	copyIperf(t, r.dir)
	if out, err := exec.Command("cp", "-a", r.dir, e.Path(inside)).CombinedOutput(); err != nil {
		t.Fatalf("copy the programs: %v: %s", err, out)
	}
	// The first container of an engine loads what all others find loaded.
	e.Docker(t, "run", "--rm", harness.Image, "true")
	return r
}

// copyIperf copies iperf3 of this machine with its libraries and its loader, so
// that it runs in every container.
func copyIperf(t testing.TB, dir string) {
	t.Helper()
	path, err := exec.LookPath("iperf3")
	if err != nil {
		t.Fatalf("%v: apt-get install iperf3", err)
	}
	out, err := exec.Command("ldd", path).Output()
	if err != nil {
		t.Fatalf("libraries of iperf3: %v", err)
	}
	files := append(regexp.MustCompile(`/\S+`).FindAllString(string(out), -1), path)
	for _, file := range files {
		name := filepath.Base(file)
		if regexp.MustCompile(`^ld(-linux.*)?\.so`).MatchString(name) {
			name = "ld.so"
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o755); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
	}
}

// iperf is iperf3 with the given arguments where the programs are in dir.
func iperf(dir string, args ...string) []string {
	return append([]string{dir + "/ld.so", "--library-path", dir, dir + "/iperf3"}, args...)
}

// with gives the variant its turn: its daemon runs, alone, and its network
// exists. All of it is gone when f returns.
func (r *rig) with(t testing.TB, v Variant, f func()) {
	t.Helper()
	r.activate(t, v)
	defer r.deactivate(t)
	r.Docker(t, "network", "create", "-d", r.driver, "--subnet", "10.73.0.0/16", network)
	defer r.Docker(t, "network", "rm", network)
	// The engine asks a driver for its capabilities once, and opens its
	// connections, with the first network and container.
	r.Docker(t, "run", "--rm", "--network", network, "-p", "9:9", harness.Image, "true")
	f()
}

// activate starts the variant's daemon and waits until it is ready.
func (r *rig) activate(t testing.TB, v Variant) {
	t.Helper()
	r.active, r.driver, r.daemon = v, string(harness.Builtin), nil
	if v.kind == builtin {
		return
	}
	r.driver = v.Name
	r.daemon = startOn(t, r.Node, v.command(inside, "/run/docker/plugins/"+v.Name+".sock", "/var/lib/"+v.Name)...)
	r.ready(t)
}

// ready waits until the active daemon answers.
func (r *rig) ready(t testing.TB) {
	t.Helper()
	client := testkit.UnixClient(r.Path("/run/docker/plugins/"+r.driver+".sock"), 0)
	defer client.CloseIdleConnections()
	r.daemon.until(t, 30*time.Second, r.driver, func() error {
		if r.active.kind == gangway {
			return healthy(client)
		}
		return activates(client)
	})
}

// command is the variant's daemon as a command line. dir has the programs.
func (v Variant) command(dir, socket, state string) []string {
	if v.kind == floor {
		return []string{dir + "/floor", socket}
	}
	// Not a subcommand of env in a shell: env becomes the daemon.
	args := append([]string{"env"}, v.env...)
	return append(args, dir+"/gangway", "serve", "--log-level", "warn", "--socket", socket, "--state", state)
}

func activates(client *http.Client) error {
	resp, err := client.Post("http://plugin/Plugin.Activate", "application/json", http.NoBody)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (r *rig) deactivate(t testing.TB) {
	t.Helper()
	if r.daemon == nil {
		return
	}
	r.daemon.stop(t, syscall.SIGTERM)
	if err := os.Remove(r.Path("/run/docker/plugins/" + r.driver + ".sock")); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

// timedLimit ends a command that hangs. The built-in driver needs minutes for a
// thousand ports.
const timedLimit = 10 * time.Minute

// timed runs a docker command and returns how long it took.
func (r *rig) timed(t testing.TB, args ...string) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timedLimit)
	defer cancel()
	start := time.Now()
	out, err := r.Command(ctx, append([]string{"docker"}, args...)...).CombinedOutput()
	took := time.Since(start)
	if err != nil {
		t.Fatalf("%s: docker %v: %v\n%s", r.active.Name, args, err, out)
	}
	return took
}

// load runs the load program on the host beside the engine's and returns what
// it prints.
func (r *rig) load(t testing.TB, args ...string) map[string]float64 {
	t.Helper()
	return numbers(t, r.LAN.Outside.Run(t, append([]string{r.dir + "/load"}, args...)...))
}

// numbers reads what the load program prints.
func numbers(t testing.TB, out string) map[string]float64 {
	t.Helper()
	var n map[string]float64
	if err := json.Unmarshal([]byte(out), &n); err != nil {
		t.Fatalf("load: %v in %q", err, out)
	}
	return n
}

// publish is the argument of docker run for n ports of one protocol: host and
// container ports are the same, from 20000 on.
func publish(n int, proto string) []string {
	switch n {
	case 0:
		return nil
	case 1:
		return []string{"-p", "20000:20000/" + proto}
	}
	ports := fmt.Sprintf("20000-%d", 20000+n-1)
	return []string{"-p", ports + ":" + ports + "/" + proto}
}
