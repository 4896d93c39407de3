package faulttest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/integration/testkit"
	"github.com/gangway-net/gangway/ipam"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/store"
)

// TestRecordings replays what engine 29 sent to the real daemon on the real kernel,
// with containers whose links are moved in and out as engines do it: every call
// succeeds, and nothing is left. What 29 does not tell is in the second life: the
// address of a container with IPv6 switched off goes to the next one, as the engine's
// own address manager gives it out.
func TestRecordings(t *testing.T) {
	for _, recording := range []string{"engine-29-container-life", "engine-29-restarts"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "plugin", "testdata", recording+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		// The recorder's user gave an option that no address manager has.
		calls := strings.ReplaceAll(string(text), `"Options":{"gangway.x":"1"}`, `"Options":null`)
		t.Run(recording, func(t *testing.T) {
			eachBackend(t, func(t *testing.T, backend, dir string) {
				replay(t, backend, dir, calls)
				if recording == "engine-29-container-life" {
					replay(t, backend, dir, strings.ReplaceAll(calls, "fd00:50::5", "fd00:50::4"))
				}
			})
		})
	}
}

// replay sends a recording's calls.
func replay(t *testing.T, backend, dir, recording string) {
	t.Helper()
	w := mustOpen(t, backend, dir)
	defer w.close()
	e := &engine{t: t, boxes: map[string]*exec.Cmd{}, links: map[string]joined{}, off: map[string]bool{}}
	defer e.end()
	stop := e.serve(w)
	defer stop()
	before := w.picture(t)
	for line := range strings.Lines(recording) {
		if op, body, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " "); strings.HasPrefix(op, "/") {
			e.call(op, body)
		}
	}
	w.sound(t, "at the end of the recording")
	same(t, "at the end of the recording", before, w.picture(t))
}

// engine does what an engine does beside its calls.
type engine struct {
	t    *testing.T
	http http.Client
	// boxes are the containers by sandbox key, links those that were moved into one,
	// off the endpoints whose interface gets no IPv6.
	boxes map[string]*exec.Cmd
	links map[string]joined
	off   map[string]bool
	count int
}

type joined struct {
	box        *exec.Cmd
	name, peer string
}

// serve starts the daemon's protocol on the world's driver.
func (e *engine) serve(w *world) (stop func()) {
	e.t.Helper()
	dir := e.t.TempDir()
	db, err := store.Open(filepath.Join(dir, "addresses.db"), testkit.Patience)
	if err != nil {
		e.t.Fatal(err)
	}
	settings, err := config.LoadSettings(nil, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	addresses, err := ipam.New(ipam.Options{
		Ranges: settings.Pools, Store: db.Bucket("ipam"), Log: testkit.Quiet(),
		Used: func(context.Context) ([]netip.Prefix, error) { return nil, nil },
	})
	if err != nil {
		e.t.Fatal(err)
	}
	server, err := plugin.New(plugin.Options{Networks: w.Driver, Addresses: addresses, Inspector: w.Driver, Log: testkit.Quiet()})
	if err != nil {
		e.t.Fatal(err)
	}
	socket, err := plugin.Listen(e.t.Context(), filepath.Join(dir, "gangway.sock"))
	if err != nil {
		e.t.Fatal(err)
	}
	server.Ready()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, socket) }()
	e.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, "gangway.sock"))
	}}
	return func() {
		cancel()
		if err := <-served; err != nil {
			e.t.Error(err)
		}
		_ = db.Close()
	}
}

// call sends one call, and moves links as the engine does after Join and Leave.
func (e *engine) call(op, body string) {
	e.t.Helper()
	resp, err := e.http.Post("http://gangway"+op, "", strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		e.t.Fatalf("%s %s: %d %s %v", op, body, resp.StatusCode, answer, err)
	}
	var r struct{ EndpointID, SandboxKey string }
	_ = json.Unmarshal([]byte(body), &r)
	switch op {
	case "/NetworkDriver.CreateEndpoint":
		e.off[r.EndpointID] = strings.Contains(body, "disable_ipv6=1")
	case "/NetworkDriver.Join":
		e.moveIn(r.EndpointID, r.SandboxKey)
	case "/NetworkDriver.Leave":
		e.moveOut(r.EndpointID)
	}
}

func (e *engine) moveIn(endpoint, key string) {
	e.t.Helper()
	box := e.boxes[key]
	if box == nil {
		box = exec.Command("sleep", "infinity")
		box.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
		if err := box.Start(); err != nil {
			e.t.Fatal(err)
		}
		e.boxes[key] = box
	}
	l := joined{box, fmt.Sprintf("eth%d", e.count), "gp-" + endpoint}
	e.count++
	off := "true"
	if e.off[endpoint] {
		off = "sysctl -qw net.ipv6.conf." + l.name + ".disable_ipv6=1"
	}
	sh(e.t, fmt.Sprintf("ip link set %s netns %d && nsenter -t %[2]d -n sh -ec 'ip link set %[1]s name %[3]s; %[4]s; ip link set %[3]s up'",
		l.peer, box.Process.Pid, l.name, off))
	e.links[endpoint] = l
}

func (e *engine) moveOut(endpoint string) {
	e.t.Helper()
	l, there := e.links[endpoint]
	if !there {
		return // Leave is sent twice at times
	}
	delete(e.links, endpoint)
	sh(e.t, fmt.Sprintf("nsenter -t %d -n sh -ec 'ip link set %s down; ip link set %[2]s name %s; ip link set %[3]s netns %d'",
		l.box.Process.Pid, l.name, l.peer, os.Getpid()))
}

// end ends the containers.
func (e *engine) end() {
	for _, box := range e.boxes {
		_ = box.Process.Kill()
		_ = box.Wait()
	}
}
