package driver

import (
	"context"
	"net/netip"
	"slices"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/spec"
)

// Publish makes the endpoint's published ports exactly those of options
// (ProgramExternalConnectivity). The engine calls it for the endpoint that is
// the container's gateway, possibly again with other ports and no Unpublish
// between. A repeated request keeps the host ports that were chosen, and another
// endpoint of the container gives up what is this one's to serve (see serving). On an
// internal network nothing is published, whatever is asked (engines from 29 on
// do ask). From engine 28 on the container's interface is set up by now; where its
// IPv6 is off, the endpoint gives up its IPv6 address.
func (d *Driver) Publish(ctx context.Context, networkID, endpointID string, options config.EndpointOptions) error {
	return d.publish(ctx, networkID, endpointID, options, d.commit)
}

// publish is Publish by commit or regain.
func (d *Driver) publish(ctx context.Context, networkID, endpointID string, options config.EndpointOptions, commit func(context.Context, planner) error) error {
	want, err := config.ParsePublish(options)
	if err != nil {
		return err
	}
	unlock, err := d.lockSharing(ctx, networkID, endpointID, len(want.Bindings) > 0)
	if err != nil {
		return err
	}
	defer unlock()
	d.mu.Lock()
	_, e, err := d.state.find(networkID, endpointID)
	d.mu.Unlock()
	if err != nil {
		return err
	}
	if e.Sandbox == "" {
		return conflictf("endpoint %s cannot publish ports before it joined a container", short(e.ID))
	}
	published := *e
	if d.lacksIPv6(ctx, e) {
		published.IPv6 = netip.Prefix{}
	}
	if e.Publish.Equal(want) && e.IPv6 == published.IPv6 {
		return nil
	}
	published.Asked, published.Publish = nil, want
	return d.withPorts(ctx, e, &published, func(others []endpointChange) error {
		return commit(ctx, func(*state) (change, error) {
			return change{endpoints: append([]endpointChange{{before: e, after: &published}}, others...)}, nil
		})
	})
}

// Unpublish takes all published ports of the endpoint back
// (RevokeExternalConnectivity). It may come without a Publish before it. On a
// routed network they stay open: it is the container's way out no more, but the
// container publishes them all the same.
func (d *Driver) Unpublish(ctx context.Context, networkID, endpointID string) error {
	return d.retireEndpoint(ctx, networkID, endpointID, func(n *Network, e *Endpoint) *Endpoint {
		bare := *e
		if n.routed() && len(e.Publish.Bindings) > 0 {
			bare.Asked = e.Publish.Bindings
		}
		bare.Publish, bare.Published = config.Publish{}, nil
		return &bare
	})
}

// portRequests turns what the user asked for into host addresses and ports.
func portRequests(n *Network, e *Endpoint, of families) []spec.PortRequest {
	if n.Options.Internal || len(e.addrs()) == 0 {
		return nil
	}
	four, six := e.reached()
	if !four.IsValid() && !six.IsValid() {
		return nil
	}
	want := e.Publish
	out := make([]spec.PortRequest, 0, len(want.Bindings))
	for _, b := range want.Bindings {
		hosts := slices.DeleteFunc(hostIPs(n, b.HostIP), func(a netip.Addr) bool { return !of.has(a) })
		implied := !b.HostIP.IsValid()
		if !six.IsValid() && (want.NoProxy6To4 || implied && spec.Protocol(b.Proto) == spec.SCTP) {
			// Another endpoint of the container serves its IPv6 ports; or a relay
			// would have to, which SCTP has none of and nobody asked for.
			hosts = slices.DeleteFunc(hosts, netip.Addr.Is6)
		}
		if implied && !four.IsValid() {
			// As with docker, IPv4 leads to an endpoint without it only where an
			// address was named: another endpoint of the container may serve the
			// IPv4 ports, and the engine does not tell.
			hosts = slices.DeleteFunc(hosts, netip.Addr.Is4)
		}
		if len(hosts) == 0 {
			continue
		}
		out = append(out, spec.PortRequest{
			Proto:         spec.Protocol(b.Proto),
			HostIPs:       hosts,
			First:         b.HostPort,
			Last:          b.HostPortEnd,
			Container4:    four,
			Container6:    six,
			Endpoint:      e.ID,
			ContainerPort: b.Port,
		})
	}
	return out
}

// hostIPs says on which host addresses a binding is published: the one that
// was asked for, else the network's defaults, else every address of both
// families, as docker does. A family that is routed has no host ports.
func hostIPs(n *Network, asked netip.Addr) []netip.Addr {
	four, six := n.Options.HostBindings(false), n.Options.HostBindings(true)
	var all []netip.Addr
	switch {
	case asked.IsValid():
		all = []netip.Addr{asked}
	case len(four) > 0:
		all = append(four, six...)
	case len(six) > 0:
		all = append([]netip.Addr{netip.IPv4Unspecified()}, six...)
	default:
		all = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	return slices.DeleteFunc(all, func(a netip.Addr) bool { return n.Options.Mode(a.Is6()) == config.Routed })
}
