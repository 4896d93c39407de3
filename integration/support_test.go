package integration

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/integration/harness"
	"github.com/gangway-net/gangway/plugin"
)

// testEventsRestart: events outlive a daemon that is killed, with what they were about, and who
// follows them sees each once.
func testEventsRestart(t *testing.T, e *harness.Engine) {
	const network = "remembered" // no other has events
	e.Network(t, network, "--subnet", "10.97.0.0/24")
	e.Sleep(t, harness.Container{Name: "web", Network: network})
	known(t, e, "web")
	var networks []plugin.Network
	e.GangwayJSON(t, &networks, "networks", network)
	// Whoever kills the plugin kills all that is called gangway.
	const watcher = "/tmp/watcher"
	e.Run(t, "cp", "/opt/gangway/gangway", watcher)
	defer e.Run(t, "rm", watcher)
	cmd := e.Command(t.Context(), watcher, "events", "-f", "--json", "--network", network)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		_ = cmd.Wait() // what enters the node ends by the signal
	}()
	lines := bufio.NewReader(out)
	next := func() (got events.Event) {
		t.Helper()
		line, err := lines.ReadString('\n')
		if err == nil {
			err = json.Unmarshal([]byte(line), &got)
		}
		if err != nil {
			t.Fatalf("gangway events -f prints %q: %v", line, err)
		}
		return got
	}
	down := func() { e.Run(t, "ip", "link", "set", networks[0].Bridge, "down") }
	down()
	first := next()
	if first.Kind != events.Repair || first.NetworkName != network || !strings.HasSuffix(first.Reason, "was down") || first.Done != "set up" {
		t.Errorf("an event %+v", first)
	}
	written(t, e, first)
	crash(t, e)
	down()
	second := next()
	if second.Kind != events.Repair || second.Number <= first.Number {
		t.Errorf("after a restart %+v, before %+v", second, first)
	}
	var all []events.Event
	e.GangwayJSON(t, &all, "events", "--since", first.Time.Format(time.RFC3339Nano), "--until", second.Time.Format(time.RFC3339Nano))
	started := slices.ContainsFunc(all, func(e events.Event) bool { return e.Kind == events.Started })
	if len(all) < 3 || all[0] != first || all[len(all)-1] != second || !started {
		t.Errorf("gangway events --since --until: %+v, want %+v to %+v", all, first, second)
	}
}

// written waits for an event in the daemon's file. That is written beside, so that no reader waits for a disk: what happened in the
// moment before a kill may be lost.
func written(t *testing.T, e *harness.Engine, event events.Event) {
	t.Helper()
	harness.Eventually(t, "the event in the file", func() error {
		out, err := e.Try("sh", "-c", fmt.Sprintf(`find /var/lib/gangway /var/lib/docker/plugins -name events.jsonl -exec grep -h '"number":%d,' {} + | grep .`, event.Number))
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// testSupport: the file for a ticket has the state, rules, links and versions of a real host,
// and neither the environment of the daemon nor that of a container.
func testSupport(t *testing.T, e *harness.Engine) {
	const secret = "hunter2hunter2"
	if e.Driver == string(harness.Daemon) {
		e.StopGangway(t)
		e.StartGangway(t, "REGISTRY_PASSWORD="+secret)
	}
	e.Network(t, "n1", "--subnet", "10.97.0.0/24")
	e.Sleep(t, harness.Container{Name: "web", Network: "n1", Args: append(publish("8000:80"), "-e", "SECRET="+secret, "--label", "token="+secret)})
	known(t, e, "web")
	const path = "/tmp/support.tar.gz"
	if out, err := e.Try("env", "HUNTER="+secret, "/opt/gangway/gangway", "support", "-o", path); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	defer e.Run(t, "rm", path)
	info, err := os.Stat(e.Path(path))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	files, err := unpacked(e.Path(path))
	if err != nil {
		t.Fatal(err)
	}
	rules := "table inet gangway"
	if e.Firewall() == "iptables" {
		rules = "table inet gangway-fail-closed"
	}
	for name, want := range map[string]string{
		"manifest.json": "daemon/status.json", "daemon/status.json": `"firewall": "auto"`, "daemon/networks.json": `"name": "n1"`, "daemon/endpoints.json": `"containerName": "web"`,
		"daemon/ports.json": "8000", "daemon/events.json": "has started", "daemon/version.json": "version", "engine.json": "ApiVersion",
		"host/nftables.txt": rules, "host/iptables.txt": "DOCKER-USER", "host/links.txt": "gw-", "host/addresses.txt": "10.97.0.1/24", "host/routes4.txt": "10.97.0.0/24",
		"host/kernel.txt": "Linux", "host/versions/nft.txt": "nftables", "doctor.txt": "",
	} {
		if text, there := files[name]; !there || !strings.Contains(text, want) {
			t.Errorf("%s: %t, no %q in %.300q", name, there, want, text)
		}
	}
	for name, text := range files {
		if strings.Contains(text, secret) {
			t.Errorf("%s has a secret", name)
		}
	}
}

// unpacked are the files of an archive, by name.
func unpacked(path string) (map[string]string, error) {
	packed, err := os.Open(path) //nolint:gosec // the test's own
	if err != nil {
		return nil, err
	}
	defer func() { _ = packed.Close() }()
	plain, err := gzip.NewReader(packed)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("after %d files: %w", len(files), err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		files[strings.TrimPrefix(h.Name, "gangway-support/")] = string(text)
	}
}
