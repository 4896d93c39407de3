package driver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// unclaimed is what running containers use and a restored state does not know: the
// state files were lost, moved or put back from an older copy, or the plugin was
// removed and installed again. That nobody knows of it does not tell whose it is, so
// nothing of it is removed until an engine has said that it has no such endpoint;
// what an engine says that it has is taken back (see Adopt).
//
// Until then the firewall's rules are not compared with the state: those of the
// unclaimed networks and ports are among them, and cannot be told from what is left
// over. They are compared with what they were when gangway started, and what has
// changed since (see firewall.Backend's Repair). The other way, to compare with what the
// kernel shows of these networks, would take their published ports away.
type unclaimed struct {
	// endpoints are the host ends of their pairs, by endpoint.
	endpoints map[string]spec.VethInfo
	// stored are those of them that are stored still, though not their networks.
	stored map[string]*model.Endpoint
	// why says what stands in the way of knowing more.
	why string
}

// find fills u after a restore; the pairs are the host's, and the orphans are what was
// stored without a network.
func (u *unclaimed) find(s *model.State, veths map[string]spec.VethInfo, orphans model.Change) {
	u.endpoints, u.stored = map[string]spec.VethInfo{}, map[string]*model.Endpoint{}
	for _, e := range orphans.Endpoints {
		u.stored[e.Before.ID] = e.Before
	}
	for id, v := range veths {
		if v.Moved && s.Endpoints[id] == nil && model.CheckID("endpoint", id) == nil {
			u.endpoints[id] = v
		}
	}
}

// networks returns the ids of the networks that the endpoints are on, sorted. One
// whose bridge does not tell is not among them.
func (u *unclaimed) networks() []string {
	ids := map[string]bool{}
	for _, v := range u.endpoints {
		if model.CheckID("network", v.NetworkID) == nil {
			ids[v.NetworkID] = true
		}
	}
	return slices.Sorted(maps.Keys(ids))
}

// text is what there is to say; empty for nothing.
func (u *unclaimed) text() string {
	if len(u.endpoints) == 0 {
		return ""
	}
	var on []string
	for _, id := range u.networks() {
		on = append(on, model.Short(id))
	}
	text := fmt.Sprintf("%d links of running containers (networks %s) are in no stored state: they and all rules are left as they are until an engine has said whose they are",
		len(u.endpoints), strings.Join(on, ", "))
	if u.why != "" {
		text += "; " + u.why
	}
	return text
}

// tellUnclaimed tells of what Restore has found.
func (d *Driver) tellUnclaimed() {
	d.mu.Lock()
	text := d.engines.unclaimed.text()
	d.mu.Unlock()
	if text != "" {
		d.o.Log.Warn(text)
		d.journal.Add(events.Problem, text)
	}
}

// Unclaimed returns the endpoints that running containers use and that the state does
// not know, by network. The network is empty if the kernel does not tell it.
func (d *Driver) Unclaimed() map[string][]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[string][]string{}
	for id, v := range d.engines.unclaimed.endpoints {
		out[v.NetworkID] = append(out[v.NetworkID], id)
	}
	return out
}

// Doubt says why it is not known yet whose the unclaimed endpoints are, for who asks
// for the status.
func (d *Driver) Doubt(why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if why != d.engines.unclaimed.why && why != "" && len(d.engines.unclaimed.endpoints) > 0 {
		d.o.Log.Warn("whose the links of running containers are is not known: " + why)
	}
	d.engines.unclaimed.why = why
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
	d.mu.Lock()
	_, was := d.engines.unclaimed.endpoints[id]
	delete(d.engines.unclaimed.endpoints, id)
	last := was && len(d.engines.unclaimed.endpoints) == 0
	stored := d.engines.unclaimed.stored[id]
	delete(d.engines.unclaimed.stored, id)
	d.mu.Unlock()
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

func (d *Driver) isUnclaimed(endpointID string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, is := d.engines.unclaimed.endpoints[endpointID]
	return is
}

// on says whether any of the endpoints is on the network.
func (u *unclaimed) on(networkID string) bool {
	for _, v := range u.endpoints {
		if v.NetworkID == networkID {
			return true
		}
	}
	return false
}

// keeps says whether there is anything that nobody has claimed.
func (d *Driver) keeps() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.engines.unclaimed.endpoints) > 0
}

// unswept adds to what should be there what nobody has claimed.
func (d *Driver) unswept(want plan.Links) ([]spec.Bridge, []spec.Veth) {
	s, unlock := d.desired.Read()
	defer unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	bridges, veths := slices.Clone(want.Bridges), slices.Clone(want.Veths)
	for id, v := range d.engines.unclaimed.endpoints {
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
	bridges, veths := d.unswept(want)
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
