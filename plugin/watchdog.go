package plugin

import (
	"context"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// checkTime is how old the last comparison of the kernel with the state may be: one
// takes a minute at most and is followed by a pause of up to twice that (drift.Pace),
// so the next one ends within four.
const checkTime = 5 * time.Minute

// feed tells the service manager that the daemon works, until ctx ends. It stops doing
// so when the comparison of the kernel with the state does not go on: where that hangs,
// calls do. A process that is stopped, or has no time, tells nothing either.
//
// The time of a comparison itself as the measure was the alternative. It is minutes
// long in the worst case, for which a daemon that is merely stopped would keep every
// container that starts waiting.
func (s *Server) feed(ctx context.Context) {
	if s.o.Watchdog <= 0 {
		return
	}
	tick := time.NewTicker(s.o.Watchdog / 4)
	defer tick.Stop()
	told := false
	for {
		switch age := s.sinceCheck(ctx); {
		case age < checkTime:
			s.notify(systemd.SdNotifyWatchdog)
			told = false
		case !told:
			s.o.Log.Errorf("the kernel was not compared with the state for %s: the service manager will start gangway again", age.Round(time.Second))
			told = true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// sinceCheck is how long ago the kernel was compared with the state; 0 while there is
// nothing to compare. It waits where a call of the driver hangs with its state locked.
func (s *Server) sinceCheck(ctx context.Context) time.Duration {
	s.mu.Lock()
	last := s.readyAt
	s.mu.Unlock()
	if last.IsZero() {
		return 0
	}
	if check := s.o.Inspector.Status(ctx).LastCheck; check.After(last) {
		last = check
	}
	return time.Since(last)
}
