package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/integration/testkit"
)

// buffer is a log that may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// reset forgets what was written.
func (b *buffer) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b.Reset()
}

// daemon is a server on a real socket, and a client of it.
type daemon struct {
	*Server
	domain *recorder
	log    *buffer
	sock   *Socket
	client *http.Client
	// stop ends Serve; ended has its error then.
	stop  context.CancelFunc
	ended chan error
}

func newServer(t testing.TB, change func(*Options)) (*Server, *recorder, *buffer) {
	t.Helper()
	domain, out := &recorder{}, &buffer{}
	logger := logrus.New()
	logger.SetOutput(out)
	logger.SetLevel(logrus.DebugLevel)
	o := Options{Networks: domain, Addresses: domain, Inspector: inspector{domain}, Log: logrus.NewEntry(logger), Version: Version{Version: "v1"}}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s, domain, out
}

// start runs a daemon; it is not ready yet.
func start(t *testing.T, change func(*Options), prepare ...func(*Server)) *daemon {
	t.Helper()
	s, domain, out := newServer(t, change)
	for _, p := range prepare {
		p(s)
	}
	sock, err := Listen(t.Context(), filepath.Join(t.TempDir(), "plugins", "gangway.sock"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	d := &daemon{Server: s, domain: domain, log: out, sock: sock, client: testkit.UnixClient(sock.path, testkit.Patience), stop: stop, ended: make(chan error, 1)}
	go func() { d.ended <- s.Serve(ctx, sock); close(d.ended) }()
	t.Cleanup(func() {
		stop()
		d.wait(t)
		d.client.CloseIdleConnections()
		domain.mu.Lock()
		defer domain.mu.Unlock()
		for _, bad := range domain.invalid {
			t.Errorf("a call reached the domain that does not hold: %s", bad)
		}
	})
	return d
}

// ready is start and Ready.
func ready(t *testing.T, change func(*Options)) *daemon {
	t.Helper()
	d := start(t, change)
	d.Ready()
	return d
}

// wait returns what Serve ended with.
func (d *daemon) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-d.ended:
		return err
	case <-time.After(testkit.Patience):
		t.Fatal("Serve does not end")
		return nil
	}
}

// call sends a body as the engine does and returns status and answer.
func (d *daemon) call(t *testing.T, op, body string) (int, string) {
	t.Helper()
	status, answer, err := testkit.Call(d.client, op, body)
	if err != nil {
		t.Fatalf("%s: %v", op, err)
	}
	return status, answer
}

// refused sends a body and returns the error's text; both fields must have it.
func (d *daemon) refused(t *testing.T, op, body string, want int) string {
	t.Helper()
	status, answer := d.call(t, op, body)
	var e errorResponse
	if err := json.Unmarshal([]byte(answer), &e); err != nil {
		t.Fatalf("%s: answer %q: %v", op, answer, err)
	}
	if status != want || e.Err == "" || e.Err != e.Error {
		t.Fatalf("%s %.80q: got %d %s, want %d with Err and Error", op, body, status, answer, want)
	}
	return e.Err
}
