package engine

import (
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// inn is a socket with a file beside it, and who connects to it.
type inn struct {
	*wake
	t       *testing.T
	pidFile string
}

func newInn(t *testing.T) inn {
	t.Helper()
	w := &wake{socket: filepath.Join(t.TempDir(), "docker.sock")}
	return inn{w, t, filepath.Join(filepath.Dir(w.socket), "docker.pid")}
}

// open makes the socket.
func (i inn) open() {
	i.t.Helper()
	l, err := new(net.ListenConfig).Listen(i.t.Context(), "unix", i.socket)
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { _ = l.Close() })
}

// visit connects for events, as to a socket that systemd holds if held is set: no test
// is process 1.
func (i inn) visit(held bool) {
	i.t.Helper()
	i.begin()
	c, err := i.listen(i.t.Context(), "", "")
	if err != nil {
		i.t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		i.t.Fatal(err)
	}
	i.held = i.held || held
}

// start writes the pid file so long after now.
func (i inn) start(after time.Duration) {
	i.t.Helper()
	if err := os.WriteFile(i.pidFile, []byte("12"), 0o600); err != nil {
		i.t.Fatal(err)
	}
	if err := os.Chtimes(i.pidFile, time.Time{}, time.Now().Add(after)); err != nil {
		i.t.Fatal(err)
	}
}

// want fails the test unless asking is safe, or is not.
func (i inn) want(when string, safe bool) {
	i.t.Helper()
	_, err := i.dial(i.t.Context(), "", "")
	if i.safe() != safe || errors.Is(err, errStopped) == safe {
		i.t.Errorf("%s: safe is %t (%v)", when, !safe, err)
	}
}

// TestWake: a socket that the engine has made itself can be asked any time.
func TestWake(t *testing.T) {
	i := newInn(t)
	i.want("before the engine's first start", true)
	i.open()
	i.visit(false)
	if _, err := i.listen(t.Context(), "", ""); err == nil {
		t.Error("connected for events a second time")
	}
	i.ended()
	i.want("after its end", true)
}

// TestWakeHeld: one that may be systemd's can be asked after the engine was started again
// only.
func TestWakeHeld(t *testing.T) {
	i := newInn(t)
	i.open()
	i.visit(true)
	i.want("while it tells its events", true)
	i.ended()
	i.want("without a pid file", false)
	i.start(0)
	i.want("after its start", true)
	i.visit(true)
	i.ended()
	i.want("with the pid file of the one that ended", false)
	i.start(time.Second)
	i.want("after its next start", true)
	if err := os.Remove(i.pidFile); err != nil {
		t.Fatal(err)
	}
	i.want("after its end", false)
}

// TestOneConnection: all questions for events go over one connection, and its end is the
// engine's.
func TestOneConnection(t *testing.T) {
	i := newInn(t)
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", i.socket)
	if err != nil {
		t.Fatal(err)
	}
	var connections, questions atomic.Int32
	second := make(chan struct{})
	server := &http.Server{
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if questions.Add(1) == 2 {
				close(second)
			}
			until, bad := strconv.ParseFloat(r.URL.Query().Get("until"), 64)
			if bad != nil {
				t.Error(bad)
			}
			select {
			case <-time.After(time.Until(time.UnixMicro(int64(until * 1e6)))):
			case <-r.Context().Done():
			}
		}),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				connections.Add(1)
			}
		},
	}
	go func() { _ = server.Serve(l) }()
	ended := make(chan error, 1)
	go func() { ended <- NewClient(i.socket).Changes(t.Context(), func() {}, func(Change) {}) }()
	<-second
	if err = server.Close(); err != nil {
		t.Error(err)
	}
	if err = <-ended; err == nil {
		t.Error("no error after the engine's end")
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}
