package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// passSocket starts its arguments with the socket in descriptor 3, as
// sd_listen_fds(3) says.
const passSocket = `export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"`

// StartGangway starts the plain daemon, with settings for this time, and waits
// until it listens.
func (e *Engine) StartGangway(t testing.TB, env ...string) {
	t.Helper()
	args, files := e.gangwayArgs(env)
	p, err := e.startDaemon(filepath.Join(e.dir, "gangway.log"), files, args...)
	if err != nil {
		t.Fatalf("start gangway: %v", err)
	}
	e.daemon = p
	p.what = "gangway"
	socket := PluginSocket
	for _, setting := range env {
		if path, ok := strings.CutPrefix(setting, "GANGWAY_SOCKET="); ok {
			socket = path
		}
	}
	Eventually(t, "gangway's socket", func() error {
		conn, err := net.Dial("unix", e.Path(socket))
		if err != nil {
			return p.exitedOr(err.Error())
		}
		return conn.Close()
	})
}

// FailGangway runs the plain daemon with settings that it cannot work with: it
// has to end with an error.
func (e *Engine) FailGangway(t testing.TB, env ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	args, files := e.gangwayArgs(env)
	cmd := e.Command(ctx, args...)
	cmd.ExtraFiles = files
	if out, err := cmd.CombinedOutput(); err == nil || ctx.Err() != nil {
		t.Errorf("gangway goes on with %s:\n%s", env, out)
	}
}

// gangwayArgs returns how the daemon is called with settings, and the files to
// pass to it.
func (e *Engine) gangwayArgs(env []string) (args []string, files []*os.File) {
	args = slices.Concat([]string{"env"}, e.cfg.Env, env)
	if e.held != nil {
		args = append(args, "sh", "-c", passSocket, "sh")
		files = append(files, e.held)
	}
	return append(args, toolsInside+"/gangway", "serve"), files
}

// StopGangway stops the plain daemon as a service manager does.
func (e *Engine) StopGangway(t testing.TB) {
	t.Helper()
	e.daemon.Signal(t, syscall.SIGTERM)
}

// Firewall is the backend that gangway keeps its rules with.
func (e *Engine) Firewall() string {
	if slices.Contains(e.cfg.Env, "GANGWAY_FIREWALL=iptables") {
		return "iptables"
	}
	return "nftables"
}

// KillGangway ends the plain daemon as a crash does.
func (e *Engine) KillGangway(t testing.TB) {
	t.Helper()
	e.daemon.Signal(t, syscall.SIGKILL)
}

// KillPlugin ends the managed plugin's process as a crash does; the engine
// starts it again.
func (e *Engine) KillPlugin(t testing.TB) {
	t.Helper()
	time.Sleep(time.Until(e.pluginSeen))
	e.Run(t, "sh", "-c", "kill -9 $(pidof gangway)")
	e.pluginSeen = time.Now().Add(pluginLook)
}

// pluginLook is how long after a plugin's end the engine has certainly looked
// whether the one it started in its place answers (every 3 s). One that is dead
// then is given up for good, and nothing tells when the engine has looked.
const pluginLook = 5 * time.Second

// TryGangway runs one of gangway's commands beside the engine.
func (e *Engine) TryGangway(args ...string) (string, error) {
	return e.Try(append([]string{toolsInside + "/gangway"}, args...)...)
}

// Gangway is TryGangway for commands that have to succeed.
func (e *Engine) Gangway(t testing.TB, args ...string) string {
	t.Helper()
	out, err := e.TryGangway(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// GangwayJSON decodes what a command prints with --json.
func (e *Engine) GangwayJSON(t testing.TB, into any, args ...string) {
	t.Helper()
	out := e.Gangway(t, append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatalf("gangway %v --json: %v in:\n%s", args, err, out)
	}
}

// installPlugin creates and enables the managed plugin in the engine.
func (e *Engine) installPlugin(t testing.TB) {
	t.Helper()
	if _, err := gangwayBinary(); err != nil {
		t.Fatal(err)
	}
	dir, err := pluginDir()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(e.Path("/srv"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := command("/", "cp", "-a", dir, e.Path(pluginInside)); err != nil {
		t.Fatal(err)
	}
	e.enablePlugin(t)
}

// pluginInside is where the engine's host has what the plugin is made of.
const pluginInside = "/srv/plugin"

// ReinstallPlugin removes the managed plugin with its state, whatever uses it, and
// creates and enables it again.
func (e *Engine) ReinstallPlugin(t testing.TB) {
	t.Helper()
	e.Docker(t, "plugin", "rm", "-f", "gangway")
	e.enablePlugin(t)
}

func (e *Engine) enablePlugin(t testing.TB) {
	t.Helper()
	e.Docker(t, "plugin", "create", "gangway", pluginInside)
	for _, setting := range e.cfg.Env {
		e.Docker(t, "plugin", "set", "gangway", setting)
	}
	e.Docker(t, "plugin", "enable", "gangway")
}

// String describes the answer in messages.
func (a Answer) String() string {
	return fmt.Sprintf("%s (client %s, local %s)", a.Host, a.Client, a.Local)
}

// GangwayCommand is one of gangway's commands beside the engine, to be started.
func (e *Engine) GangwayCommand(ctx context.Context, args ...string) *exec.Cmd {
	return e.Command(ctx, append([]string{toolsInside + "/gangway"}, args...)...)
}
