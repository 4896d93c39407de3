package lock

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// enter lets a verb of a test in, and fails if it has to wait.
func enter(t *testing.T, g *Gate) (leave func()) {
	t.Helper()
	start := time.Now()
	leave, err := g.Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if waited := time.Since(start); waited != 0 {
		t.Errorf("waited for %s", waited)
	}
	return leave
}

// TestGateHung: a verb that does not end keeps nobody out; who wants to be alone gives
// up, and says since when it has to wait.
func TestGateHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Gate{}
		hung := enter(t, g)
		time.Sleep(30 * time.Second)
		failed := make(chan error)
		go func() {
			_, err := g.Alone(t.Context())
			failed <- err
		}()
		for range 50 {
			time.Sleep(20 * time.Millisecond)
			enter(t, g)()
		}
		if err := <-failed; err == nil || !strings.Contains(err.Error(), "for 31s") {
			t.Errorf("alone beside a verb: %v", err)
		}
		enter(t, g)()
		hung()
		leave, err := g.Alone(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		leave()
	})
}

// TestGateCrowd: verbs that come one after the other, each beside the last, leave no
// moment without any. So new ones wait at last, no longer than the last one takes.
func TestGateCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Gate{}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan time.Duration, 2)
		for i := range 2 {
			go func() {
				time.Sleep(time.Duration(i) * 50 * time.Millisecond)
				var longest time.Duration
				for ctx.Err() == nil {
					start := time.Now()
					leave, err := g.Enter(ctx)
					if err != nil {
						break
					}
					longest = max(longest, time.Since(start))
					time.Sleep(100 * time.Millisecond)
					leave()
				}
				ended <- longest
			}()
		}
		time.Sleep(60 * time.Millisecond)
		start := time.Now()
		leave, err := g.Alone(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < Patience || took > Patience+100*time.Millisecond {
			t.Errorf("alone after %s", took)
		}
		leave()
		time.Sleep(time.Second)
		stop()
		for range 2 {
			if longest := <-ended; longest > 100*time.Millisecond {
				t.Errorf("a verb waited for %s", longest)
			}
		}
	})
}

// TestGateClosed: who comes while somebody is alone waits for that, or until its own
// time is over.
func TestGateClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Gate{}
		leave, err := g.Alone(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, early := g.Enter(ctx); !errors.Is(early, context.DeadlineExceeded) {
			t.Errorf("beside somebody who is alone: %v", early)
		}
		go func() { time.Sleep(time.Second); leave() }()
		start := time.Now()
		in, err := g.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		in()
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("waited for %s", waited)
		}
	})
}
