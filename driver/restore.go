package driver

import (
	"context"
	"fmt"
	"time"

	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// Restore reads the stored state and makes the kernel follow it. It must
// return before the first verb.
//
// Networks survive everything. Endpoints do not survive a reboot of the host:
// they are dropped, and the engine's later Leave and DeleteEndpoint find nothing,
// which is success. One whose link is gone has lost its container, or the last
// process was killed in the middle of its Join: it keeps its address for as long
// as the engine may take to repeat that (see joinTime), and no ports. A
// state that cannot be read is an error and stays as it is; what the kernel
// refuses is logged, shown as a problem, and tried again by Reconcile, since
// the networks that do work are worth having. What running containers use and the
// state does not know stays as it is; see package owners.
func (d *Driver) Restore(ctx context.Context) error {
	s, err := model.Load(d.o.Store.Load)
	if err != nil {
		return fmt.Errorf("read the stored state: %w", err)
	}
	veths, err := d.o.Host.Veths(ctx)
	if err != nil {
		return err
	}
	changed, orphans := model.Change{}, []*model.Endpoint{}
	for _, e := range s.Endpoints {
		_, alive := veths[e.ID]
		switch {
		case s.Orphaned(e):
			if veths[e.ID].Moved { // a container uses it: it is unclaimed
				orphans = append(orphans, e)
				continue
			}
			changed.Endpoints = append(changed.Endpoints, model.EndpointChange{Before: e})
			d.o.Log.WithField("ep", model.Short(e.ID)).Warnf("endpoint is on network %s, which is not stored: removed", model.Short(e.NetworkID))
			continue
		case s.Host.BootID != d.o.BootID:
			changed.Endpoints = append(changed.Endpoints, model.EndpointChange{Before: e})
		case e.Sandbox != "" && !alive:
			d.removeUnfinished(ctx, s.Networks[e.NetworkID], e)
			left := e.Left()
			changed.Endpoints = append(changed.Endpoints, model.EndpointChange{Before: e, After: &left})
		default:
			continue
		}
		d.o.Log.WithField("ep", model.Short(e.ID)).Info("endpoint did not outlive its container")
	}
	if s.Host.BootID != d.o.BootID {
		changed.Host = &model.HostChange{Before: s.Host, After: s.Host.At(d.o.BootID)}
	}
	s.Apply(changed)
	all := []model.Change{changed}
	for _, c := range endedBefore(s, time.Now()) {
		s.Apply(c)
		all = append(all, c)
	}
	for _, e := range orphans {
		s.Apply(model.Change{Endpoints: []model.EndpointChange{{Before: e}}})
	}
	s.Defaults = d.o.Policy
	d.knowPrefixes(ctx, s)
	d.owners.Restore(s, veths, orphans)
	if err := d.writer.Restore(s, all); err != nil {
		return err
	}
	d.tellUnclaimed()
	d.holdPorts(ctx, s)
	c := d.comparer.Compare(ctx, spec.Scope{All: true})
	d.takeOver(ctx, changed.Endpoints)
	d.flows.Drop(ctx, d.flows.Note(changed))
	d.flows.Soon(nil, s.PublishedUDP())
	d.o.Log.Infof("restored %d networks and %d endpoints; %d things were missing in the kernel", len(s.Networks), len(s.Endpoints), len(c.Fixed()))
	return nil
}

// holdPorts holds the published ports of a stored state.
func (d *Driver) holdPorts(ctx context.Context, s *model.State) {
	for sandbox := range s.Sandboxes {
		if p := plan.HostPorts(s, sandbox); len(p.Runs) > 0 {
			_, _ = d.comparer.Ensure(ctx, p) // the check finds it
		}
	}
}

// knowPrefixes asks for the prefixes that a stored state needs: the first check would close its networks for a
// moment.
func (d *Driver) knowPrefixes(ctx context.Context, s *model.State) {
	if len(plan.ByPrefix(s)) == 0 {
		return
	}
	if _, err := d.comparer.LearnPrefixes(ctx); err != nil {
		d.o.Log.WithError(err).Warn("which prefixes the host has is not known yet")
	}
}

// removeUnfinished removes what a kill in the middle of Join left of an endpoint's
// pair: one without the alias that says whose it is. Once the endpoint has left,
// nothing else would tell that it is gangway's.
func (d *Driver) removeUnfinished(ctx context.Context, n *model.Network, e *model.Endpoint) {
	if err := d.o.Links.Remove(ctx, plan.Veth(n, e, d.facts.Uplink())); err != nil {
		d.o.Log.WithError(err).WithField("ep", model.Short(e.ID)).Error("remove what is left of the endpoint's link")
	}
}
