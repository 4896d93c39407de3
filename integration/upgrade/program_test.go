package upgrade

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
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/integration/testkit"
)

// today builds the program of this tree, once a run.
var today = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gangway-upgrade")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "gangway")
	cmd := exec.Command("go", "build", "-o", path, "../..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build gangway: %w\n%s", err, out)
	}
	return path, nil
})

// program is a running gangway.
type program struct {
	cmd    *exec.Cmd
	log    bytes.Buffer
	client *http.Client
	ended  chan error
}

// launch starts a program on a state folder; it ends with the test at the
// latest.
func launch(t *testing.T, path, state string) *program {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "gangway.sock")
	p := &program{ended: make(chan error, 1)}
	p.cmd = exec.Command(path, "serve", "--state", state, "--socket", socket)
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH")} // unknown settings are refused
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.client = testkit.UnixClient(socket, testkit.Patience)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		p.client.CloseIdleConnections()
	})
	return p
}

// start launches a program and waits until it has restored its networks.
func start(t *testing.T, path, state string) *program {
	t.Helper()
	p := launch(t, path, state)
	for deadline := time.Now().Add(testkit.Patience); ; time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-p.ended:
			t.Fatalf("gangway has ended: %v\n%s", err, p.log.String())
		default:
		}
		if p.healthy() {
			return p
		}
		if time.Now().After(deadline) {
			t.Fatalf("gangway does not get ready:\n%s", p.log.String())
		}
	}
}

func (p *program) healthy() bool {
	resp, err := p.client.Get("http://gangway/gangway/v1/health")
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// stop ends the program as a service manager does, and returns its log.
func (p *program) stop(t *testing.T) string {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.wait(t)
	return p.log.String()
}

// wait returns what the program ended with.
func (p *program) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(testkit.Patience):
		t.Fatal("gangway does not end")
		return nil
	}
}

// call is one request of the engine and its answer.
type call struct{ op, body, answer string }

// ask sends a body as the engine does; a refusal is an error.
func (p *program) ask(op, body string) (answer string, err error) {
	status, answer, err := testkit.Call(p.client, op, body)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s %s: %d %s", op, body, status, answer)
	}
	return answer, err
}

func (p *program) must(t *testing.T, op, body string) string {
	t.Helper()
	answer, err := p.ask(op, body)
	if err != nil {
		t.Fatalf("%v\n%s", err, p.log.String())
	}
	return answer
}

// repeat sends calls again, as an engine does that has started anew: with what
// it was given in the place of what it asked for. The answers must be the same,
// but for hardware addresses of endpoints that did not survive.
func (p *program) repeat(t *testing.T, calls []call, survived bool) {
	t.Helper()
	p.must(t, "IpamDriver.GetCapabilities", "")
	taken := map[string]bool{}
	for _, c := range calls {
		if c.op == policiesOp {
			p.must(t, c.op, c.body)
			continue
		}
		if mac := macOf(t, c); mac != "" {
			// Earlier versions let two containers have one hardware address.
			if taken[mac] && !survived {
				continue
			}
			taken[mac] = true
		}
		got := p.must(t, c.op, explicit(t, c))
		if c.op == "NetworkDriver.CreateEndpoint" && !survived {
			continue
		}
		if diff := cmp.Diff(decode(t, c.answer), decode(t, got)); diff != "" {
			t.Errorf("%s %s: another answer (-then +now):\n%s", c.op, c.body, diff)
		}
	}
}

// macOf is the hardware address that an endpoint is made with, and its network.
func macOf(t *testing.T, c call) string {
	t.Helper()
	if c.op != "NetworkDriver.CreateEndpoint" {
		return ""
	}
	body, answer := decode(t, c.body), decode(t, c.answer)
	for _, from := range []any{body["Interface"], answer["Interface"]} {
		if iface, ok := from.(map[string]any); ok && text(iface["MacAddress"]) != "" {
			return text(body["NetworkID"]) + " " + text(iface["MacAddress"])
		}
	}
	return ""
}

// explicit is the body of a call that asks for what the answer to it was.
func explicit(t *testing.T, c call) string {
	t.Helper()
	body, answer := decode(t, c.body), decode(t, c.answer)
	switch c.op {
	case "IpamDriver.RequestPool":
		body["Pool"] = answer["Pool"]
	case "IpamDriver.RequestAddress":
		body["Address"], _, _ = strings.Cut(text(answer["Address"]), "/")
	}
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// removal is what the engine asks for to get rid of everything, the last first.
func removal(t *testing.T, calls []call) []call {
	t.Helper()
	var out []call
	add := func(op string, body map[string]any) {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, call{op: op, body: string(b)})
	}
	for i := range calls {
		c := calls[len(calls)-1-i]
		body, answer := decode(t, c.body), decode(t, c.answer)
		switch c.op {
		case "NetworkDriver.CreateEndpoint":
			for _, op := range []string{"RevokeExternalConnectivity", "Leave", "DeleteEndpoint"} {
				add("NetworkDriver."+op, map[string]any{"NetworkID": body["NetworkID"], "EndpointID": body["EndpointID"]})
			}
		case "NetworkDriver.CreateNetwork":
			add("NetworkDriver.DeleteNetwork", map[string]any{"NetworkID": body["NetworkID"]})
		case "IpamDriver.RequestAddress":
			address, _, _ := strings.Cut(text(answer["Address"]), "/")
			add("IpamDriver.ReleaseAddress", map[string]any{"PoolID": body["PoolID"], "Address": address})
		case "IpamDriver.RequestPool":
			add("IpamDriver.ReleasePool", map[string]any{"PoolID": answer["PoolID"]})
		}
	}
	return out
}

func (p *program) removeAll(t *testing.T, calls []call) {
	t.Helper()
	for _, c := range removal(t, calls) {
		p.must(t, c.op, c.body)
	}
}

func decode(t *testing.T, object string) map[string]any {
	t.Helper()
	out := map[string]any{}
	if object == "" {
		return out
	}
	if err := json.Unmarshal([]byte(object), &out); err != nil {
		t.Fatalf("%s: %v", object, err)
	}
	return out
}

func text(v any) string {
	s, _ := v.(string)
	return s
}
