package driver

import (
	"context"
	"slices"

	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// tellUnclaimed tells of what Restore has found.
func (d *Driver) tellUnclaimed() {
	if text := d.owners.Text(); text != "" {
		d.o.Log.Warn(text)
		d.journal.Add(events.Problem, text)
	}
}

// Unclaimed returns the endpoints that running containers use and that the state does
// not know, by network. The network is empty if the kernel does not tell it.
func (d *Driver) Unclaimed() map[string][]string {
	out := map[string][]string{}
	for id, v := range d.owners.Unclaimed() {
		out[v.NetworkID] = append(out[v.NetworkID], id)
	}
	return out
}

// Doubt says why it is not known yet whose the unclaimed endpoints are, for who asks
// for the status.
func (d *Driver) Doubt(why string) {
	if d.owners.Doubt(why) {
		d.o.Log.Warn("whose the links of running containers are is not known: " + why)
	}
}

// Disown says that an engine has none of these unclaimed endpoints, though it has
// their network: the next check removes what is left of them.
func (d *Driver) Disown(endpointIDs []string) {
	for _, id := range endpointIDs {
		d.settled(id, "is no engine's: removed")
	}
}

// settled ends the doubt about an endpoint.
func (d *Driver) settled(id, how string) {
	was, last, stored := d.owners.Settle(id)
	if stored != nil {
		d.desired.Unsaved(model.Change{Endpoints: []model.EndpointChange{{Before: stored}}}, false) // unless it was taken back
	}
	if was {
		d.o.Log.WithField("ep", model.Short(id)).Info("endpoint that no stored state had " + how)
	}
	if last {
		d.journal.Add(events.Solved, "solved: no running container has a link that is not in the state")
	}
}

// unpruned adds to what should be there what nobody has claimed.
func (d *Driver) unpruned(want plan.Links) ([]spec.Bridge, []spec.Veth) {
	s, unlock := d.desired.Read()
	defer unlock()
	bridges, veths := slices.Clone(want.Bridges), slices.Clone(want.Veths)
	for id, v := range d.owners.Unclaimed() {
		if s.Networks[v.NetworkID] == nil && v.NetworkID != "" {
			// Whatever its name is, as that of one that gangway only uses.
			bridges = append(bridges, spec.Bridge{Name: v.Bridge, NetworkID: v.NetworkID, Adopted: true})
		}
		if s.Endpoints[id] == nil {
			veths = append(veths, spec.Veth{EndpointID: id, Host: v.Host, Bridge: v.Bridge})
		}
	}
	return bridges, veths
}

// check takes one look at links. An unclaimed pair that is gone, or in no container
// any more, is used by nobody.
func (d *Driver) check(ctx context.Context, of spec.Scope, want plan.Links) (spec.LinkCheck, error) {
	bridges, veths := d.unpruned(want)
	found, err := d.o.Host.Check(ctx, of, bridges, veths)
	if err != nil {
		return found, err
	}
	for _, v := range veths {
		if found.Gone[v.EndpointID] || found.Outside[v.EndpointID] {
			d.settled(v.EndpointID, "is in no container any more")
		}
	}
	return found, nil
}
