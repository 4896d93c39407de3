package integration

import (
	"bufio"
	"errors"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
	"github.com/gangway-net/gangway/integration/testkit"
)

// testPage: the page of gangway ui is told of a container by its name, of what it is refused,
// and so is the picture; when nobody looks the rules log no more.
func testPage(t *testing.T, e *harness.Engine) {
	const socket, token = "/run/gangway-page.sock", "0123456789abcdef"
	e.Network(t, "n1", "--subnet", "10.96.0.0/24")
	e.Network(t, "n2", "--subnet", "10.97.0.0/24")
	e.Sleep(t, harness.Container{Name: "seen", Network: "n1", Args: append([]string{"--ip", "10.96.0.9"}, publish("8096:80")...)})
	e.Sleep(t, harness.Container{Name: "hostile", Network: "n2", Args: []string{"--ip", "10.97.0.9"}})
	known(t, e, "seen", "hostile")
	if picture := e.Gangway(t, "graph", "--format", "dot", "--network", "n1"); !strings.Contains(picture, `label="seen\n10.96.0.9"`) || !strings.Contains(picture, "8096/tcp") || strings.Contains(picture, "hostile") {
		t.Errorf("gangway graph:\n%s", picture)
	}

	cmd := e.GangwayCommand(t.Context(), "ui", "--listen", "unix:"+socket)
	cmd.Env = append(cmd.Environ(), "GANGWAY_PAGE_TOKEN="+token)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.Contains(line, socket) || !strings.Contains(line, token) {
		t.Fatalf("gangway ui prints %q: %v", line, err)
	}
	client := testkit.UnixClient(e.Path(socket), time.Minute)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _ = resp.Body.Close(); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without the token: %s", resp.Status)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if resp, err = client.Do(req); err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReaderSize(resp.Body, 1<<20)
	tell(t, lines, `"containerName":"seen"`, `"networkName":"n1"`, `"first":8096`)
	harness.Eventually(t, "rules that log", func() error {
		if !logsRefused(t, e) {
			return errors.New("the rules do not log")
		}
		return nil
	})
	e.Inside("hostile").Unreachable(t, "tcp", "10.96.0.9:80")
	tell(t, lines, `"packets":[{`, `"reason":"isolated"`, `"containerName":"hostile"`)
	_ = resp.Body.Close()
	client.CloseIdleConnections()
	logsNoMore(t, e)
	// The command is a child of the one that enters the node.
	if err = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

// tell reads lines until one has all words.
func tell(t *testing.T, lines *bufio.Reader, words ...string) {
	t.Helper()
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the page is never told %v: %v", words, err)
		}
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			return
		}
	}
}
