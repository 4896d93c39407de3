package driver

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// CheckGateway answers whether the network that options ask for needs gateway
// addresses (GwAllocCheck, engine 28.0 and later; before anything is
// allocated). Options that do not hold are refused here already.
func (d *Driver) CheckGateway(_ context.Context, options map[string]any) (GatewayCheck, error) {
	n, err := config.ParseNetwork(options)
	return GatewayCheck{
		SkipIPv4: n.Mode(false) == config.Isolated || n.InhibitIPv4 && n.Internal,
		SkipIPv6: n.Mode(true) == config.Isolated,
	}, err
}

// CreateNetwork makes a network. The same request twice succeeds; the same id
// with other content is a ConflictError, as is a subnet or a bridge that
// another network holds.
func (d *Driver) CreateNetwork(ctx context.Context, r CreateNetworkRequest) error {
	n, err := d.newNetwork(r)
	if err != nil {
		return err
	}
	if d.o.Unguarded != "" {
		if err = n.Options.Unguarded(d.o.Unguarded); err != nil {
			return err
		}
	}
	if r.Exclusive {
		if err = d.retireAbandoned(ctx, n); err != nil {
			return err
		}
	}
	unlock, err := d.networks.Take(ctx, n.ID)
	if err != nil {
		return err
	}
	defer unlock()
	elsewhere, err := d.lookAtBridge(ctx, n)
	if err != nil {
		return err
	}
	if err = d.learnFor(ctx, n); err != nil {
		return err
	}
	if n.Options.Prefix.Follow {
		defer d.shareAnew()
	}
	to := requestedRouters(r)
	defer d.doubt()
	return d.writer.Commit(ctx, func(s *model.State) (model.Change, error) {
		if old := s.Networks[n.ID]; old != nil {
			return model.RepeatedNetwork(old, n, to)
		}
		if err := n.Route(to); err != nil {
			return model.Change{}, err
		}
		if err := s.AdmitNetwork(n); err != nil {
			return model.Change{}, err
		}
		if err := n.Avoid(elsewhere); err != nil {
			return model.Change{}, err
		}
		if err := d.admitPolicy(s, n); err != nil {
			return model.Change{}, err
		}
		return model.Change{Network: model.NetworkChange{After: n}}, nil
	})
}

// learnFor asks for the facts that a new network depends on.
func (d *Driver) learnFor(ctx context.Context, n *model.Network) (err error) {
	if n.Options.MTU == config.AutoMTU {
		_, err = d.comparer.LearnUplink(ctx)
	}
	if err == nil && n.Options.Prefix.Follow {
		_, err = d.comparer.LearnPrefixes(ctx)
	}
	return err
}

// lookAtBridge finds out whether the bridge of a new network is there already, and
// whether it can take the gateway's addresses. It returns the addresses of the
// host's other links that are in the way.
func (d *Driver) lookAtBridge(ctx context.Context, n *model.Network) (elsewhere []spec.LinkAddress, err error) {
	info, err := d.o.Host.InspectBridge(ctx, n.Bridge, n.Subnets())
	if err != nil {
		return nil, err
	}
	if info.Exists && info.Kind != "bridge" {
		return nil, fmt.Errorf("link %s exists and is a %s, not a bridge: choose another com.docker.network.bridge.name", n.Bridge, info.Kind)
	}
	n.Adopted = info.Exists && info.Owner != n.ID
	if n.Adopted && n.OnLAN() {
		return nil, fmt.Errorf("bridge %s was there before: leave gangway.uplink out if it is on the LAN already (com.docker.network.bridge.inhibit_ipv4=true), or choose another com.docker.network.bridge.name", n.Bridge)
	}
	return info.Elsewhere, d.refuseDuplicateGateway(ctx, n, info.Addresses)
}

// DeleteNetwork removes a network and every endpoint that is still on it. An
// unknown network is no error: the engine never repeats the call.
func (d *Driver) DeleteNetwork(ctx context.Context, id string) error {
	unlock, err := d.networks.Take(ctx, id)
	if err != nil {
		return err
	}
	var gone []model.EndpointChange
	name, followed := "", false
	left, err := d.writer.Withdraw(ctx, func(s *model.State) (model.Change, error) {
		c := model.Change{Network: model.NetworkChange{Before: s.Networks[id]}}
		for _, e := range s.Members[id] {
			c.Endpoints = append(c.Endpoints, model.EndpointChange{Before: e})
		}
		if gone = c.Endpoints; c.Network.Before != nil {
			name, followed = c.Network.Before.Name, c.Network.Before.Options.Prefix.Follow
		}
		return c, nil
	})
	unlock()
	d.flows.Drop(ctx, left)
	d.takeOver(ctx, gone)
	d.followNames(ctx, name)
	if followed {
		d.shareAnew()
	}
	if err != nil {
		d.doubt()
	}
	return err
}

// shareAnew has the next check look which networks have which subnets of the host's prefixes: one that came or went may
// have left one to another, whose lock nobody has here.
func (d *Driver) shareAnew() {
	s, unlock := d.desired.Read()
	owners := plan.ByPrefix(s)
	unlock()
	d.writer.Reopen(owners)
}

// retireAbandoned removes the networks without endpoints that have n's subnets
// in n's address space, of which the address manager knows nothing any more: the
// connection broke when the engine removed them, and it never repeats that. They
// would be in the way for ever, since no engine can name them. One that an engine
// has named stays until that has answered without it (see NoteInventory): each engine has an
// address manager of its own under the same name, so n may be another engine's.
func (d *Driver) retireAbandoned(ctx context.Context, n *model.Network) error {
	for _, old := range d.abandoned(n) {
		if _, err := d.forget(ctx, old.ID, d.owners.Nobodys); err != nil {
			return fmt.Errorf("remove network %s, which the engine has removed before: %w", model.Short(old.ID), err)
		}
	}
	return nil
}

func (d *Driver) abandoned(n *model.Network) []*model.Network {
	s, unlock := d.desired.Read()
	defer unlock()
	var found []*model.Network
	for _, old := range s.Networks {
		empty := len(s.Members[old.ID]) == 0 && !d.owners.On(old.ID)
		if old.ID != n.ID && empty && d.owners.Nobodys(old) && old.Space == n.Space && n.Space != "" && old.Overlaps(n) {
			found = append(found, old)
		}
	}
	return found
}

// Holder returns the id of the endpoint that has an address; "" if none has. It is for the
// address manager, which knows no endpoints.
func (d *Driver) Holder(a netip.Addr) string {
	s, unlock := d.desired.Read()
	defer unlock()
	if e := s.Holders[a]; e != nil {
		return e.ID
	}
	return ""
}

// Shared says whether an address is a network's gateway that a container may have.
// It is for the address manager, which holds gateways and knows no networks.
func (d *Driver) Shared(a netip.Addr) bool {
	s, unlock := d.desired.Read()
	defer unlock()
	for _, n := range s.Networks {
		if n.GatewayElsewhere(a) {
			return true
		}
	}
	return false
}
