package trace

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/gangway-net/gangway/plugin"
)

// State is what the daemon says is there, with the host's addresses.
type State struct {
	Networks  []plugin.Network
	Endpoints []plugin.Endpoint
	Ports     []plugin.Port
	Host      []netip.Addr
	// Names are the names that have opened an address, by the endpoint for which it is open.
	Names map[string]map[netip.Addr][]string
}

// Party is one end of a flow: the host, a container, or somebody outside of both.
type Party struct {
	// Host says that it is the host itself; Endpoints are those of a container.
	Host      bool
	Endpoints []plugin.Endpoint
	// Addr is the address that was given; invalid for a name.
	Addr netip.Addr
}

// Flow is what is followed.
type Flow struct {
	// Protocol is tcp, udp or sctp.
	Protocol string
	From     Party
	// Source is From's address; invalid if it is not known.
	Source      netip.Addr
	Destination netip.AddrPort
}

// At returns who has an address.
func (s State) At(a netip.Addr) Party {
	a = a.Unmap().WithZone("")
	if a.IsLoopback() || slices.Contains(s.Host, a) {
		return Party{Host: true, Addr: a}
	}
	if e, found := s.endpoint(a); found {
		return Party{Endpoints: s.container(e), Addr: a}
	}
	return Party{Addr: a}
}

// container returns all endpoints of an endpoint's container.
func (s State) container(e plugin.Endpoint) (all []plugin.Endpoint) {
	for _, other := range s.Endpoints {
		if other.ID == e.ID || e.Sandbox != "" && other.Sandbox == e.Sandbox {
			all = append(all, other)
		}
	}
	return all
}

// endpoint is the one that has an address.
func (s State) endpoint(a netip.Addr) (plugin.Endpoint, bool) {
	i := slices.IndexFunc(s.Endpoints, func(e plugin.Endpoint) bool { return has(e, a) })
	if i < 0 {
		return plugin.Endpoint{}, false
	}
	return s.Endpoints[i], true
}

func has(e plugin.Endpoint, a netip.Addr) bool {
	return slices.ContainsFunc(e.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
}

// network is the one of that id; what is not known has defaults.
func (s State) network(id string) plugin.Network {
	if i := slices.IndexFunc(s.Networks, func(n plugin.Network) bool { return n.ID == id }); i >= 0 {
		return s.Networks[i]
	}
	return plugin.Network{}
}

// Towards chooses the address at which from asks to: one on a network that they share
// before others, of a family that from has, IPv4 before IPv6. It is invalid if there is
// none.
func Towards(from, to Party) netip.Addr {
	if to.Addr.IsValid() {
		return to.Addr
	}
	var best netip.Addr
	least := 1 << 10
	for _, e := range to.Endpoints {
		for _, p := range e.Addresses {
			score := 0
			if !slices.ContainsFunc(from.Endpoints, func(f plugin.Endpoint) bool { return f.NetworkID == e.NetworkID }) {
				score += 4
			}
			if !from.speaks(p.Addr().Is6()) {
				continue
			}
			if p.Addr().Is6() {
				score++
			}
			if score < least {
				best, least = p.Addr(), score
			}
		}
	}
	return best
}

// Likely is the address from which packets of a container to a destination come, as far as
// that can be said without its routes: that of a network that the destination is on, else
// the first of the family. It is invalid for the host.
func (p Party) Likely(to netip.Addr) (likely netip.Addr) {
	if p.Addr.IsValid() && !p.Host {
		return p.Addr
	}
	for _, e := range p.Endpoints {
		for _, a := range e.Addresses {
			if a.Contains(to) {
				return a.Addr()
			}
			if !likely.IsValid() && a.Addr().Is6() == to.Is6() {
				likely = a.Addr()
			}
		}
	}
	return likely
}

// speaks says whether a party may have addresses of a family.
func (p Party) speaks(six bool) bool {
	if p.Addr.IsValid() {
		return p.Addr.Is6() == six
	}
	return p.Host || len(p.Endpoints) == 0 || slices.ContainsFunc(p.Endpoints, func(e plugin.Endpoint) bool {
		return slices.ContainsFunc(e.Addresses, func(a netip.Prefix) bool { return a.Addr().Is6() == six })
	})
}

// Sandbox is the path of the container's network namespace; empty for others.
func (p Party) Sandbox() string {
	for _, e := range p.Endpoints {
		if e.Sandbox != "" {
			return e.Sandbox
		}
	}
	return ""
}

// outside says that it is neither the host nor a container.
func (p Party) outside() bool { return !p.Host && len(p.Endpoints) == 0 }

// source is the endpoint that a container's packet leaves by.
func (f Flow) source() plugin.Endpoint {
	for _, e := range f.From.Endpoints {
		if has(e, f.Source) {
			return e
		}
	}
	return f.From.Endpoints[0]
}

// published is the run that an address and port of the host lead to: that of the address
// itself before those of all addresses.
func (s State) published(f Flow) (p plugin.Port, found bool) {
	to := f.Destination
	own := slices.Contains(s.Host, to.Addr()) || to.Addr().IsLoopback()
	for _, run := range s.Ports {
		if own == (run.Path == plugin.PathPrefix) {
			continue // that is for what is no address of the host's
		}
		at := run.HostIP == to.Addr() || run.HostIP.IsUnspecified() && run.HostIP.Is6() == to.Addr().Is6()
		if at && run.Protocol == f.Protocol && run.First <= to.Port() && to.Port() <= run.Last && (!found || p.HostIP.IsUnspecified()) {
			p, found = run, true
		}
	}
	return p, found
}

func nameOf(w plugin.Whose, endpointID string) string {
	return cmp.Or(w.ContainerName, short(w.ContainerID), "endpoint "+short(endpointID))
}

func netName(n plugin.Network) string { return cmp.Or(n.Name, short(n.ID), "of another engine") }

func short(id string) string { return id[:min(len(id), 12)] }
