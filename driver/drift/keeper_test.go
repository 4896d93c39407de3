package drift

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/commit"
	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/spec"
)

// found is a comparison that has mended something.
func found(fixed ...string) *Comparison {
	return &Comparison{repairs: repairs{fixed: fixed}, Comparer: NewComparer(Parts{
		Health: NewHealth(nil, nil), Writer: commit.NewWriter(commit.Parts{Rules: commit.NewRules(nil, nil, nil)}), Rules: commit.NewRules(nil, nil, nil),
	})}
}

// told tells changes of a link.
type told struct {
	c    chan struct{}
	link string
}

func (t *told) Changes() <-chan struct{} { return t.c }

func (t *told) Take() spec.Scope {
	var of spec.Scope
	if t.link != "" {
		of.Add(t.link)
	}
	t.link = ""
	return of
}

// TestKeeper: what is told is looked at soon, and everything from time to time; each repair is
// an event, lost objects are collected, and not after the end.
func TestKeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var scopes []spec.Scope
		var journal events.Journal
		collected, reviewed := 0, 0
		k := NewKeeper(func(_ context.Context, of spec.Scope) *Comparison {
			mu.Lock()
			defer mu.Unlock()
			scopes = append(scopes, of)
			if of.Has("gw-1") && !of.All {
				return found("bridge gw-1 was down")
			}
			return found()
		}, func(context.Context, *Comparison) { collected++ }, func() string { return "" }, &journal, logrus.NewEntry(&logrus.Logger{Out: io.Discard}))
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan struct{})
		changes := &told{c: make(chan struct{}, 1)}
		go func() {
			defer close(ended)
			k.Run(ctx, changes, Pace{}, func(context.Context) { reviewed++ })
		}()
		time.Sleep(time.Second)
		changes.link = "gw-1"
		changes.c <- struct{}{}
		time.Sleep(100 * time.Millisecond)
		mu.Lock()
		if len(scopes) != 1 || scopes[0].All || !scopes[0].Has("gw-1") {
			t.Errorf("compared %+v", scopes)
		}
		mu.Unlock()
		time.Sleep(3 * time.Second)
		end()
		<-ended
		if len(scopes) != 2 || !scopes[1].All || collected != 2 || reviewed != 2 {
			t.Errorf("compared %+v, collected %d times, reviewed %d times", scopes, collected, reviewed)
		}
		list := journal.After(t.Context(), 0, 0)
		if !slices.ContainsFunc(list, func(e events.Event) bool { return e.Kind == events.Repair && e.Text == "bridge gw-1 was down" }) || len(list) != 1 {
			t.Errorf("events %+v", list)
		}
		if r := k.Reconcile(ctx, spec.Scope{All: true}, time.Now()); r.Fixed != 0 || collected != 2 {
			t.Errorf("after the end: %+v, collected %d times", r, collected)
		}
	})
}

// TestExplain: a comparison says why it was made and what came of it, but for one that is made
// from time to time and finds nothing.
func TestExplain(t *testing.T) {
	var out bytes.Buffer
	log := logrus.New()
	log.SetOutput(&out)
	log.SetLevel(logrus.DebugLevel)
	k := NewKeeper(nil, nil, nil, nil, logrus.NewEntry(log))
	of := spec.Scope{Links: map[string]bool{"gw-1": true}}
	for _, c := range []struct {
		told bool
		r    Result
		want string
	}{
		{false, Result{}, ""},
		{true, Result{Took: time.Millisecond}, "compared rules and links gw-1, since the kernel told of a change: 0 repaired, in 1ms; the next comparison is in 1s at the earliest"},
		{false, Result{Fixed: 2, undone: 3}, "since it was time to: 2 repaired, undone at once 3 times in a row, in 0s"},
	} {
		out.Reset()
		k.explain(c.told, of, c.r, time.Second)
		if !strings.Contains(out.String(), c.want) || (c.want == "") != (out.Len() == 0) {
			t.Errorf("%t, %+v: %q, want %q", c.told, c.r, out.String(), c.want)
		}
	}
}
