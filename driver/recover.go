package driver

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
)

// Recovery is what an engine says of one of its networks, in the terms of the calls
// by which it was made: it is checked as these are.
type Recovery struct {
	// Engine is as in Inventory, Name what it calls the network.
	Engine  string
	Name    string
	Network CreateNetworkRequest
	// Endpoints are those of running containers.
	Endpoints []RecoveredEndpoint
}

// RecoveredEndpoint is what an engine says of an endpoint in a running container.
type RecoveredEndpoint struct {
	CreateEndpointRequest
	// Sandbox is as in Join.
	Sandbox string
	// Ports are the container's, as in Join and Publish.
	Ports config.EndpointOptions
	// Gateway says that the endpoint is the container's way out, by which its ports are
	// published.
	Gateway bool
}

// Recover takes back a network of which the state knows nothing, or not all, while
// running containers use it. What the kernel has of it is gone on with. What is known
// already stays as it is, an endpoint that is not unclaimed is the engine's calls'
// matter, and one whose container has gone meanwhile is left out. An endpoint with an
// error is unclaimed still, and may be recovered again.
func (d *Driver) Recover(ctx context.Context, a Recovery) error {
	unlock, err := d.networks.Take(ctx, a.Network.ID)
	if err != nil {
		return err
	}
	n, err := d.recoverNetwork(ctx, a)
	var recovered []RecoveredEndpoint
	for _, e := range a.Endpoints {
		if n == nil || !d.owners.Lacks(e.EndpointID) {
			continue
		}
		there, failed := d.recoverEndpoint(ctx, n, e)
		err = errors.Join(err, failed)
		if there {
			recovered = append(recovered, e)
		}
	}
	unlock()
	d.followNames(ctx, a.Name)
	for _, e := range recovered {
		if e.Gateway {
			if failed := d.publish(ctx, n.ID, e.EndpointID, e.Ports, d.writer.Regain); failed != nil {
				err = errors.Join(err, fmt.Errorf("publish the ports of endpoint %s again: %w", model.Short(e.EndpointID), failed))
				continue
			}
		}
		d.resolved(e.EndpointID, "is network "+model.Short(n.ID)+"'s: taken back")
	}
	return errors.Join(err, d.SettleGateways(ctx))
}

// recoverNetwork returns the network that there is, or the one of the recovery. It is
// nil if that cannot be.
func (d *Driver) recoverNetwork(ctx context.Context, a Recovery) (*model.Network, error) {
	if known := d.network(a.Network.ID); known != nil {
		return known, nil
	}
	n, err := d.newNetwork(a.Network)
	if err != nil {
		return nil, err
	}
	n.Engine, n.Name = a.Engine, a.Name
	info, err := d.o.Host.InspectBridge(ctx, n.Bridge, n.Subnets())
	if err != nil {
		return nil, err
	}
	if info.Exists && info.Kind != "bridge" {
		return nil, fmt.Errorf("link %s of network %s is a %s, not a bridge", n.Bridge, model.Short(n.ID), info.Kind)
	}
	n.Adopted = info.Exists && info.Owner != n.ID
	n.Gateway4 = knownGateway(n.Gateway4, n.Subnet4, info.Addresses)
	n.Gateway6 = knownGateway(n.Gateway6, n.Subnet6, info.Addresses)
	err = d.writer.Regain(ctx, func(s *model.State) (model.Change, error) {
		return model.Change{Network: model.NetworkChange{After: n}}, cmp.Or(s.AdmitNetwork(n), n.Avoid(info.Elsewhere))
	})
	return d.network(n.ID), err
}

// knownGateway is the gateway's address: what the engine says, or else what the
// bridge has. Engines do not tell one that the user left to them.
func knownGateway(told, subnet netip.Prefix, have []netip.Prefix) netip.Prefix {
	if told.IsValid() || !subnet.IsValid() {
		return told
	}
	i := slices.IndexFunc(have, func(p netip.Prefix) bool { return subnet.Contains(p.Addr()) })
	if i < 0 {
		return told
	}
	return netip.PrefixFrom(have[i].Addr(), subnet.Bits())
}

// recoverEndpoint makes an endpoint of a running container part of the state, and says
// whether it is.
func (d *Driver) recoverEndpoint(ctx context.Context, n *model.Network, a RecoveredEndpoint) (there bool, err error) {
	e, err := newEndpoint(a.CreateEndpointRequest)
	if err != nil {
		return false, err
	}
	if a.Sandbox == "" {
		return false, fmt.Errorf("endpoint %s is in no sandbox", model.Short(e.ID))
	}
	e.Sandbox = a.Sandbox
	e.MACChosen = bytes.Equal(e.MAC, model.ChooseMAC(e))
	if n.Routed() {
		asked, bad := config.ParsePublish(a.Ports)
		if bad != nil {
			return false, bad
		}
		e.Asked = asked.Bindings
	}
	d.remember(e)
	veths, err := d.o.Host.Veths(ctx)
	if err != nil {
		return false, err
	}
	if !veths[e.ID].Moved {
		return false, nil // its container has ended; the next check finds that
	}
	if at := veths[e.ID]; at.NetworkID == n.ID && at.Further <= model.MaxBridges {
		e.Further = at.Further // nobody moves for that
	}
	err = d.writer.Regain(ctx, func(s *model.State) (model.Change, error) {
		if s.Endpoints[e.ID] != nil {
			return model.Change{}, nil
		}
		return model.Change{Network: s.Networks[n.ID].Chosen(e), Endpoints: []model.EndpointChange{{After: e}}}, s.AdmitEndpoint(n, e)
	})
	return err == nil, err
}

// remember completes an endpoint with what is stored of it: no engine knows the ports
// that were left to gangway to choose.
func (d *Driver) remember(e *model.Endpoint) {
	s := d.owners.Stored(e.ID)
	if s == nil || s.NetworkID != e.NetworkID || s.IPv4 != e.IPv4 || s.IPv6 != e.IPv6 || s.Sandbox != e.Sandbox {
		return
	}
	e.Asked, e.Publish, e.Published, e.Exceptions = s.Asked, s.Publish, s.Published, s.Exceptions
}
