// Package lone runs the daemon without an engine, for tests that are its engine: they make
// networks, and containers whose links are moved as an engine moves them and that send real
// packets. The daemon lives in the network namespace of the test; see nstest.
package lone

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gangway-net/gangway/integration/testkit"
)

// Address is where the daemon serves metrics and the page.
const Address = "127.0.0.1:9323"

// Log is output that may be read while it is written.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Run starts a program until the test's end.
func Run(t testing.TB, out *Log, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(args[0]), out)
		}
	})
	return cmd
}

// Daemon is a running gangway.
type Daemon struct {
	t      testing.TB
	Log    *Log
	Client *http.Client
	// Process is the number of its process.
	Process int
}

// Start starts the daemon, and waits until it answers.
func Start(t testing.TB) *Daemon {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir+"/gangway", "../..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build gangway: %v\n%s", err, out)
	}
	d := &Daemon{t: t, Log: &Log{}, Client: testkit.UnixClient(dir+"/gangway.sock", testkit.Patience)}
	t.Cleanup(d.Client.CloseIdleConnections)
	d.Process = Run(t, d.Log, []string{"GANGWAY_METRICS=" + Address, "GANGWAY_LOG_FORMAT=json", "GANGWAY_ENGINE=off"},
		dir+"/gangway", "serve", "--state", dir+"/state", "--socket", dir+"/gangway.sock").Process.Pid
	testkit.Eventually(t, "the daemon is ready", func() bool {
		resp, err := d.Client.Get("http://gangway/gangway/v1/status")
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	})
	return d
}

// Call sends a call, and returns its answer's fields.
func (d *Daemon) Call(op string, body Object) Object {
	d.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		d.t.Fatal(err)
	}
	status, answer, err := testkit.Call(d.Client, op, string(text))
	if err != nil || status != http.StatusOK {
		d.t.Fatalf("%s: %d %s %v", op, status, answer, err)
	}
	var got Object
	if err := json.Unmarshal([]byte(answer), &got); err != nil {
		d.t.Fatal(err)
	}
	return got
}

// Object is one of JSON.
type Object map[string]any

// Container is one with its own network namespace.
type Container struct {
	t                 testing.TB
	network, endpoint string
	// Address is that of the container, with the length of its prefix.
	Address string
	pid     int
}

// Network makes a network with Gangway's address manager, with options by name and value, and
// returns its gateway.
func (d *Daemon) Network(id, subnet string, options ...any) (pool, gateway string) {
	d.t.Helper()
	got := d.Call("IpamDriver.RequestPool", Object{"AddressSpace": "gangway-local", "Pool": subnet})
	pool = got["PoolID"].(string)
	gateway = d.Call("IpamDriver.RequestAddress", Object{"PoolID": pool, "Options": Object{"RequestAddressType": "com.docker.network.gateway"}})["Address"].(string)
	d.Call("NetworkDriver.CreateNetwork", Object{
		"NetworkID": id, "Options": Object{"com.docker.network.generic": with(nil, options...)},
		"IPv4Data": []Object{{"AddressSpace": "gangway-local", "Gateway": gateway, "Pool": subnet}}, "IPv6Data": []Object{},
	})
	return pool, gateway
}

// Container joins a network and publishes a port.
func (d *Daemon) Container(network, endpoint, pool, gateway string, port int) *Container {
	d.t.Helper()
	c := &Container{t: d.t, network: network, endpoint: endpoint}
	c.Address = d.Call("IpamDriver.RequestAddress", Object{"PoolID": pool})["Address"].(string)
	ids := Object{"NetworkID": network, "EndpointID": endpoint}
	d.Call("NetworkDriver.CreateEndpoint", with(ids, "Interface", Object{"Address": c.Address}, "Options", Object{}))
	joined := d.Call("NetworkDriver.Join", with(ids, "SandboxKey", "/run/docker/netns/"+endpoint[:12], "Options", Object{}))
	sandbox := exec.Command("sleep", "infinity")
	sandbox.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := sandbox.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = sandbox.Process.Kill(); _ = sandbox.Wait() })
	c.pid = sandbox.Process.Pid
	link := joined["InterfaceName"].(map[string]any)["SrcName"].(string)
	Sh(d.t, fmt.Sprintf("ip link set %s netns %d", link, c.pid))
	c.Sh(fmt.Sprintf("sysctl -qw net.ipv6.conf.all.disable_ipv6=1; ip link set %[1]s name eth0; ip addr add %s dev eth0; ip link set eth0 up; ip route add default via %s", link, c.Address, Plain(gateway)))
	bindings := []Object{{"Proto": 6, "Port": 80, "HostPort": port, "HostPortEnd": port}}
	d.Call("NetworkDriver.ProgramExternalConnectivity", with(ids, "Options", Object{"com.docker.network.portmap": bindings}))
	return c
}

func with(of Object, more ...any) Object {
	all := Object{}
	for name, value := range of {
		all[name] = value
	}
	for i := 0; i < len(more); i += 2 {
		all[more[i].(string)] = more[i+1]
	}
	return all
}

// Plain is an address without its prefix length.
func Plain(prefix string) string {
	address, _, _ := strings.Cut(prefix, "/")
	return address
}

// Sh runs a script in the container's namespace.
func (c *Container) Sh(script string) string {
	c.t.Helper()
	return Sh(c.t, fmt.Sprintf("nsenter -t %d -n sh -ec '%s'", c.pid, script))
}

// Sh runs a script, which must not fail, and returns what it prints.
func Sh(t testing.TB, script string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-ec", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}
