package firewalld

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMoving: who is about to enter or to leave is left alone, and known no worse
// afterwards. Nobody does either between the question what is wanted and its answer's
// last consequence.
func TestMoving(t *testing.T) {
	socket, _ := bus(t, t.TempDir())
	m := startManager(t, socket, "docker")
	m.change(func() { m.zones["docker"] = []string{"gw-going"} })
	z, changes := newZone(t, socket)
	z.sync(t, []string{"gw-going"})
	told(t, changes, "the connection")
	with := func(bridges, moving []string, want ...string) {
		t.Helper()
		got, err := z.Sync(t.Context(), func() ([]string, []string) { return bridges, moving })
		must(t, err)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("repairs (-want +got):\n%s", d)
		}
	}
	with([]string{"gw-a"}, []string{"gw-going", "gw-coming"}, put("gw-a"))
	asked := m.called()
	with([]string{"gw-a"}, []string{"gw-going", "gw-coming"})
	must(t, z.Enter(t.Context(), "gw-coming"))
	must(t, z.Leave(t.Context(), "gw-going"))
	z.sync(t, []string{"gw-a", "gw-coming"})
	if n := m.called() - asked; n != 2 {
		t.Errorf("%d calls, want those of who came and went", n)
	}
	// One that could not leave in the end is still known, whatever its name.
	must(t, z.Enter(t.Context(), "chosen"))
	must(t, m.conn.Emit(path, service+".Reloaded"))
	told(t, changes, "a reload")
	with([]string{"gw-a", "gw-coming"}, []string{"chosen"})
	z.sync(t, []string{"gw-a", "gw-coming"}, out("chosen"))
	entered := make(chan error)
	got, err := z.Sync(t.Context(), func() ([]string, []string) {
		go func() { entered <- z.Enter(context.Background(), "gw-b") }()
		return []string{"gw-a"}, nil
	})
	must(t, err)
	must(t, <-entered)
	if d := cmp.Diff([]string{out("gw-coming")}, got); d != "" {
		t.Errorf("repairs (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"gw-a", "gw-b"}, m.docker()); d != "" {
		t.Error(d)
	}
}
