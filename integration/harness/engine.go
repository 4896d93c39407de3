package harness

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/testkit"
)

// Driver says which network driver an engine's tests use.
type Driver string

const (
	// Builtin is the engine's own bridge driver: what the tests compare with.
	Builtin Driver = "bridge"
	// Daemon is gangway as a plain daemon beside the engine.
	Daemon Driver = "gangway"
	// Managed is gangway as a plugin that the engine runs.
	Managed Driver = "gangway:latest"
)

// Config says what engine to start.
type Config struct {
	Suite  Suite
	Driver Driver
	// Args are further arguments of dockerd.
	Args []string
	// Env are settings of gangway, such as "GANGWAY_FIREWALL=iptables".
	Env []string
	// Managers says that the engine's host has firewalld, ufw and procps, none
	// of them started.
	Managers bool
}

// Engine is a private Docker engine on a host of its own, joined to a network
// with other hosts.
type Engine struct {
	*Host
	// LAN is the network that the engine's host is joined to as LanIPv4 and
	// LanIPv6.
	LAN *LAN
	// Suite is the Debian suite that the engine comes from.
	Suite Suite
	// Driver is the name to create networks with.
	Driver string

	cfg     Config
	dir     string
	dockerd *Process
	daemon  *Process
	// held is gangway's socket while the test keeps it; see HoldSocket.
	held *os.File
	// pluginSeen is when the engine has certainly seen the plugin that it has
	// started after the last KillPlugin.
	pluginSeen time.Time
}

// The addresses of an engine's host in its LAN.
const (
	LanIPv4 = "192.0.2.1"
	LanIPv6 = "2001:db8::1"
)

// readyLimit is how long an engine may take until it answers.
const readyLimit = 90 * time.Second

// Start starts an engine with the image, joined to a new LAN, and its network
// driver. It ends with the test.
func Start(t testing.TB, cfg Config) *Engine {
	t.Helper()
	if os.Geteuid() != 0 {
		testkit.Missing(t, "engines need root")
	}
	tree := cfg.Suite.tree(t, cfg.Managers)
	toolsDir, err := tools()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Driver == Daemon {
		if _, err = gangwayBinary(); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := current.folder("")
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{Suite: cfg.Suite, Driver: string(cfg.Driver), cfg: cfg, dir: dir}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o711); err != nil {
		t.Fatal(err)
	}
	// The data root is bound, not part of the overlay: overlayfs cannot be the
	// upper layer of the engine's own overlays.
	node := startNode(t, nodeConfig{
		Hostname: string(cfg.Suite),
		Cgroup:   cgroupPrefix + current.name + filepath.Base(dir),
		Tree:     tree,
		Dir:      dir,
		Binds: []bind{
			{Source: data, Target: "/var/lib/docker"},
			{Source: toolsDir, Target: toolsInside, ReadOnly: true},
		},
	})
	e.LAN = NewLAN(t)
	e.Host = e.LAN.join(t, node, LanIPv4, LanIPv6)
	e.probe = toolsInside + "/probe"
	t.Cleanup(func() { e.keepLogs(t) })
	if cfg.Driver == Daemon {
		e.StartGangway(t)
	}
	e.StartEngine(t)
	e.importImage(t, tree, filepath.Join(toolsDir, "probe"))
	if cfg.Driver == Managed {
		e.installPlugin(t)
	}
	return e
}

// StartEngine starts dockerd and waits until it answers.
func (e *Engine) StartEngine(t testing.TB) {
	t.Helper()
	log := filepath.Join(e.dir, "dockerd.log")
	p, err := e.startDaemon(log, nil, append([]string{"dockerd"}, e.cfg.Args...)...)
	if err != nil {
		t.Fatalf("start dockerd: %v", err)
	}
	e.dockerd = p
	EventuallyWithin(t, readyLimit, "engine of "+string(e.Suite), func() error {
		if !p.alive() {
			t.Fatal(p.exited())
		}
		_, err := e.TryDocker("version")
		return err
	})
}

// Arguments replaces the further arguments with which dockerd starts next.
func (e *Engine) Arguments(args ...string) { e.cfg.Args = args }

// Stop stops dockerd as a service manager does.
func (e *Engine) Stop(t testing.TB) {
	t.Helper()
	e.dockerd.Signal(t, syscall.SIGTERM)
}

// Kill ends dockerd as a crash does: nothing is cleaned up.
func (e *Engine) Kill(t testing.TB) {
	t.Helper()
	e.dockerd.Signal(t, syscall.SIGKILL)
}

// Restart stops dockerd and starts it again.
func (e *Engine) Restart(t testing.TB) {
	t.Helper()
	e.Stop(t)
	e.StartEngine(t)
}

func (e *Engine) importImage(t testing.TB, tree, probe string) {
	t.Helper()
	r, w := io.Pipe()
	go func() { w.CloseWithError(writeImage(w, tree, probe)) }()
	if _, err := e.tryInput(r, "docker", "import", "-c", "ENV PATH=/bin:/sbin:/usr/bin", "-", Image); err != nil {
		t.Fatal(err)
	}
}

// keepLogs shows the end of the logs of a failed test and keeps them whole.
func (e *Engine) keepLogs(t testing.TB) {
	if !t.Failed() {
		return
	}
	logs, err := filepath.Glob(filepath.Join(e.dir, "*.log"))
	if err != nil {
		t.Error(err)
	}
	root, err := moduleRoot()
	if err != nil {
		t.Error(err)
	}
	for _, log := range logs {
		kept := filepath.Join(root, "integration", "logs", strings.ReplaceAll(t.Name(), "/", "-")+"-"+filepath.Base(log))
		t.Logf("end of %s, kept in %s:\n%s", filepath.Base(log), kept, tail(log, 25))
		if err := keep(log, kept); err != nil {
			t.Error(err)
		}
	}
}

func keep(log, as string) error {
	content, err := os.ReadFile(log)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(as), 0o755); err != nil {
		return err
	}
	return os.WriteFile(as, content, 0o600)
}

// Version returns the engine's version.
func (e *Engine) Version(t testing.TB) string {
	t.Helper()
	return e.Docker(t, "version", "--format", "{{.Server.Version}}")
}

// String names the engine in messages.
func (e *Engine) String() string { return fmt.Sprintf("%s with %s", e.Suite, e.Driver) }
