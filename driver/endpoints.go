package driver

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"reflect"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
)

// CreateEndpoint makes an endpoint with the addresses that the engine
// allocated. Nothing of it is in the kernel before Join. An address that
// another endpoint holds is a ConflictError, unless that endpoint has left or its
// link is gone: then the engine forgot it in a crash, and it yields. One that a machine
// on an adopted bridge uses is refused.
func (d *Driver) CreateEndpoint(ctx context.Context, r CreateEndpointRequest) (CreateEndpointResult, error) {
	e, err := newEndpoint(r)
	if err != nil {
		return CreateEndpointResult{}, err
	}
	if err = d.refuseDuplicates(ctx, e); err != nil {
		return CreateEndpointResult{}, err
	}
	heard, err := d.refuseUsedOutside(ctx, e)
	if err != nil {
		return CreateEndpointResult{}, err
	}
	if err = d.refuseBridgeMAC(ctx, e); err != nil {
		return CreateEndpointResult{}, err
	}
	unlock, err := d.lockNetworks(ctx, func(s *model.State) map[string]bool {
		ids := map[string]bool{e.NetworkID: true}
		for _, h := range s.HoldersOf(e) {
			maps.Copy(ids, s.Sharing(h.NetworkID, h, false))
		}
		return ids
	})
	if err != nil {
		return CreateEndpointResult{}, err
	}
	defer unlock()
	if err = d.retireHolders(ctx, e); err != nil {
		return CreateEndpointResult{}, err
	}
	err = d.writer.Commit(ctx, func(s *model.State) (model.Change, error) {
		n := s.Networks[e.NetworkID]
		if n == nil {
			return model.Change{}, model.UnknownNetwork(e.NetworkID)
		}
		if old := s.Endpoints[e.ID]; old != nil {
			if old.MACChosen && e.MACChosen {
				e.MAC = old.MAC
			}
			return model.Change{}, model.RepeatedEndpoint(old, e)
		}
		return model.Change{Endpoints: []model.EndpointChange{{After: e}}}, cmp.Or(d.refuseHostDNS(n, r), d.admitOwnPolicy(s, n, e), s.AdmitEndpoint(n, e), d.refuseUnguardedBridge(n, e))
	})
	if err == nil {
		d.facts.LearnUsers(heard, nil, nil)
	}
	if err != nil || !e.MACChosen {
		return CreateEndpointResult{}, err
	}
	return CreateEndpointResult{MAC: net.HardwareAddr(e.MAC)}, nil
}

// refuseUnguardedBridge refuses a further bridge where the host cannot be kept off it.
func (d *Driver) refuseUnguardedBridge(n *model.Network, e *model.Endpoint) error {
	if e.Further == 0 || d.o.Unguarded == "" {
		return nil
	}
	return fmt.Errorf("network %s is full: its bridge %s takes %d containers, and a further one needs a filter that the kernel lacks (%s); put this container on another network",
		model.Short(n.ID), n.Bridge, model.BridgeRoom, d.o.Unguarded)
}

// DeleteEndpoint removes an endpoint, joined or not. An unknown one is no
// error: the engine never repeats the call.
func (d *Driver) DeleteEndpoint(ctx context.Context, networkID, endpointID string) error {
	return d.retireEndpoint(ctx, networkID, endpointID, func(*model.Network, *model.Endpoint) *model.Endpoint { return nil })
}

// Join puts the endpoint's link pair in place and says what the engine has to
// do in the container. sandboxKey names the container's namespace. On a routed network the ports that the container
// publishes are open from now on.
func (d *Driver) Join(ctx context.Context, networkID, endpointID, sandboxKey string, options config.EndpointOptions) (JoinResult, error) {
	if sandboxKey == "" {
		return JoinResult{}, fmt.Errorf("endpoint %s joins without a sandbox key", model.Short(endpointID))
	}
	unlock, err := d.networks.Take(ctx, networkID)
	if err != nil {
		return JoinResult{}, err
	}
	defer unlock()
	asked, err := d.askedPorts(networkID, options)
	if err != nil {
		return JoinResult{}, err
	}
	var n *model.Network
	var e *model.Endpoint
	err = d.writer.Commit(ctx, func(s *model.State) (_ model.Change, err error) {
		if n, e, err = s.Find(networkID, endpointID); err != nil {
			return model.Change{}, err
		}
		if e.Sandbox == sandboxKey {
			return model.Change{}, nil
		}
		if e.Sandbox != "" {
			return model.Change{}, model.Conflictf("endpoint %s is in sandbox %s and cannot join %s as well", model.Short(e.ID), e.Sandbox, sandboxKey)
		}
		joined := *e
		joined.Sandbox, joined.Asked = sandboxKey, asked
		return model.Change{Network: n.Chosen(e), Endpoints: []model.EndpointChange{{Before: e, After: &joined}}}, nil
	})
	if err != nil {
		return JoinResult{}, err
	}
	return joinResult(n, e), nil
}

// askedPorts returns the ports in Join's options if the network is one that
// opens them.
func (d *Driver) askedPorts(networkID string, options config.EndpointOptions) ([]config.PortBinding, error) {
	n := d.network(networkID)
	if n == nil || !n.Routed() {
		return nil, nil
	}
	asked, err := config.ParsePublish(options)
	return asked.Bindings, err
}

// joinResult names no gateway on an internal network, or where there is to be no default
// route: the engine would install the route and publish the container's ports there. Nor does it name the
// endpoint itself, where that is the gateway.
func joinResult(n *model.Network, e *model.Endpoint) JoinResult {
	r := JoinResult{SrcName: plan.VethPeer(e.ID), DstPrefix: n.Options.IfacePrefix, DisableGatewayService: true}
	r.Routes = n.Routes(e)
	if n.Options.Internal || e.Options.NoDefaultRoute.Over(n.Options.NoDefaultRoute) {
		return r
	}
	// Who has the gateway's address himself has no gateway.
	if g := n.DefaultGateway(e.IPv4.Addr()); e.IPv4.IsValid() && g != e.IPv4.Addr() {
		r.Gateway4 = g
	}
	if g := n.DefaultGateway(e.IPv6.Addr()); e.IPv6.IsValid() && g != e.IPv6.Addr() {
		r.Gateway6 = g
	}
	return r
}

// Leave takes the endpoint out of its container: published ports go, and nothing
// passes by its link any more. Addresses and link stay until DeleteEndpoint, since
// the engine moves the link back after this call. If it forgets to delete the
// endpoint, that goes after a while (see joinTime). An endpoint that is unknown or
// has left already is no error; engines from 29 on send Leave twice.
func (d *Driver) Leave(ctx context.Context, networkID, endpointID string) error {
	return d.retireEndpoint(ctx, networkID, endpointID, func(_ *model.Network, e *model.Endpoint) *model.Endpoint {
		left := e.Left()
		return &left
	})
}

// retireEndpoint takes away what follow leaves out; nil takes it all. What the
// endpoint served of its container's ports goes back to the others.
func (d *Driver) retireEndpoint(ctx context.Context, networkID, endpointID string, follow func(*model.Network, *model.Endpoint) *model.Endpoint) error {
	left, err := d.withdrawEndpoint(ctx, networkID, endpointID, follow)
	d.flows.Drop(ctx, left)
	return err
}

// withdrawEndpoint returns the flows that the endpoint has left.
func (d *Driver) withdrawEndpoint(ctx context.Context, networkID, endpointID string, follow func(*model.Network, *model.Endpoint) *model.Endpoint) (plan.Stale, error) {
	unlock, err := d.lockSharing(ctx, networkID, endpointID, false)
	if err != nil {
		return plan.Stale{}, err
	}
	defer unlock()
	n, e := d.endpoint(networkID, endpointID)
	if e == nil {
		return plan.Stale{}, nil
	}
	after := follow(n, e)
	if after != nil && reflect.DeepEqual(e, after) {
		return plan.Stale{}, nil
	}
	var left plan.Stale
	err = d.givingBack(ctx, e, func(others []model.EndpointChange) (err error) {
		left, err = d.writer.Withdraw(ctx, func(*model.State) (model.Change, error) {
			return model.Change{Endpoints: append([]model.EndpointChange{{Before: e, After: after}}, others...)}, nil
		})
		return err
	})
	return left, err
}

// retireHolders removes endpoints that hold e's addresses, or the hardware address
// that was asked for, although they have left, or their link is gone or in no
// container. One whose container has IPv6 switched off gives up its IPv6 address. The
// kernel is asked only when there is a conflict at all.
func (d *Driver) retireHolders(ctx context.Context, e *model.Endpoint) error {
	s, unlock := d.desired.Read()
	holders := s.HoldersOf(e)
	unlock()
	if len(holders) == 0 {
		return nil
	}
	veths, err := d.o.Host.Veths(ctx)
	if err != nil {
		return err
	}
	for _, h := range holders {
		switch {
		case h.Sandbox == "" || !veths[h.ID].Moved:
			d.o.Log.WithField("ep", model.Short(h.ID)).Warn("endpoint is in no container any more and yields its address")
			err = d.givingBack(ctx, h, func(others []model.EndpointChange) error {
				return d.writer.Retire(ctx, func(*model.State) (model.Change, error) {
					return model.Change{Endpoints: append([]model.EndpointChange{{Before: h}}, others...)}, nil
				})
			})
		case h.IPv6.IsValid() && h.IPv6.Addr() == e.IPv6.Addr() && d.lacksIPv6(ctx, h):
			err = d.giveUpIPv6(ctx, h)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
