package driver

import (
	"context"
	"net/netip"
	"reflect"
	"slices"

	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// A container in several networks has at most two endpoints that publish its ports:
// the gateway of IPv4 and that of IPv6. The engine tells neither which of them an
// endpoint is, nor, from 29 on, the one that stays when the other comes or goes: an
// IPv4 endpoint that served the container's ports in both families hears nothing
// when an IPv6 gateway joins. So the ports of a container have one owner, and who
// serves them is decided here, for all of its endpoints at once.

// withPorts reserves the host ports of a container of which the endpoint before is about
// to become after, fills in what after publishes, and does the rest, which is told how the
// container's other endpoints change. What was reserved is given back unless that
// succeeds. The caller holds the locks of lockSharing.
func (d *Driver) withPorts(ctx context.Context, before, after *model.Endpoint, do func(others []model.EndpointChange) error) error {
	others, err := d.sharePorts(ctx, before, after)
	if err != nil {
		return err
	}
	if err = do(others); err != nil {
		d.o.Ports.Trim(d.hostPorts(before.Sandbox))
	}
	return err
}

// sharePorts is the first half of withPorts.
func (d *Driver) sharePorts(ctx context.Context, before, after *model.Endpoint) ([]model.EndpointChange, error) {
	if len(before.Publish.Bindings)+len(after.Publish.Bindings) == 0 {
		return nil, nil
	}
	s, unlock := d.desired.Read()
	others, networks := s.Publishing(before.Sandbox, before)
	unlock()
	group := make([]*model.Endpoint, 0, len(others)+1)
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
	latest := after.ID
	if after.Publish.Equal(before.Publish) {
		latest = "" // nobody asked
	}
	requests := plan.PortRequests(group, networks, latest)
	var runs []spec.Published
	if len(requests) > 0 {
		var err error
		if runs, err = d.o.Ports.Reserve(ctx, before.Sandbox, requests); err != nil {
			return nil, err
		}
	}
	after.Published = runsOf(after, runs)
	var changes []model.EndpointChange
	for i, o := range others {
		changed := group[i]
		if changed.Published = runsOf(o, runs); !reflect.DeepEqual(changed, o) {
			changes = append(changes, model.EndpointChange{Before: o, After: changed})
		}
	}
	return changes, nil
}

// lastIPv6 says that of the endpoints that publish a container's ports the only one
// with IPv6 stops doing so, or loses that.
func lastIPv6(before, after *model.Endpoint, others []*model.Endpoint) bool {
	return before.IPv6.IsValid() && len(before.Publish.Bindings) > 0 && (len(after.Publish.Bindings) == 0 || !after.IPv6.IsValid()) &&
		!slices.ContainsFunc(others, func(o *model.Endpoint) bool { return o.IPv6.IsValid() })
}

// runsOf returns those of a container's runs that lead to one of its endpoints.
func runsOf(e *model.Endpoint, runs []spec.Published) (own []spec.Published) {
	for _, r := range runs {
		if slices.Contains(e.Addrs(), r.ContainerIP) {
			own = append(own, r)
		}
	}
	return own
}

// givingBack does what takes away e's published ports, and is told how the other
// endpoints of the container change. They keep what they have if they cannot get more.
func (d *Driver) givingBack(ctx context.Context, e *model.Endpoint, do func(others []model.EndpointChange) error) error {
	s, unlock := d.desired.Read()
	others, _ := s.Publishing(e.Sandbox, e)
	unlock()
	if e.Sandbox == "" || len(e.Publish.Bindings) == 0 || len(others) == 0 {
		return do(nil)
	}
	bare, done := e.Left(), false
	err := d.withPorts(ctx, e, &bare, func(others []model.EndpointChange) error {
		done = true
		return do(others)
	})
	if done {
		return err
	}
	d.o.Log.WithError(err).WithField("ep", model.Short(e.ID)).Warn("another endpoint of the container does not take over the published ports")
	return do(nil)
}

// takeOver has the other endpoints of a container serve what one served that has
// gone with its network or without a call.
func (d *Driver) takeOver(ctx context.Context, gone []model.EndpointChange) {
	for _, c := range gone {
		e := c.Before
		if len(e.Publish.Bindings) == 0 {
			continue
		}
		unlock, err := d.lockNetworks(ctx, func(s *model.State) map[string]bool {
			ids := map[string]bool{}
			for _, o := range s.Sandboxes[e.Sandbox] {
				ids[o.NetworkID] = true
			}
			return ids
		})
		if err == nil {
			err = d.givingBack(ctx, e, func(others []model.EndpointChange) error {
				return d.writer.Retire(ctx, func(*model.State) (model.Change, error) { return model.Change{Endpoints: others}, nil })
			})
			unlock()
		}
		if err != nil {
			d.o.Log.WithError(err).WithField("ep", model.Short(e.ID)).Warn("another endpoint of the container does not take over the published ports")
		}
	}
}

// lacksIPv6 says whether the container of an endpoint with an IPv6 address has IPv6
// switched off on its interface. The engine takes the address back then, from 29 on
// also from the address manager, and does not tell. Where nobody tells, it is taken
// to be there.
func (d *Driver) lacksIPv6(ctx context.Context, e *model.Endpoint) bool {
	if e.Sandbox == "" || !e.IPv6.IsValid() {
		return false
	}
	lacks, err := d.o.Links.LacksIPv6(ctx, spec.Veth{EndpointID: e.ID, Host: plan.VethHost(e.ID)})
	if err != nil {
		d.o.Log.WithError(err).WithField("ep", model.Short(e.ID)).Warn("whether the container has IPv6 is not known")
	}
	if lacks {
		d.o.Log.WithField("ep", model.Short(e.ID)).Infof("IPv6 is off in the container: the endpoint gives up %s", e.IPv6.Addr())
	}
	return lacks
}

// giveUpIPv6 has an endpoint do without its IPv6 address. The caller holds the locks
// of lockSharing.
func (d *Driver) giveUpIPv6(ctx context.Context, e *model.Endpoint) error {
	bare := *e
	bare.IPv6 = netip.Prefix{}
	return d.withPorts(ctx, e, &bare, func(others []model.EndpointChange) error {
		return d.writer.Commit(ctx, func(*model.State) (model.Change, error) {
			return model.Change{Endpoints: append([]model.EndpointChange{{Before: e, After: &bare}}, others...)}, nil
		})
	})
}

// lockSharing takes the locks of an endpoint's network and of those that its
// container's ports are published on as well, if it publishes any or is about to.
func (d *Driver) lockSharing(ctx context.Context, networkID, endpointID string, publishes bool) (unlock func(), err error) {
	return d.lockNetworks(ctx, func(s *model.State) map[string]bool {
		return s.Sharing(networkID, s.Members[networkID][endpointID], publishes)
	})
}

// lockNetworks takes the locks of the networks that which names at the time.
func (d *Driver) lockNetworks(ctx context.Context, which func(*model.State) map[string]bool) (unlock func(), err error) {
	return d.desired.LockNetworks(ctx, &d.networks, which)
}
