package events

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestJournal: the newest events are there, none twice, and who waits hears of the next.
func TestJournal(t *testing.T) { synctest.Test(t, testJournal) }

func testJournal(t *testing.T) {
	var j Journal
	for i := range most + 5 {
		j.Add(Repair, fmt.Sprint(i))
	}
	for after, want := range map[uint64]int{0: most, 5: most, 6: most - 1, most + 4: 1, most + 5: 0, most + 6: most} {
		got := j.After(t.Context(), after, 0)
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
	go func() { time.Sleep(time.Second); j.Add(Repair, "new") }()
	if got := j.After(t.Context(), most+5, time.Minute); len(got) != 1 || time.Since(start) != time.Second {
		t.Errorf("waited %s for %+v", time.Since(start), got)
	}
	if got := j.After(t.Context(), most+6, time.Minute); len(got) != 0 || time.Since(start) != time.Minute+time.Second {
		t.Errorf("waited %s for %+v", time.Since(start), got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := j.After(ctx, most+6, time.Minute); len(got) != 0 {
		t.Errorf("after the end: %+v", got)
	}
}
