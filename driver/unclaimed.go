package driver

import (
	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/model"
)

// tellUnclaimed tells of what Restore has found.
func (d *Driver) tellUnclaimed() {
	if text := d.owners.Text(); text != "" {
		line := cause.Of(cause.Unclaimed, text).Line()
		d.o.Log.Warn(line)
		d.journal.Add(events.Problem, line, "")
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
		d.resolved(id, "is no engine's: removed")
	}
}

// resolved ends the doubt about an endpoint.
func (d *Driver) resolved(id, how string) {
	was, last, stored := d.owners.Resolve(id)
	if stored != nil {
		d.desired.Unsaved(model.Change{Endpoints: []model.EndpointChange{{Before: stored}}}, false) // unless it was taken back
	}
	if was {
		d.o.Log.WithField("ep", model.Short(id)).Info("endpoint that no stored state had " + how)
	}
	if last {
		d.journal.Add(events.Solved, "solved: no running container has a link that is not in the state", "")
	}
}
