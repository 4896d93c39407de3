package events

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestJournal: the newest events are there, none twice, and who waits hears of the next.
func TestJournal(t *testing.T) { synctest.Test(t, testJournal) }

func testJournal(t *testing.T) {
	var j Journal
	for i := range most + 5 {
		j.Repaired(fmt.Sprint(i))
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
	go func() { time.Sleep(time.Second); j.Repaired("new") }()
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
	if j.Trouble() != "" {
		t.Errorf("a journal without a file: %s", j.Trouble())
	}
	j.Close()
}

// TestEventParts: what was found, and what was done, and both together.
func TestEventParts(t *testing.T) {
	long := strings.Repeat("ä", maxText)
	var j Journal
	j.Repaired("bridge gw-1: was down: set up")
	j.Repaired("chain deny lacked 2 rules, had 0 others")
	j.Add(Lost, "endpoint 0123456789ab has lost its link", "removed")
	j.Add(Problem, "port 80/tcp is not held: in use", "")
	j.Add(Problem, long, "")
	got := j.After(t.Context(), 0, 0)
	for i, want := range [][3]string{
		{"bridge gw-1: was down: set up", "bridge gw-1: was down", "set up"},
		{"chain deny lacked 2 rules, had 0 others", "chain deny lacked 2 rules, had 0 others", "put back"},
		{"endpoint 0123456789ab has lost its link: removed", "endpoint 0123456789ab has lost its link", "removed"},
		{"port 80/tcp is not held: in use", "port 80/tcp is not held: in use", ""},
		{long[:maxText] + "…", long[:maxText] + "…", ""},
	} {
		if e := got[i]; [3]string{e.Text, e.Reason, e.Done} != want {
			t.Errorf("%+v, want %q", e, want)
		}
	}
	if n := j.Counts(); n[Repair] != 2 || n[Problem] != 2 || n[Started] != 0 || len(n) != len(Kinds()) {
		t.Errorf("counted %v", n)
	}
}

// TestJournalBytes: many long texts do not take more memory than many short ones.
func TestJournalBytes(t *testing.T) {
	var j Journal
	for range most {
		j.Add(Problem, strings.Repeat("\x01", maxText), "")
	}
	if got := j.After(t.Context(), 0, 0); len(got) < 5 || len(got) > mostBytes/maxText || j.bytes > mostBytes {
		t.Errorf("%d events, %d bytes", len(got), j.bytes)
	}
}
