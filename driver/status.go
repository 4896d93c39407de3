package driver

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/spec"
)

// Status tells how the datapath is.
func (d *Driver) Status(context.Context) Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Status{
		Firewall:  d.o.Firewall.Name(),
		Networks:  len(d.state.networks),
		Endpoints: len(d.state.endpoints),
		Checks:    d.health.checks,
		Repairs:   d.health.repairs,
		LastCheck: d.health.lastCheck,
		Fights:    slices.Clone(d.health.fights),
		Unguarded: d.o.Unguarded,
		Closed:    familyNames(d.facts.closed),
		Problem:   d.health.problem,
	}
	for _, e := range d.state.endpoints {
		for _, r := range e.Published {
			s.Ports += r.Len()
		}
	}
	return s
}

// Networks lists the networks, sorted by bridge.
func (d *Driver) Networks(context.Context) []NetworkStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]NetworkStatus, 0, len(d.state.networks))
	for _, n := range d.state.networks {
		status := NetworkStatus{
			ID:        n.ID,
			Bridge:    n.Bridge,
			Adopted:   n.Adopted,
			Subnets:   n.subnets(),
			Gateways:  []netip.Addr{},
			MTU:       n.Options.MTU,
			Internal:  n.Options.Internal,
			ICC:       n.Options.ICC,
			Guarded:   n.Options.AntiSpoofing != config.SpoofingAllowed && d.o.Unguarded == "",
			Endpoints: len(d.state.members[n.ID]),
			Engine:    n.Engine,
		}
		for _, g := range n.gateways() {
			status.Gateways = append(status.Gateways, g.Addr())
		}
		out = append(out, status)
	}
	slices.SortFunc(out, func(a, b NetworkStatus) int { return cmp.Compare(a.Bridge, b.Bridge) })
	return out
}

// Endpoints lists the endpoints, sorted by bridge and address, with what the
// kernel tells of their links.
func (d *Driver) Endpoints(ctx context.Context) ([]EndpointStatus, error) {
	veths, err := d.o.Host.Veths(ctx)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]EndpointStatus, 0, len(d.state.endpoints))
	for _, e := range d.state.endpoints {
		v := veths[e.ID]
		status := EndpointStatus{
			ID:                 e.ID,
			NetworkID:          e.NetworkID,
			Bridge:             d.state.networks[e.NetworkID].Bridge,
			MAC:                net.HardwareAddr(e.MAC).String(),
			Sandbox:            e.Sandbox,
			HostInterface:      v.Host,
			HostIndex:          v.HostIndex,
			ContainerInterface: v.Peer,
			ContainerIndex:     v.PeerIndex,
		}
		for _, p := range []netip.Prefix{e.IPv4, e.IPv6} {
			if p.IsValid() {
				status.Addresses = append(status.Addresses, p)
			}
		}
		for _, r := range e.Published {
			status.Ports += r.Len()
		}
		out = append(out, status)
	}
	slices.SortFunc(out, func(a, b EndpointStatus) int {
		return cmp.Or(cmp.Compare(a.Bridge, b.Bridge), a.Addresses[0].Addr().Compare(b.Addresses[0].Addr()), strings.Compare(a.ID, b.ID))
	})
	return out, nil
}

// Ports lists the runs of published ports, sorted by host port.
func (d *Driver) Ports(context.Context) []PortStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := []PortStatus{}
	for _, e := range d.state.endpoints {
		for _, r := range e.Published {
			out = append(out, PortStatus{
				EndpointID:     e.ID,
				NetworkID:      e.NetworkID,
				Protocol:       r.Proto.String(),
				HostIP:         r.HostIP,
				First:          r.First,
				Last:           r.Last,
				ContainerIP:    r.ContainerIP,
				ContainerFirst: r.ContainerFirst,
				Path:           pathOf(r),
			})
		}
	}
	slices.SortFunc(out, func(a, b PortStatus) int {
		return cmp.Or(cmp.Compare(a.First, b.First), strings.Compare(a.Protocol, b.Protocol), a.HostIP.Compare(b.HostIP))
	})
	return out
}

// pathOf names the ways by which a run is served.
func pathOf(p spec.Published) string {
	switch {
	case !byNAT(p):
		return "relay"
	case p.HostIP.Is6() && p.HostIP.IsUnspecified():
		return "nat+relay"
	}
	return "nat"
}
