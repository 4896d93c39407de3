package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// docker runs the command as the docker command runs its plugins.
func docker(t *testing.T, dir string, args ...string) result {
	t.Helper()
	root := NewDocker(Options{Version: clientVersion, PluginDir: dir})
	var stdout, stderr bytes.Buffer
	root.SetArgs(append([]string{}, args...))
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	code := Execute(t.Context(), root, &stderr)
	return result{code: code, stdout: stdout.String(), stderr: stderr.String()}
}

func TestIsDockerPlugin(t *testing.T) {
	for program, want := range map[string]bool{"/usr/libexec/docker/cli-plugins/docker-gangway": true, "docker-gangway": true, "/usr/bin/gangway": false, "/docker-gangway/gangway": false} {
		if IsDockerPlugin(program) != want {
			t.Errorf("%s: %t", program, !want)
		}
	}
}

// TestDockerMetadata: what docker wants of each plugin before it takes it.
func TestDockerMetadata(t *testing.T) {
	r := docker(t, t.TempDir(), "docker-cli-plugin-metadata")
	var m metadata
	if err := json.Unmarshal([]byte(r.stdout), &m); err != nil || r.code != 0 || m.SchemaVersion != "0.1.0" || m.Vendor == "" || m.Version != "1.3.0" || m.ShortDescription == "" {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestDocker: commands, docker's own flags, completion, help, and what is no command.
func TestDocker(t *testing.T) {
	dir := host(t, namedHost())
	want := gangway(t, dir, "ports", "8000").stdout
	for _, args := range [][]string{{"gangway", "ports", "8000"}, {"-H", "unix:///x", "--context", "c", "-D", "gangway", "ports", "8000"}, {"gangway", "--tlsverify", "ports", "8000"}} {
		if r := docker(t, dir, args...); r.code != 0 || r.stdout != want {
			t.Errorf("%v: %+v, want %s", args, r, want)
		}
	}
	for line, want := range map[string]string{
		"__complete gangway por":                    "ports\t",
		"__complete gangway ports sh":               "shop-db-1\nshop-web-1\n",
		"__complete gangway ports --network sh":     "shop_front\n",
		"__complete gangway networks x":             "shop_front\n",
		"__complete -c x gangway ports --format ta": "json\ntable\n",
		"gangway":              "docker gangway asks",
		"help gangway":         "docker gangway asks",
		"gangway --help":       "docker gangway asks",
		"gangway ports --help": "List published ports",
	} {
		r := docker(t, dir, strings.Fields(line)...)
		if r.code != 0 || !strings.HasPrefix(r.stdout, want) {
			t.Errorf("%s: %+v, want %q", line, r, want)
		}
		if strings.Contains(r.stdout, "tlscacert") || strings.Contains(r.stdout, "serve ") {
			t.Errorf("%s: shows what is not ours:\n%s", line, r.stdout)
		}
	}
	for line, want := range map[string]string{
		"gangway prots":        "docker gangway: unknown command \"prots\" for \"docker gangway\"\n\nDid you mean this?\n\tdrops\n\tports\n\n",
		"gangway serve":        "docker gangway: unknown command \"serve\" for \"docker gangway\"\n",
		"gangway api":          "docker gangway: unknown command \"api\" for \"docker gangway\"\n\nDid you mean this?\n\tui\n\n",
		"gangway ports --jsn":  "docker gangway ports: unknown flag: --jsn; see \"docker gangway ports --help\"\n",
		"gangway ports nobody": "",
	} {
		if r := docker(t, dir, strings.Fields(line)...); r.code == 0 || want != "" && r.stderr != want {
			t.Errorf("%s: %+v", line, r)
		}
	}
}

// TestUntilDockerEnds: docker keeps the terminal's interrupt to itself, and closes a
// connection.
func TestUntilDockerEnds(t *testing.T) {
	t.Setenv(dockerSocket, "")
	if ctx := UntilDockerEnds(t.Context()); ctx != t.Context() {
		t.Error("without docker there is nothing to wait for")
	}
	path := filepath.Join(t.TempDir(), "s")
	t.Setenv(dockerSocket, path)
	if UntilDockerEnds(t.Context()).Err() != nil {
		t.Error("a docker that does not listen ends the command")
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx := UntilDockerEnds(t.Context())
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Error("ended before docker did")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ctx.Done():
		if ctx.Err() != context.Canceled {
			t.Error(ctx.Err())
		}
	case <-time.After(20 * time.Second):
		t.Error("goes on without docker")
	}
}
