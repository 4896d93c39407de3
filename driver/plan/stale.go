package plan

import (
	"net/netip"
	"slices"

	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// Stale is what tracked flows are judged by after a change.
type Stale struct {
	// Left are the addresses that are in no container any more.
	Left []netip.Addr
	// Bare are the addresses of containers that published UDP ports which they
	// do not publish any more.
	Bare []netip.Addr
	// Taken are the UDP runs that led elsewhere before, or nowhere; dropped are
	// those that lead nowhere now.
	Taken, Dropped []spec.Published
}

// StaleFlows lists what c leaves of flows that would go on to where nobody
// expects them.
func StaleFlows(c model.Change) (s Stale) {
	for _, e := range c.Endpoints {
		var before, after []spec.Published
		if e.Before != nil {
			before = e.Before.Published
			s.Left = append(s.Left, e.Left()...)
		}
		if e.After != nil {
			after = e.After.Published
		}
		gone, fresh := setDifference(before, after)
		for _, r := range fresh {
			if r.Proto == spec.UDP {
				s.Taken = append(s.Taken, r)
			}
		}
		for _, r := range gone {
			if r.Proto == spec.UDP {
				s.Dropped = append(s.Dropped, r)
			}
			if r.Proto == spec.UDP && ByNAT(r) && !slices.Contains(s.Left, r.ContainerIP) && !slices.Contains(s.Bare, r.ContainerIP) {
				s.Bare = append(s.Bare, r.ContainerIP)
			}
		}
	}
	return s
}

// setDifference returns what is in one list only. There may be thousands in each.
func setDifference[T comparable](before, after []T) (removed, added []T) {
	old := make(map[T]bool, len(before))
	for _, p := range before {
		old[p] = true
	}
	for _, p := range after {
		if old[p] {
			delete(old, p)
			continue
		}
		added = append(added, p)
	}
	for _, p := range before {
		if old[p] {
			removed = append(removed, p)
		}
	}
	return removed, added
}
