package plugin

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/integration/testkit"
)

// checks is an Inspector whose last check is as old as the test wants it.
type checks struct {
	inspector
	last *time.Time
}

func (c checks) Status(context.Context) driver.Status { return driver.Status{LastCheck: *c.last} }

// TestSinceCheck: the daemon works for as long as checks go on, and for some time after
// its state was restored; before, there is nothing to check.
func TestSinceCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last time.Time
		s, _, _ := newServer(t, func(o *Options) { o.Inspector = checks{last: &last} })
		age := func(want time.Duration) {
			t.Helper()
			if got := s.sinceCheck(t.Context()); got != want {
				t.Errorf("the last check is %s old, want %s", got, want)
			}
		}
		time.Sleep(time.Hour)
		age(0)
		s.Ready()
		time.Sleep(time.Minute)
		age(time.Minute)
		last = time.Now()
		time.Sleep(time.Second)
		age(time.Second)
		time.Sleep(checkTime)
		age(checkTime + time.Second)
	})
}

// supervisor is a service manager.
type supervisor chan string

func (m supervisor) tell(state string) error {
	m <- state
	return nil
}

func (m supervisor) hears(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-m:
		if got != want {
			t.Fatalf("the service manager hears %q, want %q", got, want)
		}
	case <-time.After(testkit.Patience):
		t.Fatalf("the service manager does not hear %q", want)
	}
}

// TestFeed: the service manager hears that the daemon works until checks stop, and
// again when they go on.
func TestFeed(t *testing.T) {
	manager, last := make(supervisor, 100), time.Now()
	d := ready(t, func(o *Options) {
		o.Notify, o.Watchdog, o.Inspector = manager.tell, 40*time.Millisecond, checks{last: &last}
	})
	manager.hears(t, "READY=1")
	for range 3 {
		manager.hears(t, "WATCHDOG=1")
	}
	d.stop()
	testkit.Eventually(t, "the service manager hears of the end", func() bool {
		return len(manager) > 0 && <-manager == "STOPPING=1"
	})

	// Without checks it hears nothing, and the log says why.
	silent := make(supervisor, 100)
	old := time.Now().Add(-2 * checkTime)
	stale, _, log := newServer(t, func(o *Options) {
		o.Notify, o.Watchdog, o.Inspector = silent.tell, 40*time.Millisecond, checks{last: &old}
	})
	stale.readyAt = old
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { stale.feed(ctx); close(ended) }()
	testkit.Eventually(t, "the log says so", func() bool { return strings.Contains(log.String(), "was not compared") })
	stop()
	<-ended
	if len(silent) != 0 {
		t.Errorf("the service manager hears %q without checks", <-silent)
	}
}
