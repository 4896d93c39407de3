package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/ipam"
)

// wreck stands for an engine, the driver and the address manager after a loss, and
// notes what is done. Its time is that of a bubble.
type wreck struct {
	start time.Time
	mu    sync.Mutex // guards the rest
	// has is what the engine has, by network; lost what is unclaimed.
	has, lost map[string][]string
	silent    string // which question the engine does not answer
	refuses   error  // what Recover says
	done      []string
	why       []string
}

func (w *wreck) note(format string, args ...any) {
	w.done = append(w.done, fmt.Sprintf("%s after %s", fmt.Sprintf(format, args...), time.Since(w.start).Round(time.Second)))
}

func (w *wreck) Networks(context.Context) (driver.Inventory, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := driver.Inventory{Engine: "this", Networks: map[string]string{}}
	for id := range w.has {
		r.Networks[id] = "net-" + id
	}
	if w.silent == "networks" {
		return r, errors.New("no answer")
	}
	return r, nil
}

func (w *wreck) Inventory(_ context.Context, engine string, ids []string) (all []Held, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.silent == "inventory" {
		return nil, errors.New("no answer")
	}
	for _, id := range ids {
		h := Held{Pools: []ipam.Holding{{}}}
		h.Engine, h.Network.ID = engine, id
		for _, ep := range w.has[id] {
			e := driver.RecoveredEndpoint{}
			e.EndpointID = ep
			h.Endpoints = append(h.Endpoints, e)
		}
		all = append(all, h)
	}
	return all, nil
}

func (w *wreck) Unclaimed() map[string][]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string][]string{}
	for id, eps := range w.lost {
		if len(eps) > 0 {
			out[id] = slices.Clone(eps)
		}
	}
	return out
}

func (w *wreck) settle(id string) {
	for n, eps := range w.lost {
		w.lost[n] = slices.DeleteFunc(eps, func(e string) bool { return e == id })
	}
}

func (w *wreck) Recover(_ context.Context, a driver.Recovery) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuses != nil {
		return w.refuses
	}
	for _, e := range a.Endpoints {
		if slices.Contains(w.lost[a.Network.ID], e.EndpointID) {
			w.note("%s of %s", e.EndpointID, a.Engine)
		}
		w.settle(e.EndpointID)
	}
	return nil
}

func (w *wreck) Disown(ids []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		w.note("%s disowned", id)
		w.settle(id)
	}
}

func (w *wreck) Doubt(why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.why) == 0 || w.why[len(w.why)-1] != why {
		w.why = append(w.why, why)
	}
}

func (w *wreck) Reclaim(context.Context, ipam.Holding) error { return nil }

// recover has the loss recovered from for two minutes, with a change after ten
// seconds, and says whether that came to an end.
func (w *wreck) recover(t *testing.T, later func(*wreck)) (over bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Recover(ctx, RecoverOptions{Engines: []Inventory{w}, Unclaimed: w, Pools: w})
	}()
	time.Sleep(10*time.Second - time.Millisecond)
	w.mu.Lock()
	if later != nil {
		later(w)
	}
	w.mu.Unlock()
	time.Sleep(2 * time.Minute)
	select {
	case <-ended:
		over = true
	default:
	}
	cancel()
	<-ended
	return over
}

// TestRecover: what the engine has is taken back as soon as it says so; what it does
// not have is disowned after the time of grace, and what is of a network that it does
// not have is left alone.
func TestRecover(t *testing.T) {
	for name, c := range map[string]struct {
		has, lost map[string][]string
		silent    string
		refuses   error
		// later happens after ten seconds.
		later func(*wreck)
		done  []string
		why   string
		ends  bool
	}{
		"nothing lost": {has: map[string][]string{"a": {"1"}}, ends: true},
		"all there":    {has: map[string][]string{"a": {"1", "2"}}, lost: map[string][]string{"a": {"1", "2"}}, done: []string{"1 of this after 0s", "2 of this after 0s"}, ends: true},
		"one is not":   {has: map[string][]string{"a": {"1"}}, lost: map[string][]string{"a": {"1", "2"}}, done: []string{"1 of this after 0s", "2 disowned after 30s"}, ends: true},
		"comes late": {has: map[string][]string{"a": nil}, lost: map[string][]string{"a": {"1"}},
			later: func(w *wreck) { w.has["a"] = []string{"1"} }, done: []string{"1 of this after 10s"}, ends: true},
		"of another engine": {has: map[string][]string{"a": nil}, lost: map[string][]string{"b": {"1"}}, why: "no network b"},
		"nobody knows":      {has: map[string][]string{"a": nil}, lost: map[string][]string{"": {"1"}}, why: "has no network"},
		"silent": {has: map[string][]string{"a": {"1"}}, lost: map[string][]string{"a": {"1"}}, silent: "networks",
			later: func(w *wreck) { w.silent = "" }, done: []string{"1 of this after 10s"}, why: "GANGWAY_ENGINE does not say which networks", ends: true},
		"half silent": {has: map[string][]string{"a": nil}, lost: map[string][]string{"a": {"1"}}, silent: "inventory", why: "does not say what it has"},
		"refused": {has: map[string][]string{"a": {"1"}}, lost: map[string][]string{"a": {"1"}}, refuses: errors.New("port 80 is taken"),
			later: func(w *wreck) { w.refuses = nil }, done: []string{"1 of this after 10s"}, why: "take back network a: port 80 is taken", ends: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wreck{start: time.Now(), has: c.has, lost: c.lost, silent: c.silent, refuses: c.refuses}
				if ended := w.recover(t, c.later); ended != c.ends {
					t.Errorf("it has ended: %t", ended)
				}
				if !slices.Equal(w.done, c.done) {
					t.Errorf("done %q, want %q", w.done, c.done)
				}
				if c.why != "" && (len(w.why) == 0 || !strings.Contains(w.why[0], c.why)) {
					t.Errorf("doubts %q, want %q", w.why, c.why)
				}
				if c.ends && len(w.why) > 0 && w.why[len(w.why)-1] != "" {
					t.Errorf("at last there is doubt: %q", w.why)
				}
			})
		})
	}
}
