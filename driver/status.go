package driver

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/driver/spec"
)

// Status tells how the datapath is.
func (d *Driver) Status(ctx context.Context) Status {
	// What was known before is told where the firewall does not answer.
	answered(ctx, func() { d.countDrops(ctx) })
	causes := d.causes(ctx)
	flapping, _ := d.keeper.Flapping()
	state, unlock := d.desired.Read()
	defer unlock()
	found := d.health.Report()
	s := Status{
		Firewall:   d.o.Firewall.Name(),
		Protection: string(firewall.ProtectionOf(d.o.Firewall)),
		Networks:   len(state.Networks),
		Endpoints:  len(state.Endpoints),
		Checks:     found.Checks,
		Repairs:    found.Repairs,
		LastCheck:  found.LastCheck,
		Flapping:   flapping,
		Unguarded:  d.o.Unguarded,
		Closed:     familyNames(d.closed(state)),
		Dropped:    d.drops.all(),
	}
	cause.Sort(causes)
	s.Causes = causes
	for _, e := range state.Endpoints {
		for _, r := range e.Published {
			s.Ports += r.Len()
		}
	}
	return s
}

// Networks lists the networks, sorted by bridge.
func (d *Driver) Networks(ctx context.Context) []NetworkStatus {
	// What was known before is told where the firewall does not answer.
	answered(ctx, func() { d.countDrops(ctx) })
	state, unlock := d.desired.Read()
	defer unlock()
	prefixes := d.facts.Known().Prefixes
	out := make([]NetworkStatus, 0, len(state.Networks))
	for _, n := range state.Networks {
		out = append(out, NetworkStatus{
			ID:        n.ID,
			Bridge:    n.Bridge,
			Adopted:   n.Adopted,
			Further:   furtherNames(state, n),
			Room:      n.Room(),
			Subnets:   n.Subnets(),
			Gateways:  n.DefaultGateways(),
			Outside:   plan.OutsidePrefix(state, n, prefixes),
			MTU:       plan.MTU(n, d.facts.Uplink()),
			Internal:  n.Options.Internal,
			ModeIPv4:  n.GatewayMode(false),
			ModeIPv6:  n.GatewayMode(true),
			Options:   n.Options.Given(),
			ICC:       n.Options.ICC,
			Guarded:   n.Options.AntiSpoofing != config.SpoofingAllowed && d.o.Unguarded == "",
			Endpoints: len(state.Members[n.ID]),
			Engine:    n.Engine,
			Dropped:   d.drops.network(n.ID),
			Policy:    plan.PolicyInForce(state, n, nil),
		})
	}
	slices.SortFunc(out, func(a, b NetworkStatus) int { return cmp.Compare(a.Bridge, b.Bridge) })
	return out
}

// furtherNames are those of a network's further bridges.
func furtherNames(s *model.State, n *model.Network) (names []string) {
	for _, number := range s.Further(n.ID) {
		names = append(names, n.FurtherName(number))
	}
	return names
}

// Endpoints lists the endpoints, sorted by bridge and address, with what the
// kernel tells of their links.
func (d *Driver) Endpoints(ctx context.Context) ([]EndpointStatus, error) {
	veths, err := d.o.Host.Veths(ctx)
	if err != nil {
		return nil, err
	}
	// What was known before is told where the firewall does not answer.
	answered(ctx, func() { d.countDrops(ctx) })
	state, unlock := d.desired.Read()
	defer unlock()
	out := make([]EndpointStatus, 0, len(state.Endpoints))
	for _, e := range state.Endpoints {
		v := veths[e.ID]
		status := EndpointStatus{
			ID:                 e.ID,
			NetworkID:          e.NetworkID,
			Bridge:             state.Networks[e.NetworkID].Bridge,
			MAC:                net.HardwareAddr(e.MAC).String(),
			Sandbox:            e.Sandbox,
			HostInterface:      v.Host,
			HostIndex:          v.HostIndex,
			ContainerInterface: v.Peer,
			ContainerIndex:     v.PeerIndex,
			Dropped:            d.drops.endpoint(e.ID),
			Policy:             plan.PolicyInForce(state, state.Networks[e.NetworkID], e),
		}
		rateIn, rateOut := plan.Rates(state.Networks[e.NetworkID], e)
		status.RateIn, status.RateOut = rateIn.String(), rateOut.String()
		for _, p := range []netip.Prefix{e.IPv4, e.IPv6} {
			if p.IsValid() {
				status.Addresses = append(status.Addresses, p)
			}
		}
		for _, r := range e.Published {
			status.Ports += r.Len()
		}
		for _, o := range plan.OpenPorts(state.Networks[e.NetworkID], e) {
			status.Open = append(status.Open, OpenStatus{Protocol: o.Proto.String(), IP: o.Addr, First: o.First, Last: o.Last, From: o.From})
		}
		out = append(out, status)
	}
	slices.SortFunc(out, func(a, b EndpointStatus) int {
		return cmp.Or(cmp.Compare(a.Bridge, b.Bridge), compareFirst(a.Addresses, b.Addresses), strings.Compare(a.ID, b.ID))
	})
	return out, nil
}

// compareFirst orders by the first address; an endpoint that had to give up its only
// one has none.
func compareFirst(a, b []netip.Prefix) int {
	if len(a) == 0 || len(b) == 0 {
		return cmp.Compare(len(a), len(b))
	}
	return a[0].Addr().Compare(b[0].Addr())
}

// Ports lists the runs of published ports, sorted by host port. Those on every
// address of IPv6 are not there while the host has none.
func (d *Driver) Ports(context.Context) []PortStatus {
	six := d.o.Ports.IPv6()
	state, unlock := d.desired.Read()
	defer unlock()
	out := []PortStatus{}
	prefixes := d.facts.Known().Prefixes
	for _, e := range state.Endpoints {
		for _, r := range inward(state, e, prefixes) {
			out = append(out, portStatus(state, e, r, PathPrefix))
		}
		for _, r := range e.Published {
			if !six && r.HostIP == netip.IPv6Unspecified() {
				continue
			}
			out = append(out, portStatus(state, e, r, pathOf(r)))
		}
	}
	slices.SortFunc(out, func(a, b PortStatus) int {
		return cmp.Or(cmp.Compare(a.First, b.First), strings.Compare(a.Protocol, b.Protocol), a.HostIP.Compare(b.HostIP))
	})
	return out
}

func portStatus(s *model.State, e *model.Endpoint, r spec.Published, path string) PortStatus {
	return PortStatus{
		EndpointID:     e.ID,
		NetworkID:      e.NetworkID,
		Protocol:       r.Proto.String(),
		HostIP:         r.HostIP,
		First:          r.First,
		Last:           r.Last,
		ContainerIP:    r.ContainerIP,
		ContainerFirst: r.ContainerFirst,
		Path:           path,
		Ingress:        askedBy(s, e, r),
	}
}

// inward are the ports that are reached at an endpoint's address behind a prefix of the host's, as published ones.
func inward(s *model.State, e *model.Endpoint, prefixes []spec.HostPrefix) (all []spec.Published) {
	n := s.Networks[e.NetworkID]
	if n == nil {
		return nil
	}
	for _, i := range plan.InwardPorts(n, e, plan.OutsidePrefix(s, n, prefixes)) {
		all = append(all, spec.Published{Proto: i.Proto, HostIP: i.Outside, First: i.First, Last: i.Last, ContainerIP: i.Inside, ContainerFirst: i.First})
	}
	return all
}

// askedBy are the sources that may ask for a run; nil for anybody.
func askedBy(s *model.State, e *model.Endpoint, r spec.Published) []string {
	texts := plan.PolicyInForce(s, s.Networks[e.NetworkID], e)
	if texts == (config.Policy{}) {
		return nil
	}
	p, _ := policy.Of(config.Policy{Ingress: texts.Ingress, Mode: texts.Mode, Networks: texts.Networks}) // it is closed with an error; other lists may be long
	return p.AskedBy(uint8(r.Proto), r.First, r.Last)
}

// pathOf names the ways by which a run is served.
func pathOf(p spec.Published) string {
	switch {
	case !plan.ByNAT(p):
		return "relay"
	case p.HostIP.Is6() && p.HostIP.IsUnspecified():
		return "nat+relay"
	}
	return "nat"
}

// Events returns the events after the given number that are remembered, oldest
// first; 0 stands for all of them. If there are none it waits for one, at most
// for the given time.
func (d *Driver) Events(ctx context.Context, after uint64, wait time.Duration) []events.Event {
	return d.journal.After(ctx, after, wait)
}

func familyNames(f firewall.Families) (names []string) {
	if f.V4 {
		names = append(names, "IPv4")
	}
	if f.V6 {
		names = append(names, "IPv6")
	}
	return names
}
