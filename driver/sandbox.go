package driver

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/spec"
)

// A container in several networks has at most two endpoints that publish its ports:
// the gateway of IPv4 and that of IPv6. The engine tells neither which of them an
// endpoint is, nor, from 29 on, the one that stays when the other comes or goes: an
// IPv4 endpoint that served the container's ports in both families hears nothing
// when an IPv6 gateway joins. So the ports of a container have one owner, and who
// serves them is decided here, for all of its endpoints at once.

// families are those of host addresses.
type families struct{ four, six bool }

func (f families) has(a netip.Addr) bool { return a.Is4() && f.four || a.Is6() && f.six }

// serving says which host addresses each of the endpoints that publish a container's
// ports serves. Of two gateways, the one that is asked first has one family alone, or
// it would be the gateway of both: that family is its, and the other one the other's.
// Where several could serve a family all the same, it is the latest that was asked;
// without it, who serves it already. A family that nobody has is relayed.
func serving(all []*Endpoint, latest string) map[string]families {
	is4, is6 := func(e *Endpoint) bool { return e.IPv4.IsValid() }, func(e *Endpoint) bool { return e.IPv6.IsValid() }
	out := map[string]families{}
	if e := server(all, latest, is4, is6); e != nil {
		f := out[e.ID]
		f.four = true
		out[e.ID] = f
	}
	if e := server(all, latest, is6, is4); e != nil {
		f := out[e.ID]
		f.six = true
		out[e.ID] = f
	}
	return out
}

// server chooses the endpoint that serves a family, which it has or has not.
func server(all []*Endpoint, latest string, has, hasOther func(*Endpoint) bool) *Endpoint {
	rank := func(e *Endpoint) int {
		switch {
		case has(e) && !hasOther(e):
			return 0
		case has(e):
			return 1
		}
		return 2
	}
	first := func(a, b *Endpoint) int {
		later := func(e *Endpoint) int {
			switch {
			case e.ID == latest:
				return 0
			case len(e.Published) > 0:
				return 1
			}
			return 2
		}
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(later(a), later(b)), strings.Compare(a.ID, b.ID))
	}
	if len(all) == 0 {
		return nil
	}
	return slices.MinFunc(all, first)
}

// publishing returns the endpoints of a container that publish ports, besides one,
// and the networks of all of them.
func (s *state) publishing(sandbox string, but *Endpoint) (others []*Endpoint, networks map[string]*Network) {
	networks = map[string]*Network{but.NetworkID: s.networks[but.NetworkID]}
	for _, o := range s.sandboxes[sandbox] {
		n := s.networks[o.NetworkID]
		if o.ID != but.ID && len(o.Publish.Bindings) > 0 && !n.Options.Internal {
			others = append(others, o)
			networks[n.ID] = n
		}
	}
	slices.SortFunc(others, func(a, b *Endpoint) int { return strings.Compare(a.ID, b.ID) })
	return others, networks
}

// sharePorts reserves the host ports of a container of which the endpoint before is
// about to become after, fills in what after publishes, and returns how the
// container's other endpoints change. Nothing is released yet: keepPorts has to
// follow.
func (d *Driver) sharePorts(ctx context.Context, before, after *Endpoint) ([]endpointChange, error) {
	d.mu.Lock()
	others, networks := d.state.publishing(before.Sandbox, before)
	d.mu.Unlock()
	group := make([]*Endpoint, 0, len(others)+1)
	for _, o := range others {
		changed := *o
		// Told that another endpoint is the gateway of IPv6, it is not told that
		// that one has left.
		changed.Publish.NoProxy6To4 = o.Publish.NoProxy6To4 && !lastIPv6(before, after, others)
		group = append(group, &changed)
	}
	if after.Sandbox != "" && !networks[after.NetworkID].Options.Internal && len(after.Publish.Bindings) > 0 {
		group = append(group, after)
	}
	serves := serving(group, after.ID)
	var requests []spec.PortRequest
	for _, e := range group {
		requests = append(requests, portRequests(networks[e.NetworkID], e, serves[e.ID])...)
	}
	var runs []spec.Published
	if len(requests) > 0 {
		var err error
		if runs, err = d.o.Ports.Reserve(ctx, before.Sandbox, requests); err != nil {
			return nil, err
		}
	}
	after.Published = runsOf(after, runs)
	var changes []endpointChange
	for i, o := range others {
		changed := group[i]
		if changed.Published = runsOf(o, runs); !reflect.DeepEqual(changed, o) {
			changes = append(changes, endpointChange{before: o, after: changed})
		}
	}
	return changes, nil
}

// lastIPv6 says that an endpoint stops publishing that was the only one with IPv6.
func lastIPv6(before, after *Endpoint, others []*Endpoint) bool {
	return before.IPv6.IsValid() && len(before.Publish.Bindings) > 0 && len(after.Publish.Bindings) == 0 &&
		!slices.ContainsFunc(others, func(o *Endpoint) bool { return o.IPv6.IsValid() })
}

// runsOf returns those of a container's runs that lead to one of its endpoints.
func runsOf(e *Endpoint, runs []spec.Published) (own []spec.Published) {
	for _, r := range runs {
		if slices.Contains(e.addrs(), r.ContainerIP) {
			own = append(own, r)
		}
	}
	return own
}

// giveBack returns how the other endpoints of a container change when e publishes
// nothing any more. They keep what they have if they cannot get more.
func (d *Driver) giveBack(ctx context.Context, e *Endpoint) []endpointChange {
	d.mu.Lock()
	others, _ := d.state.publishing(e.Sandbox, e)
	d.mu.Unlock()
	if e.Sandbox == "" || len(e.Publish.Bindings) == 0 || len(others) == 0 {
		return nil
	}
	bare := e.left()
	changes, err := d.sharePorts(ctx, e, &bare)
	if err != nil {
		d.o.Log.WithError(err).WithField("ep", short(e.ID)).Warn("another endpoint of the container does not take over the published ports")
		return nil
	}
	return changes
}

// keepPorts releases the host ports of a container that none of its endpoints
// publishes any more.
func (d *Driver) keepPorts(sandbox string) {
	d.mu.Lock()
	var runs []spec.Published
	for _, e := range d.state.sandboxes[sandbox] {
		runs = append(runs, e.Published...)
	}
	d.mu.Unlock()
	d.o.Ports.Keep(sandbox, runs)
}

// lockSharing takes the locks of an endpoint's network and of those that its
// container's ports are published on as well, if it publishes any or is about to.
func (d *Driver) lockSharing(ctx context.Context, networkID, endpointID string, publishes bool) (unlock func(), err error) {
	for {
		ids := d.sharing(networkID, endpointID, publishes)
		if unlock, err = d.networks.lockAll(ctx, ids); err != nil {
			return nil, err
		}
		if slices.Equal(ids, d.sharing(networkID, endpointID, publishes)) {
			return unlock, nil
		}
		unlock() // the container has joined or left a network meanwhile
	}
}

// sharing returns the ids of these networks, sorted.
func (d *Driver) sharing(networkID, endpointID string, publishes bool) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := map[string]bool{networkID: true}
	if e := d.state.members[networkID][endpointID]; e != nil && e.Sandbox != "" && (publishes || len(e.Publish.Bindings) > 0) {
		for _, o := range d.state.sandboxes[e.Sandbox] {
			ids[o.NetworkID] = true
		}
	}
	return slices.Sorted(maps.Keys(ids))
}
