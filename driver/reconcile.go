package driver

import (
	"context"
	"time"

	"github.com/gangway-net/gangway/driver/drift"
	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// lostTime is how long a link pair has to be gone until its endpoint is: the
// engine may be about to tell.
const lostTime = 3 * time.Second

// joinTime is how long an endpoint that left or was restored may stay out of any
// container. The engine repeats a call that broke off for some 15 s.
const joinTime = time.Minute

// outsideTime is how long both ends of a link pair have to be in the host's
// namespace until its endpoint is lost. The engine moves one end into the container
// as soon as Join has answered, and takes it back when the container goes, whatever
// became of the call of Leave.
const outsideTime = 30 * time.Second

// missing is an endpoint whose link pair is gone, or outside of any container.
type missing struct {
	networkID string
	since     time.Time
	outside   bool
}

// over says whether the endpoint is lost.
func (m missing) over() bool {
	if m.outside {
		return time.Since(m.since) >= outsideTime
	}
	return time.Since(m.since) >= lostTime
}

// why says how an endpoint was lost.
func (m missing) why() string {
	if m.outside {
		return "is in no container any more, though its link is there"
	}
	return "has lost its link and its container"
}

// Reconcile compares the kernel with the state, mends what differs, and
// returns how many things it mended; see drift.Keeper.
// An endpoint whose link pair stays away, or in no container, has lost its container
// without the engine telling (it forgot it in a crash, or its call found nobody): it
// is removed with its ports.
func (d *Driver) Reconcile(ctx context.Context) int {
	return d.keeper.Reconcile(ctx, spec.Scope{All: true}, time.Now()).Fixed
}

// Keep reconciles whenever changes says that something may differ, and from time to time
// without that, until ctx ends.
func (d *Driver) Keep(ctx context.Context, changes drift.Changes, p drift.Pace) {
	d.keeper.Keep(ctx, changes, p, d.review)
}

// Fixed has a line for each thing that was mended.
func (r *repair) Fixed() []string { return r.fixed }

// Took is how long the comparison worked.
func (r *repair) Took() time.Duration { return r.took }

// Open says that something is not as it should be and may be soon, without a change that
// tells.
func (r *repair) Open() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.missing)+len(r.health.unheld) > 0 || r.rules.Doubts()
}

// Collect removes endpoints that are lost.
func (r *repair) Collect(ctx context.Context) {
	for id, networkID := range r.desired.Overdue(joinTime) {
		r.lose(ctx, networkID, id, "is in no container, and no engine has asked for it since", func(e *model.Endpoint) bool { return e.Sandbox == "" })
	}
	for id, m := range r.lost(ctx) {
		r.lose(ctx, m.networkID, id, m.why(), func(*model.Endpoint) bool { return r.stillMissing(ctx, id, m) })
	}
}

// lose removes an endpoint that the engine does not know any more. It is removed if
// that is so still when no verb is about its network: one may have joined it since it
// was looked at, or is doing so.
func (r *repair) lose(ctx context.Context, networkID, id, why string, still func(*model.Endpoint) bool) {
	e, left := r.removeLost(ctx, networkID, id, why, still)
	r.flows.Drop(ctx, left)
	if e != nil {
		r.takeOver(ctx, []model.EndpointChange{{Before: e}})
	}
}

// removeLost returns the endpoint that it removed, if any, and the flows that it left.
func (r *repair) removeLost(ctx context.Context, networkID, id, why string, still func(*model.Endpoint) bool) (*model.Endpoint, plan.Stale) {
	log := r.o.Log.WithField("ep", model.Short(id))
	unlock := r.lockSoon(ctx, networkID)
	if unlock == nil {
		return nil, plan.Stale{}
	}
	defer unlock()
	_, e := r.endpoint(networkID, id)
	if e == nil || !still(e) {
		return nil, plan.Stale{}
	}
	log.Warn("endpoint " + why + ": removed")
	r.journal.Add(events.Lost, "endpoint "+model.Short(id)+" "+why+": removed")
	left, err := r.writer.Withdraw(ctx, func(*model.State) (model.Change, error) {
		return model.Change{Endpoints: []model.EndpointChange{{Before: e}}}, nil
	})
	if err != nil {
		log.WithError(err).Error("remove the lost endpoint")
	}
	return e, left
}

// stillMissing looks once more at an endpoint's pair.
func (d *Driver) stillMissing(ctx context.Context, id string, m missing) bool {
	found, err := d.check(ctx, spec.Scope{Links: map[string]bool{plan.VethHost(id): true}}, d.desiredLinks())
	return err == nil && (found.Gone[id] || m.outside && found.Outside[id])
}

// suspect names who changed the firewall's rules last; empty for nobody.
func (d *Driver) suspect() string {
	if d.o.Suspect == nil {
		return ""
	}
	return d.o.Suspect()
}
