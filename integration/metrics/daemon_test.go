// Package metrics has Debian's Prometheus scrape the daemon, with containers whose links
// are moved as an engine moves them and that send real packets. It holds tests only.
package metrics

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

	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

func TestMain(m *testing.M) { nstest.Main(m) }

// address is where the daemon serves metrics.
const address = "127.0.0.1:9323"

// log is output that may be read while it is written.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// run starts a program until the test's end.
func run(t *testing.T, out *log, env []string, args ...string) *exec.Cmd {
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

// daemon is a running gangway.
type daemon struct {
	t      *testing.T
	log    *log
	client *http.Client
}

func startDaemon(t *testing.T) *daemon {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir+"/gangway", "../..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build gangway: %v\n%s", err, out)
	}
	d := &daemon{t: t, log: &log{}, client: testkit.UnixClient(dir+"/gangway.sock", testkit.Patience)}
	t.Cleanup(d.client.CloseIdleConnections)
	run(t, d.log, []string{"GANGWAY_METRICS=" + address, "GANGWAY_LOG_FORMAT=json", "GANGWAY_ENGINE=off"},
		dir+"/gangway", "serve", "--state", dir+"/state", "--socket", dir+"/gangway.sock")
	testkit.Eventually(t, "the daemon is ready", func() bool {
		resp, err := d.client.Get("http://gangway/gangway/v1/status")
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	})
	return d
}

// call sends a call, and returns its answer's fields.
func (d *daemon) call(op string, body object) object {
	d.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		d.t.Fatal(err)
	}
	status, answer, err := testkit.Call(d.client, op, string(text))
	if err != nil || status != http.StatusOK {
		d.t.Fatalf("%s: %d %s %v", op, status, answer, err)
	}
	var got object
	if err := json.Unmarshal([]byte(answer), &got); err != nil {
		d.t.Fatal(err)
	}
	return got
}

type object map[string]any

// container is one with its own network namespace.
type container struct {
	t                 *testing.T
	network, endpoint string
	address           string
	pid               int
}

// network makes a network with Gangway's address manager, and returns its gateway.
func (d *daemon) network(id, subnet string) (pool, gateway string) {
	d.t.Helper()
	got := d.call("IpamDriver.RequestPool", object{"AddressSpace": "gangway-local", "Pool": subnet})
	pool = got["PoolID"].(string)
	gateway = d.call("IpamDriver.RequestAddress", object{"PoolID": pool, "Options": object{"RequestAddressType": "com.docker.network.gateway"}})["Address"].(string)
	d.call("NetworkDriver.CreateNetwork", object{
		"NetworkID": id, "Options": object{"com.docker.network.generic": object{}},
		"IPv4Data": []object{{"AddressSpace": "gangway-local", "Gateway": gateway, "Pool": subnet}}, "IPv6Data": []object{},
	})
	return pool, gateway
}

// container joins a network and publishes a port.
func (d *daemon) container(network, endpoint, pool, gateway string, port int) *container {
	d.t.Helper()
	c := &container{t: d.t, network: network, endpoint: endpoint}
	c.address = d.call("IpamDriver.RequestAddress", object{"PoolID": pool})["Address"].(string)
	ids := object{"NetworkID": network, "EndpointID": endpoint}
	d.call("NetworkDriver.CreateEndpoint", with(ids, "Interface", object{"Address": c.address}, "Options", object{}))
	joined := d.call("NetworkDriver.Join", with(ids, "SandboxKey", "/run/docker/netns/"+endpoint[:12], "Options", object{}))
	sandbox := exec.Command("sleep", "infinity")
	sandbox.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := sandbox.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = sandbox.Process.Kill(); _ = sandbox.Wait() })
	c.pid = sandbox.Process.Pid
	link := joined["InterfaceName"].(map[string]any)["SrcName"].(string)
	sh(d.t, fmt.Sprintf("ip link set %s netns %d", link, c.pid))
	c.sh(fmt.Sprintf("sysctl -qw net.ipv6.conf.all.disable_ipv6=1; ip link set %[1]s name eth0; ip addr add %s dev eth0; ip link set eth0 up; ip route add default via %s", link, c.address, plain(gateway)))
	bindings := []object{{"Proto": 6, "Port": 80, "HostPort": port, "HostPortEnd": port}}
	d.call("NetworkDriver.ProgramExternalConnectivity", with(ids, "Options", object{"com.docker.network.portmap": bindings}))
	return c
}

func with(of object, more ...any) object {
	all := object{}
	for name, value := range of {
		all[name] = value
	}
	for i := 0; i < len(more); i += 2 {
		all[more[i].(string)] = more[i+1]
	}
	return all
}

// plain is an address without its prefix length.
func plain(prefix string) string {
	address, _, _ := strings.Cut(prefix, "/")
	return address
}

// sh runs a script in the container's namespace.
func (c *container) sh(script string) string {
	c.t.Helper()
	return sh(c.t, fmt.Sprintf("nsenter -t %d -n sh -ec '%s'", c.pid, script))
}

func sh(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-ec", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// need skips a test of programs that the machine lacks, unless nothing may be left out.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing: scripts/deps.sh test installs it", p)
		}
		t.Skipf("%s is missing: scripts/deps.sh test installs it", p)
	}
}
