package integration

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testCapture: what a container gets and sends is captured until it ends, and tcpdump reads
// it.
func testCapture(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.93.0.0/24")
	e.Serve(t, harness.Container{Name: "web", Network: "n1", Args: publish("8000:80")}, "tcp", "0.0.0.0:80")
	path := filepath.Join(t.TempDir(), "web.pcapng")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	cmd := e.GangwayCommand(t.Context(), "capture", "web")
	cmd.Stdout = out
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err = cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(stderr)
	if line, failed := said.ReadString('\n'); failed != nil || !strings.Contains(line, "container web, network n1") {
		t.Errorf("gangway capture says %q: %v", line, failed)
	}
	by(t, "the port", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8000"), "web")
	e.Docker(t, "rm", "-f", "web")
	rest, err := io.ReadAll(said)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil || !strings.Contains(string(rest), "the container has left") || !strings.Contains(string(rest), " 0 dropped by the kernel") {
		t.Errorf("gangway capture ends with %v:\n%s", err, rest)
	}
	for filter, want := range map[string]int{
		"dst host 10.93.0.2 and dst port 80 and tcp[tcpflags] == tcp-syn":             1,
		"src host 10.93.0.2 and src port 80 and tcp[tcpflags] == (tcp-syn | tcp-ack)": 1,
	} {
		var errors bytes.Buffer
		read := exec.CommandContext(t.Context(), "tcpdump", "-nr", path, filter)
		read.Stderr = &errors
		lines, err := read.Output()
		if got := strings.Count(string(lines), "\n"); err != nil || got != want {
			t.Errorf("tcpdump reads %d packets of %q: %v\n%s%s", got, filter, err, lines, errors.String())
		}
	}
}
