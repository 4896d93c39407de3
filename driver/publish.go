package driver

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/commit"
	"github.com/gangway-net/gangway/driver/model"
)

// Publish makes the endpoint's published ports exactly those of options
// (ProgramExternalConnectivity). The engine calls it for the endpoint that is
// the container's gateway, possibly again with other ports and no Unpublish
// between. A repeated request keeps the host ports that were chosen, and another
// endpoint of the container gives up what is this one's to serve (see plan.PortRequests). On an
// internal network nothing is published, whatever is asked (engines from 29 on
// do ask). From engine 28 on the container's interface is set up by now; where its
// IPv6 is off, the endpoint gives up its IPv6 address.
func (d *Driver) Publish(ctx context.Context, networkID, endpointID string, options config.EndpointOptions) error {
	return d.publish(ctx, networkID, endpointID, options, d.writer.Commit)
}

// publish is Publish by Commit or Regain.
func (d *Driver) publish(ctx context.Context, networkID, endpointID string, options config.EndpointOptions, by func(context.Context, commit.Planner) error) error {
	want, err := config.ParsePublish(options)
	if err != nil {
		return err
	}
	unlock, err := d.lockSharing(ctx, networkID, endpointID, len(want.Bindings) > 0)
	if err != nil {
		return err
	}
	defer unlock()
	s, unlockState := d.desired.Read()
	n, e, err := s.Find(networkID, endpointID)
	unlockState()
	if err != nil {
		return err
	}
	if e.Sandbox == "" {
		return model.Conflictf("endpoint %s cannot publish ports before it joined a container", model.Short(e.ID))
	}
	if n.OnLAN() && len(want.Bindings) > 0 {
		return fmt.Errorf("%s is on the LAN of %s, where the container's ports are reached at its own address: leave -p out, or give the container another network as its gateway", n, n.Options.Uplink)
	}
	published := *e
	if d.lacksIPv6(ctx, e) {
		published.IPv6 = netip.Prefix{}
	}
	if e.Publish.Equal(want) && e.IPv6 == published.IPv6 {
		return nil
	}
	published.Asked, published.Publish = nil, want
	return d.withPorts(ctx, e, &published, func(others []model.EndpointChange) error {
		return by(ctx, func(*model.State) (model.Change, error) {
			return model.Change{Endpoints: append([]model.EndpointChange{{Before: e, After: &published}}, others...)}, nil
		})
	})
}

// Unpublish takes all published ports of the endpoint back
// (RevokeExternalConnectivity). It may come without a Publish before it. On a
// routed network they stay open: it is the container's way out no more, but the
// container publishes them all the same.
func (d *Driver) Unpublish(ctx context.Context, networkID, endpointID string) error {
	return d.retireEndpoint(ctx, networkID, endpointID, func(n *model.Network, e *model.Endpoint) *model.Endpoint {
		bare := *e
		if n.Routed() && len(e.Publish.Bindings) > 0 {
			bare.Asked = e.Publish.Bindings
		}
		bare.Publish, bare.Published = config.Publish{}, nil
		return &bare
	})
}
