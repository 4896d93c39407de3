package drift

import (
	"context"
	"time"

	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// LostTime is how long a link pair has to be gone until its endpoint is: the
// engine may be about to tell.
const LostTime = 3 * time.Second

// OutsideTime is how long both ends of a link pair have to be in the host's
// namespace until its endpoint is lost. The engine moves one end into the container
// as soon as Join has answered, and takes it back when the container goes, whatever
// became of the call of Leave.
const OutsideTime = 30 * time.Second

// Missing is an endpoint whose link pair is gone, or outside of any container.
type Missing struct {
	NetworkID string
	since     time.Time
	outside   bool
}

// over says whether the endpoint is lost.
func (m Missing) over() bool {
	if m.outside {
		return time.Since(m.since) >= OutsideTime
	}
	return time.Since(m.since) >= LostTime
}

// Why says how an endpoint was lost.
func (m Missing) Why() string {
	if m.outside {
		return "is in no container any more, though its link is there"
	}
	return "has lost its link and its container"
}

// miss notes since when an endpoint's pair has been gone, or outside of any
// container.
func (c *Comparison) miss(endpointID string, outside bool) {
	m, known := c.Health.was(endpointID)
	if !known || m.outside != outside {
		m = Missing{since: time.Now(), outside: outside}
	}
	s, unlock := c.Desired.Read()
	defer unlock()
	if e := s.Endpoints[endpointID]; e != nil {
		m.NetworkID = e.NetworkID
	}
	c.missing[endpointID] = m
}

// Lost returns the endpoints whose pair has been missing for long and still is: a
// verb may have been on its way at each look.
func (c *Comparison) Lost(ctx context.Context) map[string]Missing {
	over := map[string]Missing{}
	for id, m := range c.missing {
		if m.over() {
			over[id] = m
		}
	}
	if len(over) == 0 {
		return nil
	}
	found, err := c.look(ctx, spec.Scope{All: true}, c.desiredLinks())
	if err != nil {
		return nil
	}
	for id, m := range over {
		if !found.Gone[id] && (!m.outside || !found.Outside[id]) {
			delete(over, id)
		}
	}
	return over
}

// StillMissing looks once more at an endpoint's pair.
func (p *Comparer) StillMissing(ctx context.Context, id string, m Missing) bool {
	found, err := p.look(ctx, spec.Scope{Links: map[string]bool{plan.VethHost(id): true}}, p.desiredLinks())
	return err == nil && (found.Gone[id] || m.outside && found.Outside[id])
}
