package facts

import (
	"time"

	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// A UDP socket that waits for anybody may be a service's, or that of a client which asks
// one question and is gone. So it counts once it was there at listenLooks checks in a row,
// over listenTime; at the first check of all each does, since a service may have been there
// for long.
const (
	listenLooks = 3
	listenTime  = 5 * time.Second
	// forgetTime is how long a port that counts may be without a socket: a service that
	// starts again is no reason to change rules.
	forgetTime = time.Minute
)

// listening are the high ports on which the host itself listens.
type listening struct {
	// seen are those of the last looks.
	seen map[spec.Listener]sighting
	// sets are those that count, by protocol. They never change, they are replaced.
	sets map[spec.Protocol]*model.PortSet
	// fresh are UDP ports that have come to count and whose flows are not dropped yet.
	fresh []uint16
	// problem is why they are not known.
	problem string
}

// sighting is what the looks have shown of a port.
type sighting struct {
	first, last time.Time
	looks       int
	counts      bool
}

// stays says whether it is no client's for a moment.
func (s sighting) stays(now time.Time) bool {
	return s.looks >= listenLooks && now.Sub(s.first) >= listenTime
}

// look takes over what there is at some moment.
func (l *listening) look(found map[spec.Listener]bool, now time.Time) {
	start := l.seen == nil
	if start {
		l.seen = map[spec.Listener]sighting{}
	}
	changed := false
	for p := range found {
		s, known := l.seen[p]
		if !known {
			s.first = now
		}
		s.last = now
		s.looks++
		if !s.counts && (start || p.Proto != spec.UDP || s.stays(now)) {
			s.counts, changed = true, true
			if p.Proto == spec.UDP {
				l.fresh = append(l.fresh, p.Port)
			}
		}
		l.seen[p] = s
	}
	for p, s := range l.seen {
		if !found[p] && (!s.counts || now.Sub(s.last) >= forgetTime) {
			delete(l.seen, p)
			changed = changed || s.counts
		}
	}
	if changed {
		l.count()
	}
}

// count makes the sets anew.
func (l *listening) count() {
	l.sets = map[spec.Protocol]*model.PortSet{}
	for p, s := range l.seen {
		if !s.counts {
			continue
		}
		if l.sets[p.Proto] == nil {
			l.sets[p.Proto] = new(model.PortSet)
		}
		l.sets[p.Proto].Add(p.Port)
	}
}
