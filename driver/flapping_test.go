package driver

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gangway-net/gangway/driver/drift"
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

// TestFlapping: repairs that somebody undoes at once are noticed, named and made
// less often, until he stops.
func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, d := strict(t, func(o *Options) { o.Suspect = func() string { return "nft (pid 7) run by firewalld" } })
		change := keep(t, d)
		undoing(h, change, 20*time.Second)
		s := d.Status(t.Context())
		if len(s.Flapping) != 1 || len(degraded(s)) != 1 || !strings.Contains(degraded(s)[0], s.Flapping[0]) {
			t.Fatalf("status %+v", s)
		}
		repairs := len(eventsOf(t, d, events.Repair))
		if n := undoing(h, change, time.Minute); n > 45 {
			t.Errorf("%d repairs in a minute of flapping", n)
		}
		if n := len(eventsOf(t, d, events.Repair)); n != repairs {
			t.Errorf("%d repairs of the flapping are told", n-repairs)
		}
		told := eventsOf(t, d, events.Flapping)
		if len(told) != 1 || !strings.Contains(told[0], "firewalld") || !strings.Contains(told[0], "rules") {
			t.Errorf("flapping %q", told)
		}
		// One who comes back soon is known, but has to go on to be slowed down again.
		time.Sleep(drift.RowTime / 2)
		for range drift.CertainRepairs / 2 {
			h.damage()
			change()
			time.Sleep(time.Second)
			inSync(t, h.fakeHost, d)
		}
		if s := d.Status(t.Context()); len(s.Flapping) != 1 || len(eventsOf(t, d, events.FlappingOver)) != 0 {
			t.Errorf("after half a minute: %+v", s)
		}
		time.Sleep(drift.RowTime + 10*time.Second)
		if s := d.Status(t.Context()); len(s.Flapping) != 0 || len(eventsOf(t, d, events.FlappingOver)) != 1 {
			t.Errorf("after the flapping: %+v", s)
		}
	})
}

// TestAfterTheLastDamage: whenever somebody stops to undo repairs, all is mended within two
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
				if s := d.Status(t.Context()); (len(degraded(s)) > 0) != (lasts >= 13*time.Second) {
					t.Errorf("status %+v", s)
				}
			})
		})
	}
}

// TestFlappingLikely: before it is certain, what does not last is told, and no longer than
// it does not.
func TestFlappingLikely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, d := strict(t)
		change := keep(t, d)
		undoing(h, change, 6*time.Second)
		if s := d.Status(t.Context()); len(degraded(s)) != 1 || len(s.Flapping) != 0 {
			t.Errorf("status %+v", s)
		}
		time.Sleep(5 * time.Second)
		if s := d.Status(t.Context()); len(degraded(s)) != 0 {
			t.Errorf("afterwards: status %+v", s)
		}
	})
}

// TestReloads: a manager that is reloaded often is no flapping. It takes
// rules away for as long as each reload lasts, so that each needs several
// repairs, and is mended as soon the last time as the first.
func TestReloads(t *testing.T) {
	for _, pause := range []time.Duration{1500 * time.Millisecond, 5 * time.Second, 20 * time.Second} {
		t.Run(pause.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, d := strict(t)
				change := keep(t, d)
				for i := range drift.CertainRepairs {
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
				if told := eventsOf(t, d, events.Flapping); len(told) != 0 {
					t.Errorf("flapping %q", told)
				}
			})
		})
	}
}

// TestPatientFlapping: one who undoes repairs every now and then is named, and each
// time mended at once: slower repairs would help nobody.
func TestPatientFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, d := strict(t)
		change := keep(t, d)
		for i := range 3 * drift.CertainRepairs {
			h.damage()
			change()
			time.Sleep(300 * time.Millisecond) // there may have been a comparison just before
			inSync(t, h.fakeHost, d)
			if on := len(d.Status(t.Context()).Flapping); (on == 1) != (i >= drift.CertainRepairs) {
				t.Fatalf("%d are flapping after %d repairs", on, i+1)
			}
			time.Sleep(5 * time.Second)
		}
	})
}
