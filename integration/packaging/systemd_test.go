package packaging

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
	"github.com/gangway-net/gangway/integration/testkit"
)

// socket is where the engine finds the plain daemon.
const socket = "/run/docker/plugins/gangway.sock"

// activate is the engine's first call, which changes nothing.
const activate = "Plugin.Activate"

// TestSystemd: the units do under systemd what they are for. A call waits while
// the daemon restarts, is upgraded or has been stopped; it fails, and does not
// wait for ever, while the daemon cannot start; and uninstalling leaves nothing.
func TestSystemd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeIn(t, dir, nil, "build", "VERSION=1")
	n := harness.StartSystemd(t)
	s := systemd{Node: n, script: root(t) + "/scripts/daemon.sh"}
	s.daemonScript(t, "install", dir+"/gangway")
	if mode := s.Run(t, "stat", "-c", "%U %a", socket); mode != "root 600" {
		t.Errorf("the socket is of %s", mode)
	}
	s.answers(t, "after the installation")

	s.secondName(t)

	s.kill(t)
	s.answers(t, "while the daemon restarts")
	s.Run(t, "systemctl", "stop", "gangway.service")
	s.answers(t, "after the daemon was stopped") // a call starts it
	s.Run(t, "systemctl", "restart", "gangway.service")
	s.answers(t, "after a restart")
	s.works(t)

	makeIn(t, dir, nil, "build", "VERSION=2")
	first := s.daemonPid(t)
	s.daemonScript(t, "install", dir+"/gangway")
	s.answers(t, "after an upgrade")
	if s.daemonPid(t) == first {
		t.Error("the upgrade did not restart the daemon")
	}
	out, err := s.Try(prefix+"/bin/gangway", "serve")
	if err == nil || !strings.Contains(err.Error(), "the service manager holds it: systemctl stop gangway.socket gangway.service") {
		t.Errorf("a second daemon: %v\n%s", err, out)
	}
	s.cannotStart(t)

	s.daemonScript(t, "uninstall")
	if left := s.Run(t, "sh", "-c", "ls -A /etc/systemd/system /run/docker/plugins "+prefix+"/bin; pidof gangway || true"); strings.Contains(left, "gangway") {
		t.Errorf("left after uninstalling:\n%s", left)
	}
}

// TestSystemdOwnSocket: a daemon that was installed before there was a socket
// unit is uninstalled, and upgraded to it.
func TestSystemdOwnSocket(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeIn(t, dir, nil, "build", "VERSION=1")
	s := systemd{Node: harness.StartSystemd(t), script: root(t) + "/scripts/daemon.sh"}
	s.installOld(t, dir+"/gangway")
	s.daemonScript(t, "uninstall")
	s.installOld(t, dir+"/gangway")
	s.daemonScript(t, "install", dir+"/gangway")
	s.kill(t)
	s.answers(t, "while the daemon restarts")
	// A socket unit of the time before the second name gets it without a restart.
	s.Run(t, "rm", "/run/docker/plugins/gangway:latest.sock")
	s.daemonScript(t, "install", dir+"/gangway")
	s.secondName(t)
}

// secondName: the driver has its name with the tag, too.
func (s systemd) secondName(t *testing.T) {
	t.Helper()
	if leads := s.Run(t, "readlink", "-f", "/run/docker/plugins/gangway:latest.sock"); leads != socket {
		t.Errorf("the second name leads to %q", leads)
	}
}

// installOld installs what was installed before there was a socket unit.
func (s systemd) installOld(t *testing.T, program string) {
	t.Helper()
	s.daemonScript(t, "install", program)
	s.Run(t, "systemctl", "disable", "--now", "gangway.socket", "gangway.service")
	const unit = "/etc/systemd/system/gangway.service"
	s.Run(t, "sed", "-i", "/^Requires=gangway.socket/d; /^After=gangway.socket/d", unit)
	s.Run(t, "rm", "/etc/systemd/system/gangway.socket")
	s.Run(t, "systemctl", "daemon-reload")
	s.Run(t, "systemctl", "start", "gangway.service")
	s.answers(t, "without the socket unit")
}

// prefix is where the daemon is installed: in a folder of the node's own.
const prefix = "/run/opt"

// systemd is a node with systemd.
type systemd struct {
	*harness.Node
	script string
}

func (s systemd) daemonScript(t *testing.T, args ...string) {
	t.Helper()
	env := []string{"env", "PREFIX=" + prefix, "DOCKER=/nonexistent/docker", "sh", s.script}
	s.Run(t, append(env, args...)...)
}

func (s systemd) daemonPid(t *testing.T) int {
	t.Helper()
	pid, err := strconv.Atoi(s.Run(t, "systemctl", "show", "--property", "MainPID", "--value", "gangway.service"))
	if err != nil || pid < 2 {
		t.Fatalf("gangway.service has process %d: %v", pid, err)
	}
	return pid
}

func (s systemd) kill(t *testing.T) {
	t.Helper()
	s.Run(t, "kill", "-9", fmt.Sprint(s.daemonPid(t)))
}

// call asks as an engine does, by a connection of its own.
func (s systemd) call(verb, body string) error {
	client := testkit.UnixClient(s.Path(socket), 30*time.Second)
	defer client.CloseIdleConnections()
	status, answer, err := testkit.Call(client, verb, body)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s: %d: %s", verb, status, answer)
	}
	return err
}

// container is what the engine asks for when it creates a network and starts a
// container with a published port in it.
var container = []struct{ verb, body string }{
	{"NetworkDriver.CreateNetwork", `{"NetworkID":"n1","IPv4Data":[{"AddressSpace":"x","Pool":"10.60.0.0/24","Gateway":"10.60.0.1/24"}],"IPv6Data":[]}`},
	{"NetworkDriver.CreateEndpoint", `{"NetworkID":"n1","EndpointID":"e1","Interface":{"Address":"10.60.0.2/24"},"Options":{` + portMap + `}}`},
	{"NetworkDriver.Join", `{"NetworkID":"n1","EndpointID":"e1","SandboxKey":"/run/netns/c1"}`},
	{"NetworkDriver.ProgramExternalConnectivity", `{"NetworkID":"n1","EndpointID":"e1","Options":{` + portMap + `}}`},
	{"NetworkDriver.Leave", `{"NetworkID":"n1","EndpointID":"e1"}`},
	{"NetworkDriver.DeleteEndpoint", `{"NetworkID":"n1","EndpointID":"e1"}`},
}

const portMap = `"com.docker.network.portmap":[{"Proto":6,"Port":80,"HostPort":8000}]`

// works makes the calls, each of which needs other rights, and restarts the
// daemon before each.
func (s systemd) works(t *testing.T) {
	t.Helper()
	for _, c := range container {
		s.Run(t, "systemctl", "kill", "--signal", "KILL", "gangway.service")
		began := time.Now()
		if err := s.call(c.verb, c.body); err != nil {
			t.Error(err)
		}
		t.Logf("%s while the daemon restarts: %s", c.verb, time.Since(began).Round(time.Millisecond))
	}
	if status := s.Run(t, prefix+"/bin/gangway", "status"); !strings.Contains(status, "Networks:          1\nEndpoints:         0\n") {
		t.Errorf("status:\n%s", status)
	}
	if err := s.call("NetworkDriver.DeleteNetwork", `{"NetworkID":"n1"}`); err != nil {
		t.Error(err)
	}
}

// answers fails the test unless a single call, made now, is answered.
func (s systemd) answers(t *testing.T, when string) {
	t.Helper()
	began := time.Now()
	if err := s.call(activate, ""); err != nil {
		t.Errorf("a call %s: %v\n%s", when, err, s.Run(t, "systemctl", "--no-pager", "status", "gangway.service", "gangway.socket"))
	}
	t.Logf("a call %s: %s", when, time.Since(began).Round(time.Millisecond))
}

// cannotStart: calls fail for as long as the daemon cannot start, and the daemon
// is back without a step by hand when it can.
func (s systemd) cannotStart(t *testing.T) {
	t.Helper()
	const settings = "/run/gangway-test.conf"
	if err := os.WriteFile(s.Path(settings), []byte("[Service]\nEnvironment=GANGWAY_STATE=/proc/none\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Run(t, "sh", "-c", "mkdir /etc/systemd/system/gangway.service.d && cp "+settings+" /etc/systemd/system/gangway.service.d && systemctl daemon-reload")
	s.kill(t)
	for range 3 {
		began := time.Now()
		if err := s.call(activate, ""); err == nil {
			t.Error("a call to a daemon that cannot start is answered")
		} else if os.IsTimeout(err) {
			t.Errorf("a call to a daemon that cannot start waits: %v", err)
		}
		t.Logf("a call to a daemon that cannot start fails after %s", time.Since(began).Round(time.Millisecond))
	}
	s.Run(t, "sh", "-c", "rm -r /etc/systemd/system/gangway.service.d && systemctl daemon-reload")
	harness.Eventually(t, "the daemon is back", func() error { return s.call(activate, "") })
}
