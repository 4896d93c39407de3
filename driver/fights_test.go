package driver

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gangway-net/gangway/driver/events"
)

// undo damages all the time, as somebody would who undoes each repair at once,
// and returns how often that was mended.
func undoing(h *strictHost, change func(...string), all time.Duration) (repairs int) {
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
		undoing(h, change, 20*time.Second)
		s := d.Status(t.Context())
		if len(s.Fights) != 1 || len(s.Degraded) != 1 || !strings.Contains(s.Degraded[0], s.Fights[0]) {
			t.Fatalf("status %+v", s)
		}
		repairs := len(eventsOf(t, d, events.Repair))
		if n := undoing(h, change, time.Minute); n > 45 {
			t.Errorf("%d repairs in a minute of a fight", n)
		}
		if n := len(eventsOf(t, d, events.Repair)); n != repairs {
			t.Errorf("%d repairs of the fight are told", n-repairs)
		}
		fights := eventsOf(t, d, events.Flapping)
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
		if s := d.Status(t.Context()); len(s.Fights) != 1 || len(eventsOf(t, d, events.FlappingOver)) != 0 {
			t.Errorf("after half a minute: %+v", s)
		}
		time.Sleep(rowTime + 10*time.Second)
		if s := d.Status(t.Context()); len(s.Fights) != 0 || len(eventsOf(t, d, events.FlappingOver)) != 1 {
			t.Errorf("after the fight: %+v", s)
		}
	})
}

// TestAfterTheLastDamage: whenever one who fights stops, all is mended within two
// seconds.
func TestAfterTheLastDamage(t *testing.T) {
	for _, lasts := range []time.Duration{time.Second, 13 * time.Second, 20 * time.Second, 90*time.Second + 700*time.Millisecond, 5 * time.Minute} {
		t.Run(lasts.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, d := strict(t)
				h.slow = 100 * time.Millisecond
				undoing(h, keep(t, d), lasts)
				time.Sleep(2 * time.Second)
				inSync(t, h.fakeHost, d)
				if s := d.Status(t.Context()); (len(s.Degraded) > 0) != (lasts >= 13*time.Second) {
					t.Errorf("status %+v", s)
				}
			})
		})
	}
}

// TestFlapping: before it is a fight, what does not last is told, and no longer than
// it does not.
func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, d := strict(t)
		change := keep(t, d)
		undoing(h, change, 6*time.Second)
		if s := d.Status(t.Context()); len(s.Degraded) != 1 || len(s.Fights) != 0 {
			t.Errorf("status %+v", s)
		}
		time.Sleep(5 * time.Second)
		if s := d.Status(t.Context()); len(s.Degraded) != 0 {
			t.Errorf("afterwards: status %+v", s)
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
					if n := undoing(h, change, 1200*time.Millisecond); n < 2 {
						t.Fatalf("%d repairs in a reload", n)
					}
					time.Sleep(time.Second)
					inSync(t, h.fakeHost, d)
					if t.Failed() {
						t.Fatalf("reload %d is not mended a second after its end", i+1)
					}
					time.Sleep(pause - time.Second)
				}
				if fights := eventsOf(t, d, events.Flapping); len(fights) != 0 {
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
