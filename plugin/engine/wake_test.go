package engine

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestWake: a socket that the engine has made itself can be asked any time; one that may
// be systemd's only after the engine was started again.
func TestWake(t *testing.T) {
	w := &wake{socket: filepath.Join(t.TempDir(), "docker.sock")}
	pidFile := filepath.Join(filepath.Dir(w.socket), "docker.pid")
	if _, err := w.listen(t.Context(), "", ""); err == nil || !w.safe() {
		t.Errorf("no engine yet: %v", err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", w.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	connect := func() {
		t.Helper()
		c, err := w.listen(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	connect()
	if w.ended(); !w.safe() {
		t.Error("the socket is this process's, and not safe")
	}
	w.held = true // no test is process 1
	if _, err := w.dial(t.Context(), "", ""); w.safe() || !errors.Is(err, errStopped) {
		t.Errorf("safe without a pid file: %v", err)
	}
	if err := os.WriteFile(pidFile, []byte("12"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !w.safe() {
		t.Error("not safe after the engine's start")
	}
	connect()
	if w.held = true; !w.safe() {
		t.Error("an engine that tells its events is not safe")
	}
	if w.ended(); w.safe() {
		t.Error("safe with the pid file of the engine that ended")
	}
	if err := os.Chtimes(pidFile, time.Time{}, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if !w.safe() {
		t.Error("not safe after the engine was started again")
	}
	if err := os.Remove(pidFile); err != nil {
		t.Fatal(err)
	}
	if w.safe() {
		t.Error("safe after the engine's end")
	}
}
