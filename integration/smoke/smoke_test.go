// Package smoke starts the daemon as a service manager does and sends it what an
// engine sent, beside containers whose links are moved as the engine moves them.
// It is short: kernels that are emulated run it too. It holds tests only.
package smoke

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

// patience is how long the daemon may take to be ready, and for a call. What it
// promises is not the question here, and a machine may be emulated on a busy host.
const patience = 10 * time.Minute

func TestMain(m *testing.M) { nstest.Main(m) }

// binary is the program to start: GANGWAY_TEST_BINARY, or this tree's.
func binary(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("GANGWAY_TEST_BINARY"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "gangway")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build gangway: %v\n%s", err, out)
	}
	return path
}

// TestSmoke: every call of a recording succeeds, the container reaches its gateway,
// nothing is repaired or wrong, nothing is left, and the daemon says what protects the
// networks on this kernel.
func TestSmoke(t *testing.T) {
	path := binary(t)
	text, err := os.ReadFile(filepath.Join("..", "..", "plugin", "testdata", "engine-29-container-life.txt"))
	if err != nil {
		t.Fatal(err)
	}
	// The recorder's user gave an option that no address manager has.
	calls := strings.ReplaceAll(string(text), `"Options":{"gangway.x":"1"}`, `"Options":null`)
	// Rules that the daemon leaves where it was who turned this on are no matter here.
	for _, setting := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		if err := os.WriteFile("/proc/sys/net/"+setting, []byte("1"), 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, backend := range []string{"auto", "iptables"} {
		t.Run(backend, func(t *testing.T) {
			d := start(t, path, backend, t.TempDir())
			defer d.end()
			for line := range strings.Lines(calls) {
				if op, body, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " "); strings.HasPrefix(op, "/") {
					d.call(op, body)
				}
			}
			d.check(backend)
		})
	}
}

// daemon is a running gangway with its containers.
type daemon struct {
	t      *testing.T
	cmd    *exec.Cmd
	log    bytes.Buffer
	client *http.Client
	// boxes are containers by sandbox key, inside the links in them by endpoint.
	boxes   map[string]*exec.Cmd
	inside  map[string]box
	pinged  int
	gateway map[string]string
}

type box struct {
	pid        int
	name, peer string
}

// start starts the daemon, with its state in a folder, and waits until all is well.
func start(t *testing.T, path, backend, dir string) *daemon {
	t.Helper()
	d := launch(t, path, backend, dir)
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		resp, err := d.client.Get("http://gangway/gangway/v1/health")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return d
			}
		}
		if time.Now().After(deadline) {
			d.end()
			t.Fatalf("the daemon does not get ready: %v\n%s", err, d.log.String())
		}
	}
}

// launch starts the daemon.
func launch(t *testing.T, path, backend, dir string) *daemon {
	t.Helper()
	socket := filepath.Join(dir, "gangway.sock")
	d := &daemon{t: t, client: testkit.UnixClient(socket, patience), boxes: map[string]*exec.Cmd{}, inside: map[string]box{}, gateway: map[string]string{}}
	d.cmd = exec.Command(path, "serve", "--state", filepath.Join(dir, "state"), "--socket", socket)
	d.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "GANGWAY_FIREWALL=" + backend, "GANGWAY_ENGINE=off", "GANGWAY_LOG_LEVEL=debug"}
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return d
}

// end ends the daemon and the containers. A daemon that does not end says where it is.
func (d *daemon) end() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	hung := time.AfterFunc(patience, func() {
		d.t.Error("the daemon does not end")
		_ = d.cmd.Process.Signal(syscall.SIGQUIT)
	})
	_ = d.cmd.Wait()
	hung.Stop()
	d.client.CloseIdleConnections()
	for _, b := range d.boxes {
		_ = b.Process.Kill()
		_ = b.Wait()
	}
}

func (d *daemon) sh(script string) string {
	d.t.Helper()
	out, err := exec.CommandContext(d.t.Context(), "sh", "-ec", script).CombinedOutput()
	if err != nil {
		d.t.Fatalf("%s: %v\n%s\n%s", script, err, out, d.log.String())
	}
	return string(out)
}

// call sends one call, and does what the engine does beside it.
func (d *daemon) call(op, body string) {
	d.t.Helper()
	status, answer, err := d.send(strings.TrimPrefix(op, "/"), body)
	if err != nil || status != http.StatusOK {
		d.t.Fatalf("%s %s: %d %s %v\n%s", op, body, status, answer, err, d.log.String())
	}
	var r struct {
		EndpointID, SandboxKey string
		Interface              struct{ Address string }
	}
	_ = json.Unmarshal([]byte(body), &r)
	switch op {
	case "/NetworkDriver.CreateEndpoint":
		d.gateway[r.EndpointID] = r.Interface.Address
	case "/NetworkDriver.Join":
		var joined struct{ Gateway string }
		_ = json.Unmarshal([]byte(answer), &joined)
		d.moveIn(r.EndpointID, r.SandboxKey, joined.Gateway)
	case "/NetworkDriver.Leave":
		d.moveOut(r.EndpointID)
	}
}

// send sends a call until it is answered: a busy machine that emulates another one may
// need several times what an engine waits for. What did not end in time is undone.
func (d *daemon) send(op, body string) (status int, answer string, err error) {
	d.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		status, answer, err = testkit.Call(d.client, op, body)
		late := err != nil || strings.Contains(answer, "gave up")
		if !late || time.Now().After(deadline) {
			return status, answer, err
		}
		d.t.Logf("once more: %s: %s %v", op, answer, err)
	}
}

// moveIn moves a link into its container, and asks the gateway from there.
func (d *daemon) moveIn(endpoint, key, gateway string) {
	d.t.Helper()
	b := d.boxes[key]
	if b == nil {
		b = exec.Command("sleep", "infinity")
		b.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
		if err := b.Start(); err != nil {
			d.t.Fatal(err)
		}
		d.boxes[key] = b
	}
	in := box{b.Process.Pid, fmt.Sprintf("eth%d", len(d.inside)), "gp-" + endpoint}
	d.inside[endpoint] = in
	d.sh(fmt.Sprintf("ip link set %s netns %d; nsenter -t %[2]d -n sh -ec 'ip link set %[1]s name %[3]s; ip link set %[3]s up'", in.peer, in.pid, in.name))
	if address := d.gateway[endpoint]; address != "" && gateway != "" {
		d.sh(fmt.Sprintf("nsenter -t %d -n sh -ec 'ip addr add %s dev %s; ping -c 1 -w 10 %s'", in.pid, address, in.name, gateway))
		d.pinged++
	}
}

func (d *daemon) moveOut(endpoint string) {
	d.t.Helper()
	in, there := d.inside[endpoint]
	if !there {
		return // Leave is sent twice at times
	}
	delete(d.inside, endpoint)
	d.sh(fmt.Sprintf("nsenter -t %d -n sh -ec 'ip addr flush dev %s; ip link set %[2]s down; ip link set %[2]s name %[3]s; ip link set %[3]s netns %[4]d'",
		in.pid, in.name, in.peer, os.Getpid()))
}

// check looks at what the daemon says and at what is left.
func (d *daemon) check(backend string) {
	d.t.Helper()
	resp, err := d.client.Get("http://gangway/gangway/v1/status")
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	var s struct {
		State, Firewall, Protection, Unguarded string
		Causes                                 []struct{ What string }
		Networks, Endpoints, Repairs           int
	}
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		d.t.Fatal(err)
	}
	d.t.Logf("%s: %+v, %d gateways answered", testkit.KernelRelease(), s, d.pinged)
	wantFirewall, wantProtection := expected(backend)
	if s.State != "ok" || s.Firewall != wantFirewall || s.Protection != wantProtection || (s.Unguarded != "") != testkit.KernelBars("cls_bpf") || s.Networks+s.Endpoints+s.Repairs != 0 {
		d.t.Errorf("the status is %+v; want no repair, %s with the protection %q\n%s", s, wantFirewall, wantProtection, d.log.String())
	}
	if d.pinged == 0 {
		d.t.Error("no container asked its gateway")
	}
	if text := d.log.String(); strings.Contains(text, "panic") || strings.Contains(text, "level=fatal") {
		d.t.Errorf("the log:\n%s", text)
	}
	if left := d.sh("ip -o link show | grep -E ' g[wpv]-' || :"); left != "" {
		d.t.Errorf("left behind:\n%s\n%s", left, d.log.String())
	}
	// The table of the nftables backend stays, without networks in it.
	if left := d.sh("{ iptables-save; ip6tables-save; iptables-legacy-save; ip6tables-legacy-save; nft list ruleset; } 2>/dev/null | grep -E 'GANGWAY|gangway' | grep -v '^table inet gangway {' || :"); left != "" {
		d.t.Errorf("left behind:\n%s", left)
	}
}

// expected is the backend and the protection that this kernel has by its version:
// a distribution that took a feature over earlier would show here.
func expected(backend string) (firewall, protection string) {
	firewall, protection = "nftables", "none"
	if backend == "iptables" || !testkit.KernelHas(5, 6) {
		firewall = "iptables"
	}
	if testkit.KernelBars("nf_tables") {
		return "iptables", "none"
	}
	if testkit.KernelHas(5, 12) {
		protection = "fail-closed table"
	}
	if firewall == "nftables" && testkit.KernelHas(6, 9) {
		protection = "owned table"
	}
	return firewall, protection
}
