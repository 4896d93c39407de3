package cli

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/integration/testkit"
)

// screen is output that may be read while it is written.
type screen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// ui runs the command until the test's end, and returns what it has printed first.
func ui(t *testing.T, dir, listen string) (line string) {
	t.Helper()
	var out screen
	ctx, stop := context.WithCancel(t.Context())
	root := New(Options{PluginDir: dir})
	root.SetArgs([]string{"ui", "--listen", listen})
	root.SetOut(&out)
	root.SetErr(&out)
	code := make(chan int, 1)
	go func() { code <- Execute(ctx, root, &out) }()
	t.Cleanup(func() {
		stop()
		if c := <-code; c != 0 {
			t.Errorf("gangway ui ends with %d: %s", c, &out)
		}
	})
	testkit.Eventually(t, "the page is served", func() bool { return strings.Contains(out.String(), "\n") })
	return out.String()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func first(t *testing.T, client *http.Client, url, token string) (status int, line string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b := make([]byte, 1<<16)
	n, _ := resp.Body.Read(b)
	return resp.StatusCode, string(b[:n])
}

// TestUI: the address that is printed leads to the daemon's containers, and without its
// token to none.
func TestUI(t *testing.T) {
	t.Setenv(tokenVariable, "")
	dir := host(t, namedHost())
	line := ui(t, dir, freeAddress(t))
	address, rest, _ := strings.Cut(strings.TrimPrefix(line, "The page is at "), "#token=")
	token, _, _ := strings.Cut(rest, " ")
	if len(token) < 20 || !strings.HasPrefix(address, "http://127.0.0.1:") {
		t.Fatalf("gangway ui prints %q", line)
	}
	if status, text := first(t, http.DefaultClient, address, ""); status != 200 || !strings.Contains(text, "<!doctype html>") {
		t.Errorf("the page: %d %.100s", status, text)
	}
	for _, wrong := range []string{"", "x", token + "x"} {
		if status, text := first(t, http.DefaultClient, address+"live", wrong); status != 401 || strings.Contains(text, "shop") {
			t.Errorf("token %q: %d %.100s", wrong, status, text)
		}
	}
	if status, text := first(t, http.DefaultClient, address+"live", token); status != 200 || !strings.Contains(text, `"containerName":"shop-web-1"`) {
		t.Errorf("with the token: %d %.200s", status, text)
	}
	if again := ui(t, dir, freeAddress(t)); strings.Contains(again, token) {
		t.Error("the token is the same the next time")
	}
}

// TestUIToken: the environment may say the token, and a socket is served as well.
func TestUIToken(t *testing.T) {
	const token = "0123456789abcdef"
	dir := host(t, namedHost())
	t.Setenv(tokenVariable, token[:10])
	r := gangway(t, dir, "ui")
	if r.code == 0 || !strings.Contains(r.stderr, tokenVariable) || strings.Contains(r.stderr, token[:10]) {
		t.Errorf("a short token: %+v", r)
	}
	t.Setenv(tokenVariable, token)
	path := filepath.Join(t.TempDir(), "ui.sock")
	ui(t, dir, "unix:"+path)
	client := testkit.UnixClient(path, 0)
	if status, text := first(t, client, "http://localhost/live", token); status != 200 || !strings.Contains(text, "shop-db-1") {
		t.Errorf("on a socket: %d %.200s", status, text)
	}
	client.CloseIdleConnections()
}

// TestUIErrors: what is in the way is said before anything is served.
func TestUIErrors(t *testing.T) {
	t.Setenv(tokenVariable, "")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct{ dir, listen, want string }{
		{t.TempDir(), freeAddress(t), "no gangway daemon is running"},
		{host(t, namedHost()), taken.Addr().String(), "choose another address with --listen"},
	} {
		r := gangway(t, c.dir, "ui", "--listen", c.listen)
		if r.code != 1 || !strings.Contains(r.stderr, c.want) || r.stdout != "" {
			t.Errorf("%+v, want %q", r, c.want)
		}
	}
}

// TestUIAddress: what is printed can be opened.
func TestUIAddress(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:80": "http://127.0.0.1:80/#token=T", "[::1]:80": "http://[::1]:80/#token=T", "0.0.0.0:80": "http://localhost:80/#token=T",
		"[::]:80": "http://localhost:80/#token=T", "unix:/s": "unix:/s, with the token T",
	} {
		at, err := config.ParseListen(listen)
		if got := uiURL(at, "T"); err != nil || got != want {
			t.Errorf("%s: %s (%v), want %s", listen, got, err, want)
		}
	}
}
