package drift

import (
	"fmt"
	"testing"
	"time"
)

// TestSameRepair: repairs are the same whatever numbers are in them.
func TestSameRepair(t *testing.T) {
	f := newFlapping()
	now := time.Now()
	for i := range CertainRepairs + 1 {
		began, _ := f.note(now, now, []string{
			fmt.Sprintf("chain lacked %d rules", i), fmt.Sprintf("chain lacked %d rules", i+7), fmt.Sprintf("bridge gw-%c", 'a'+i),
		})
		if (len(began) == 1) != (i == CertainRepairs) {
			t.Errorf("after %d repairs: %v", i+1, began)
		}
	}
	later := now.Add(RowTime + time.Second)
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
		"later":                         {[]time.Duration{atOnce + 1, RowTime}, 0},
		"at once, but not the last":     {[]time.Duration{0, 0, atOnce + 1}, 0},
		"at once again, after a minute": {[]time.Duration{0, 0, RowTime + 1, 0}, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f, now := newFlapping(), time.Now()
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
	for times := range 2 * CertainRepairs {
		pause := p.afterUndone(times)
		if pause < last || times < CertainRepairs && pause >= time.Second {
			t.Errorf("a pause of %s after %d times, %s before", pause, times, last)
		}
		last = pause
	}
	if last != p.Flapping {
		t.Errorf("at most a pause of %s", last)
	}
}
