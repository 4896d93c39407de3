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

// joinTime is how long an endpoint that left or was restored may stay out of any
// container. The engine repeats a call that broke off for some 15 s.
const joinTime = time.Minute

// Reconcile compares the kernel with the state, mends what differs, and
// returns how many things it mended; see drift.Keeper.
// An endpoint whose link pair stays away, or in no container, has lost its container
// without the engine telling (it forgot it in a crash, or its call found nobody): it
// is removed with its ports.
func (d *Driver) Reconcile(ctx context.Context) int {
	return d.keeper.Reconcile(ctx, spec.Scope{All: true}, time.Now()).Fixed
}

// KeepReconciled reconciles whenever changes says that something may differ, and from time to time
// without that, until ctx ends.
func (d *Driver) KeepReconciled(ctx context.Context, changes drift.Changes, p drift.Pace) {
	d.keeper.Run(ctx, changes, p, d.review)
}

// collect removes endpoints that are lost.
func (d *Driver) collect(ctx context.Context, c *drift.Comparison) {
	for id, networkID := range d.desired.Overdue(joinTime) {
		d.lose(ctx, networkID, id, "is in no container, and no engine has asked for it since", func(e *model.Endpoint) bool { return e.Sandbox == "" })
	}
	for id, m := range c.Lost(ctx) {
		d.lose(ctx, m.NetworkID, id, m.Why(), func(*model.Endpoint) bool { return c.StillMissing(ctx, id, m) })
	}
}

// lose removes an endpoint that the engine does not know any more. It is removed if
// that is so still when no verb is about its network: one may have joined it since it
// was looked at, or is doing so.
func (d *Driver) lose(ctx context.Context, networkID, id, why string, still func(*model.Endpoint) bool) {
	e, left := d.removeLost(ctx, networkID, id, why, still)
	d.flows.Drop(ctx, left)
	if e != nil {
		d.takeOver(ctx, []model.EndpointChange{{Before: e}})
	}
}

// removeLost returns the endpoint that it removed, if any, and the flows that it left.
func (d *Driver) removeLost(ctx context.Context, networkID, id, why string, still func(*model.Endpoint) bool) (*model.Endpoint, plan.Stale) {
	log := d.o.Log.WithField("ep", model.Short(id))
	unlock := d.comparer.LockSoon(ctx, func(*model.State) map[string]bool { return map[string]bool{networkID: true} })
	if unlock == nil {
		return nil, plan.Stale{}
	}
	defer unlock()
	_, e := d.endpoint(networkID, id)
	if e == nil || !still(e) {
		return nil, plan.Stale{}
	}
	log.Warn("endpoint " + why + ": removed")
	d.journal.Add(events.Lost, "endpoint "+model.Short(id)+" "+why, "removed")
	left, err := d.writer.Withdraw(ctx, func(*model.State) (model.Change, error) {
		return model.Change{Endpoints: []model.EndpointChange{{Before: e}}}, nil
	})
	if err != nil {
		log.WithError(err).Error("remove the lost endpoint")
	}
	return e, left
}

// suspect names who changed the firewall's rules last; empty for nobody.
func (d *Driver) suspect() string {
	if d.o.Suspect == nil {
		return ""
	}
	return d.o.Suspect()
}
