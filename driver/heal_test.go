package driver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// strictHost is a fakeHost on which nothing may start to carry packets before
// the rules are there. Its Sync can be made to fail.
type strictHost struct {
	*fakeHost
	t       *testing.T
	strict  bool
	refuses error
	// slow is how long a comparison takes.
	slow    time.Duration
	syncs   int
	touched []string
}

func (h *strictHost) Sync(ctx context.Context, full firewall.Ruleset) ([]string, error) {
	h.mu.Lock()
	h.syncs++
	h.mu.Unlock()
	time.Sleep(h.slow)
	if h.refuses != nil {
		return nil, h.refuses
	}
	return h.fakeHost.Sync(ctx, full)
}

// damage takes away every network's rules.
func (h *strictHost) damage() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.networks)
}

// compared returns how many comparisons there were so far.
func (h *strictHost) compared() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.syncs
}

func (h *strictHost) guarded(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.touched = append(h.touched, what)
	if h.strict && len(h.networks) == 0 {
		h.t.Errorf("%s before the rules were in place", what)
	}
}

func (h *strictHost) EnsureBridge(ctx context.Context, b spec.Bridge) ([]string, error) {
	h.guarded("bridge")
	return h.fakeHost.EnsureBridge(ctx, b)
}

func (h *strictHost) EnableForwarding(ctx context.Context, v4, v6 bool) ([]string, error) {
	h.guarded("forwarding")
	return h.fakeHost.EnableForwarding(ctx, v4, v6)
}

func (h *strictHost) EnsureVeth(ctx context.Context, v spec.Veth) ([]string, error) {
	h.guarded("veth")
	return h.fakeHost.EnsureVeth(ctx, v)
}

// strict returns a driver on a strict host with one network and container.
func strict(t *testing.T) (*strictHost, *Driver) {
	t.Helper()
	h := &strictHost{fakeHost: newFakeHost(), t: t}
	d := newTestDriver(t, h.fakeHost, "boot")
	d.o.Links, d.o.Host, d.o.Firewall = h, h, h
	must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
	return h, d
}

// TestRulesAreMendedFirst: nothing gets to carry packets before its network is
// isolated again, and without rules nothing does.
func TestRulesAreMendedFirst(t *testing.T) {
	h, d := strict(t)
	h.strict = true
	h.damage()
	clear(h.bridges)
	h.touched = nil
	h.refuses = errors.New("the kernel refuses")
	d.Reconcile(t.Context())
	if len(h.touched) != 0 {
		t.Errorf("without rules: %v", h.touched)
	}
	if s := d.Status(t.Context()); !strings.Contains(s.Problem, "refuses") {
		t.Errorf("status %+v", s)
	}
	h.refuses = nil
	d.Reconcile(t.Context())
	if want := []string{"bridge", "forwarding", "veth"}; !slices.Equal(h.touched, want) {
		t.Errorf("mended %v, want %v", h.touched, want)
	}
	inSync(t, h.fakeHost, d)
	var kinds []string
	for _, e := range d.Events(t.Context(), 0, 0) {
		kinds = append(kinds, e.Kind)
	}
	if want := []string{EventProblem, EventSolved, EventRepair, EventRepair}; !slices.Equal(kinds, want) {
		t.Errorf("events %v, want %v", kinds, want)
	}
}

// TestKeepHealsAtOnce: a change is looked at as it comes, and without one from
// time to time.
func TestKeepHealsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, d := strict(t)
		change := keep(t, d)
		h.damage()
		change()
		time.Sleep(50 * time.Millisecond)
		inSync(t, h.fakeHost, d)
		h.damage()
		time.Sleep(5 * time.Second)
		inSync(t, h.fakeHost, d)
	})
}

// TestKeepLarge: where it takes long to compare everything that is done less often,
// and what is told is still looked at as it comes.
func TestKeepLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, d := strict(t)
		h.slow = 200 * time.Millisecond
		change := keep(t, d)
		time.Sleep(5 * time.Second)
		before := h.compared()
		time.Sleep(time.Minute)
		if n := h.compared() - before; n < 5 || n > 6 {
			t.Errorf("%d comparisons in a minute, of which each takes 200 ms", n)
		}
		h.damage()
		change()
		time.Sleep(500 * time.Millisecond)
		inSync(t, h.fakeHost, d)
	})
}

// TestKeepUnderNoise: changes that need no repair cost ever fewer comparisons,
// and what does need one is still seen.
func TestKeepUnderNoise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, d := strict(t)
		change := keep(t, d)
		before := h.compared()
		for range 6000 { // a minute
			change()
			time.Sleep(10 * time.Millisecond)
		}
		if n := h.compared() - before; n < 60 || n > 90 {
			t.Errorf("%d comparisons in a minute of noise", n)
		}
		h.damage()
		for range 95 {
			change()
			time.Sleep(10 * time.Millisecond)
		}
		inSync(t, h.fakeHost, d)
		time.Sleep(10 * time.Second)
		h.damage()
		change()
		time.Sleep(50 * time.Millisecond)
		inSync(t, h.fakeHost, d)
	})
}

// TestSlowManager: a manager that takes its time is no reason to look less often.
// Its start takes rules away, and its answers come late.
func TestSlowManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, d := strict(t)
		z := &fakeZones{in: map[string]bool{}, takes: 4 * time.Second}
		d.o.Zones = z
		change := keep(t, d)
		change()
		time.Sleep(z.takes + 100*time.Millisecond)
		h.damage()
		change()
		time.Sleep(900 * time.Millisecond)
		inSync(t, h.fakeHost, d)
	})
}

// undo damages all the time, as somebody would who undoes each repair at once,
// and returns how often that was mended.
func undo(h *strictHost, change func(...string), all time.Duration) (repairs int) {
	before := h.compared()
	for end := time.Now().Add(all); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		h.damage()
		change()
	}
	return h.compared() - before
}

// TestFight: repairs that somebody undoes at once are noticed, named and made
// less often, until he stops.
func TestFight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, d := strict(t)
		d.o.Suspect = func() string { return "nft (pid 7) run by firewalld" }
		change := keep(t, d)
		undo(h, change, 20*time.Second)
		s := d.Status(t.Context())
		if len(s.Fights) != 1 {
			t.Fatalf("status %+v", s)
		}
		if n := undo(h, change, time.Minute); n > 6 {
			t.Errorf("%d repairs in a minute of a fight", n)
		}
		if n := undo(h, change, time.Minute); n > 3 {
			t.Errorf("%d repairs in the next one", n)
		}
		fights := events(t, d, EventFight)
		if len(fights) != 1 || !strings.Contains(fights[0], "firewalld") || !strings.Contains(fights[0], "rules") {
			t.Errorf("fights %q", fights)
		}
		// One who comes back soon is known, but has to go on to be slowed down again.
		time.Sleep(rowTime / 2)
		for range fightRepairs / 2 {
			h.damage()
			change()
			time.Sleep(time.Second)
			inSync(t, h.fakeHost, d)
		}
		if s := d.Status(t.Context()); len(s.Fights) != 1 || len(events(t, d, EventPeace)) != 0 {
			t.Errorf("after half a minute: %+v", s)
		}
		time.Sleep(rowTime + 10*time.Second)
		if s := d.Status(t.Context()); len(s.Fights) != 0 || len(events(t, d, EventPeace)) != 1 {
			t.Errorf("after the fight: %+v", s)
		}
	})
}

// TestReloads: a manager that is reloaded often is none who fights. It takes
// rules away for as long as each reload lasts, so that each needs several
// repairs, and is mended as soon the last time as the first.
func TestReloads(t *testing.T) {
	for _, pause := range []time.Duration{1500 * time.Millisecond, 5 * time.Second, 20 * time.Second} {
		t.Run(pause.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, d := strict(t)
				change := keep(t, d)
				for i := range fightRepairs {
					if n := undo(h, change, 1200*time.Millisecond); n < 2 {
						t.Fatalf("%d repairs in a reload", n)
					}
					time.Sleep(time.Second)
					inSync(t, h.fakeHost, d)
					if t.Failed() {
						t.Fatalf("reload %d is not mended a second after its end", i+1)
					}
					time.Sleep(pause - time.Second)
				}
				if fights := events(t, d, EventFight); len(fights) != 0 {
					t.Errorf("fights %q", fights)
				}
			})
		})
	}
}

// TestPatientFight: one who undoes repairs every now and then is named, and each
// time mended at once: slower repairs would help nobody.
func TestPatientFight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, d := strict(t)
		change := keep(t, d)
		for i := range 3 * fightRepairs {
			h.damage()
			change()
			time.Sleep(300 * time.Millisecond) // there may have been a comparison just before
			inSync(t, h.fakeHost, d)
			if on := len(d.Status(t.Context()).Fights); (on == 1) != (i >= fightRepairs) {
				t.Fatalf("%d fights after %d repairs", on, i+1)
			}
			time.Sleep(5 * time.Second)
		}
	})
}

// events lists the texts of the events of a kind.
func events(t *testing.T, d *Driver, kind string) []string {
	t.Helper()
	var texts []string
	for _, e := range d.Events(t.Context(), 0, 0) {
		if e.Kind == kind {
			texts = append(texts, e.Text)
		}
	}
	return texts
}

func TestFightsGoByTheSameRepair(t *testing.T) {
	f := newFights()
	now := time.Now()
	for i := range fightRepairs + 1 {
		began, _ := f.note(now, now, []string{
			fmt.Sprintf("chain lacked %d rules", i), fmt.Sprintf("chain lacked %d rules", i+7), fmt.Sprintf("bridge gw-%c", 'a'+i),
		})
		if (len(began) == 1) != (i == fightRepairs) {
			t.Errorf("after %d repairs: %v", i+1, began)
		}
	}
	later := now.Add(rowTime + time.Second)
	if began, over := f.note(later, later, nil); began != nil || len(over) != 1 || len(f.rows) != 0 {
		t.Errorf("afterwards: began %v, over %v, remembers %v", began, over, f.rows)
	}
}

// TestUndoneAtOnce: what counts is how long a repair stood until it was undone,
// as far as that is known, and one that stood breaks the row.
func TestUndoneAtOnce(t *testing.T) {
	lines := []string{"chain lacked a rule"}
	tests := map[string]struct {
		changed []time.Duration // after the repair before, a second before the comparison
		undone  int
	}{
		"never":                         {nil, 0},
		"at once":                       {[]time.Duration{0, atOnce, 0}, 3},
		"later":                         {[]time.Duration{atOnce + 1, rowTime}, 0},
		"at once, but not the last":     {[]time.Duration{0, 0, atOnce + 1}, 0},
		"at once again, after a minute": {[]time.Duration{0, 0, rowTime + 1, 0}, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f, now := newFights(), time.Now()
			f.note(now, now, lines)
			for _, after := range test.changed {
				changed := now.Add(after)
				now = changed.Add(time.Second)
				f.note(changed, now, append(lines, lines...))
			}
			if got := f.undone(lines); got != test.undone {
				t.Errorf("undone at once %d times, want %d", got, test.undone)
			}
		})
	}
	p := Pace{}.orDefaults()
	last := time.Duration(0)
	for times := range 2 * fightRepairs {
		pause := p.undone(times)
		if pause < last || times < fightRepairs && pause >= time.Second {
			t.Errorf("a pause of %s after %d times, %s before", pause, times, last)
		}
		last = pause
	}
	if last != p.Fight {
		t.Errorf("at most a pause of %s", last)
	}
}

func TestJournal(t *testing.T) { synctest.Test(t, testJournal) }

func testJournal(t *testing.T) {
	d := New(Options{})
	for i := range maxEvents + 5 {
		d.journal.add(EventRepair, fmt.Sprint(i))
	}
	for after, want := range map[uint64]int{0: maxEvents, 5: maxEvents, 6: maxEvents - 1, maxEvents + 4: 1, maxEvents + 5: 0, maxEvents + 6: maxEvents} {
		got := d.Events(t.Context(), after, 0)
		if len(got) != want {
			t.Errorf("after %d: %d events, want %d", after, len(got), want)
		}
		for i := range got {
			if i > 0 && got[i].Number != got[i-1].Number+1 || got[i].Text != fmt.Sprint(got[i].Number-1) {
				t.Errorf("after %d: %+v at place %d", after, got[i], i)
			}
		}
	}
	start := time.Now()
	go func() { time.Sleep(time.Second); d.journal.add(EventRepair, "new") }()
	if got := d.Events(t.Context(), maxEvents+5, time.Minute); len(got) != 1 || time.Since(start) != time.Second {
		t.Errorf("waited %s for %+v", time.Since(start), got)
	}
	if got := d.Events(t.Context(), maxEvents+6, time.Minute); len(got) != 0 || time.Since(start) != time.Minute+time.Second {
		t.Errorf("waited %s for %+v", time.Since(start), got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := d.Events(ctx, maxEvents+6, time.Minute); len(got) != 0 {
		t.Errorf("after the end: %+v", got)
	}
}
