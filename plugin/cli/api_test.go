package cli

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/testkit"
)

// fakeEngine answers every request with one container, which is on an endpoint.
func fakeEngine(t *testing.T, endpoint string) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"NetworkSettings":{"Ports":{},"Networks":{"n":{"EndpointID":"`+endpoint+`"}}}}`)
	})}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return socket
}

// getAPI asks on the second socket until there is an answer.
func getAPI(t *testing.T, socket string, ended <-chan result) string {
	t.Helper()
	client := testkit.UnixClient(socket, 20*time.Second)
	defer client.CloseIdleConnections()
	deadline := time.Now().Add(20 * time.Second)
	for {
		resp, err := client.Get("http://docker/containers/c/json")
		if err == nil {
			defer resp.Body.Close()
			body, bad := io.ReadAll(resp.Body)
			if bad != nil {
				t.Fatal(bad)
			}
			return string(body)
		}
		select {
		case r := <-ended:
			t.Fatalf("gangway api has ended: %+v", r)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestAPI: the daemon is found wherever it is, and asked at each request; an interrupt
// ends the command in order.
func TestAPI(t *testing.T) {
	dir := host(t, busyHost())
	served := filepath.Join(t.TempDir(), "docker.sock")
	base := []string{"api", "--socket", served, "--engine", fakeEngine(t, ep1), "--group", "root"}
	for name, c := range map[string]struct {
		dir, want string
		args      []string
	}{
		"found":   {dir, `"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8000"},{"HostIp":"::","HostPort":"8000"}]`, nil},
		"chosen":  {t.TempDir(), `"443/tcp":[{"HostIp":"::1","HostPort":"443"}]`, []string{"--daemon", filepath.Join(dir, socketName)}},
		"missing": {t.TempDir(), `"Ports":{},`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan result, 1)
			go func() { ended <- gangwayUntil(ctx, c.dir, append(base, c.args...)...) }()
			if got := getAPI(t, served, ended); !strings.Contains(got, c.want) {
				t.Errorf("no %s in %s", c.want, got)
			}
			stop()
			if r := <-ended; r.code != 0 || r.stderr != "" {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestAPIRefuses(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "docker.sock")
	for want, args := range map[string][]string{
		"want an absolute path":             {"--engine", "docker.sock", "--socket", socket},
		`socket "docker.sock": want an abs`: {"--socket", "docker.sock"},
		"no-such-group":                     {"--socket", socket, "--group", "no-such-group"},
		"the engine's own":                  {"--socket", socket, "--group", "root", "--engine", socket},
		`unexpected argument "x"`:           {"x"},
	} {
		fails(t, gangway(t, dir, append([]string{"api"}, args...)...), "gangway api: ", want)
	}
}
