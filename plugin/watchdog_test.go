package plugin

import (
	"context"
	"net"
	"path/filepath"
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

// TestFeed: the service manager hears that the daemon works until checks stop, and
// again when they go on.
func TestFeed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.SetReadDeadline(time.Now().Add(testkit.Patience)); err != nil {
		t.Fatal(err)
	}
	hear := func(want string) {
		t.Helper()
		b := make([]byte, 100)
		n, err := l.Read(b)
		if got := string(b[:n]); got != want || err != nil {
			t.Fatalf("the service manager hears %q, want %q: %v", got, want, err)
		}
	}
	last := time.Now()
	d := ready(t, func(o *Options) {
		o.NotifySocket, o.Watchdog, o.Inspector = path, 40*time.Millisecond, checks{last: &last}
	})
	hear("READY=1")
	for range 3 {
		hear("WATCHDOG=1")
	}
	d.stop()
	for end := false; !end; {
		b := make([]byte, 100)
		n, err := l.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		end = string(b[:n]) == "STOPPING=1"
	}

	// Without checks it hears nothing, and the log says why.
	last = time.Now().Add(-2 * checkTime)
	stale, _, log := newServer(t, func(o *Options) {
		o.NotifySocket, o.Watchdog, o.Inspector = path, 40*time.Millisecond, checks{last: &last}
	})
	stale.readyAt = last
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { stale.feed(ctx); close(ended) }()
	testkit.Eventually(t, "the log says so", func() bool { return strings.Contains(log.String(), "was not compared") })
	stop()
	<-ended
	if err := l.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := l.Read(make([]byte, 100)); err == nil {
		t.Errorf("the service manager hears %d bytes without checks", n)
	}
}
