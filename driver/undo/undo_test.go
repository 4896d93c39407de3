package undo

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestContext: an undoing outlives the change's time by Time, whoever gave that up
// early, and an undoing within it ends with it.
func TestContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		change, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		cancel()
		outer, stop := Context(change)
		defer stop()
		time.Sleep(5 * time.Second)
		inner, stopInner := Context(outer)
		defer stopInner()
		free, stopFree := Context(t.Context())
		defer stopFree()
		for name, c := range map[string]struct {
			ctx  context.Context
			want time.Duration
		}{
			"of a change that was given up": {outer, 20*time.Second + Time},
			"within another":                {inner, 20*time.Second + Time},
			"of a change without an end":    {free, 5*time.Second + Time},
		} {
			if c.ctx.Err() != nil {
				t.Errorf("%s: has ended: %v", name, c.ctx.Err())
			}
			if end, ok := c.ctx.Deadline(); !ok || end.Sub(start) != c.want {
				t.Errorf("%s: ends after %s, want %s", name, end.Sub(start), c.want)
			}
		}
	})
}
