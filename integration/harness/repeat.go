package harness

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Repeat asks a probe server every 100 ms, each time by a new connection, until
// its Stop is called.
func (h *Host) Repeat(t testing.TB, proto, addr string) *Repeat {
	t.Helper()
	return h.repeat(t, h.probe, "repeat", proto, addr)
}

// RepeatInside asks from a running container's network. It goes on whatever
// becomes of the engine.
func (e *Engine) RepeatInside(t testing.TB, container, proto, addr string) *Repeat {
	t.Helper()
	pid := e.Docker(t, "inspect", "--format", "{{.State.Pid}}", container)
	return e.repeat(t, "nsenter", "--target", pid, "--net", e.probe, "repeat", proto, addr)
}

func (h *Host) repeat(t testing.TB, args ...string) *Repeat {
	t.Helper()
	log := filepath.Join(t.TempDir(), "repeat.log")
	p, err := h.startProcess(log, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Signal(t, 9, 10*time.Second) })
	Eventually(t, 10*time.Second, strings.Join(args, " "), func() error {
		if strings.Contains(p.Output(t), "open") {
			return nil
		}
		return p.exitedOr("not open")
	})
	return &Repeat{process: p, what: strings.Join(args[len(args)-2:], " ")}
}

// Repeat is a row of questions.
type Repeat struct {
	process *Process
	what    string
}

// Stop ends the row, fails the test if an answer was missing, and returns how
// many questions there were.
func (r *Repeat) Stop(t testing.TB) (asked int) {
	t.Helper()
	r.process.Signal(t, 15, 20*time.Second)
	out := r.process.Output(t)
	lost := -1
	if _, rest, ok := strings.Cut(out, "asked="); ok {
		if _, err := fmt.Sscanf(rest, "%d lost=%d", &asked, &lost); err != nil {
			t.Fatalf("questions to %s: %v in:\n%s", r.what, err, out)
		}
	}
	if lost != 0 {
		t.Errorf("questions to %s: %d of %d lost:\n%s", r.what, lost, asked, out)
	}
	return asked
}
