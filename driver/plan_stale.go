package driver

import (
	"net/netip"
	"slices"

	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// stale is what tracked flows are judged by after a change.
type stale struct {
	// left are the addresses that are in no container any more.
	left []netip.Addr
	// bare are the addresses of containers that published UDP ports which they
	// do not publish any more.
	bare []netip.Addr
	// taken are the UDP runs that led elsewhere before, or nowhere; dropped are
	// those that lead nowhere now.
	taken, dropped []spec.Published
}

// staleFlows lists what c leaves of flows that would go on to where nobody
// expects them.
func staleFlows(c model.Change) (s stale) {
	for _, e := range c.Endpoints {
		var before, after []spec.Published
		if e.Before != nil {
			before = e.Before.Published
			s.left = append(s.left, e.Left()...)
		}
		if e.After != nil {
			after = e.After.Published
		}
		gone, fresh := setDifference(before, after)
		for _, r := range fresh {
			if r.Proto == spec.UDP {
				s.taken = append(s.taken, r)
			}
		}
		for _, r := range gone {
			if r.Proto == spec.UDP {
				s.dropped = append(s.dropped, r)
			}
			if r.Proto == spec.UDP && byNAT(r) && !slices.Contains(s.left, r.ContainerIP) && !slices.Contains(s.bare, r.ContainerIP) {
				s.bare = append(s.bare, r.ContainerIP)
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
