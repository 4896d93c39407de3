package harness

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Repeat asks a probe server again and again, each time by a new connection,
// until its Stop or Row is called: every 100 ms unless the flags of probe say
// otherwise.
func (h *Host) Repeat(t testing.TB, proto, addr string, flags ...string) *Repeat {
	t.Helper()
	return h.repeat(t, append(append([]string{h.probe, "repeat"}, flags...), proto, addr)...)
}

// RepeatInside asks from a running container's network. It goes on whatever
// becomes of the engine.
func (e *Engine) RepeatInside(t testing.TB, container, proto, addr string, flags ...string) *Repeat {
	t.Helper()
	pid := e.Docker(t, "inspect", "--format", "{{.State.Pid}}", container)
	args := append([]string{"nsenter", "--target", pid, "--net", e.probe, "repeat"}, flags...)
	return e.repeat(t, append(args, proto, addr)...)
}

func (h *Host) repeat(t testing.TB, args ...string) *Repeat {
	t.Helper()
	log := filepath.Join(t.TempDir(), "repeat.log")
	p, err := h.startProcess(log, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Signal(t, 9) })
	Eventually(t, strings.Join(args, " "), func() error {
		if strings.Contains(p.output(t), "open") {
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

// Question is one of a row.
type Question struct {
	// Asked is when, by the machine's clock.
	Asked time.Time
	// Answered says that the answer came in time; Error is what came instead.
	Answered bool
	Error    string
}

// Row ends the row and returns its questions in their order.
func (r *Repeat) Row(t testing.TB) []Question {
	t.Helper()
	r.process.Signal(t, 15)
	out := r.process.output(t)
	var row []Question
	for _, line := range strings.Split(out, "\n") {
		at, result, _ := strings.Cut(line, " ")
		if ns, err := strconv.ParseInt(at, 10, 64); err == nil {
			row = append(row, Question{Asked: time.Unix(0, ns), Answered: result == "answered", Error: result})
		}
	}
	if !strings.Contains(out, fmt.Sprintf("asked=%d ", len(row))) {
		t.Fatalf("questions to %s broke off:\n%s", r.what, out)
	}
	slices.SortFunc(row, func(a, b Question) int { return a.Asked.Compare(b.Asked) })
	return row
}

// Stop ends the row, fails the test if an answer was missing, and returns how
// many questions there were.
func (r *Repeat) Stop(t testing.TB) (asked int) {
	t.Helper()
	row := r.Row(t)
	for _, q := range row {
		if !q.Answered {
			t.Errorf("question to %s at %s lost: %s", r.what, q.Asked.Format(time.StampMilli), q.Error)
		}
	}
	return len(row)
}
