package driver

import (
	"context"
	"fmt"
	"strings"
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
// returns how many things it mended. Each repair is one Warn line and an event, but
// for those of flapping, which is told of when it begins and ends.
// An endpoint whose link pair stays away, or in no container, has lost its container
// without the engine telling (it forgot it in a crash, or its call found nobody): it
// is removed with its ports.
func (d *Driver) Reconcile(ctx context.Context) int {
	return len(d.reconcile(ctx, spec.Scope{All: true}, time.Now()).fixed)
}

// reconcile is Reconcile as far as links of the scope go, with everything that was
// found. Until changed, nothing changed since the last one.
func (d *Driver) reconcile(ctx context.Context, of spec.Scope, changed time.Time) *repair {
	unlock, err := d.healing.Take(ctx)
	if err != nil {
		return &repair{Driver: d}
	}
	defer unlock()
	r := d.repair(ctx, of)
	for _, line := range r.fixed {
		if d.flapping.Known(line) { // has been told, and would take the place of what has not
			d.o.Log.Debug("repaired: " + line)
			continue
		}
		d.o.Log.Warn("repaired: " + line)
		d.journal.Add(events.Repair, line)
	}
	r.judge(changed)
	if ctx.Err() != nil {
		return r // nothing can be removed any more
	}
	for id, networkID := range d.desired.Overdue(joinTime) {
		r.lose(ctx, networkID, id, "is in no container, and no engine has asked for it since", func(e *model.Endpoint) bool { return e.Sandbox == "" })
	}
	for id, m := range r.lost(ctx) {
		r.lose(ctx, m.networkID, id, m.why(), func(*model.Endpoint) bool { return d.stillMissing(ctx, id, m) })
	}
	return r
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

// judge tells repairs that last from those that somebody undoes.
func (r *repair) judge(changed time.Time) {
	began, over := r.flapping.Note(changed, time.Now(), r.fixed)
	r.undone = r.flapping.Undone(r.fixed)
	if len(began) > 0 {
		text := fmt.Sprintf("somebody undoes the same repair again and again, %d times by now: %s", drift.CertainRepairs, strings.Join(began, ", "))
		if who := r.suspect(); who != "" {
			text += "; the firewall's rules were changed last by " + who
		}
		r.o.Log.Error(text + "; as long as that happens at once, it is repaired less often, and not told each time")
		r.journal.Add(events.Flapping, text)
	}
	for _, line := range over {
		r.o.Log.Info("nobody undoes the repair any more: " + line)
		r.journal.Add(events.FlappingOver, line)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.health.flapping, r.health.likely = r.flapping.Certain(), r.flapping.Likely()
}

func (d *Driver) suspect() string {
	if d.o.Suspect == nil {
		return ""
	}
	return d.o.Suspect()
}
