package policy

import (
	"cmp"
	"slices"

	"github.com/gangway-net/gangway/config"
)

// Peering is what a policy opens of the isolation between its network and another one: one
// half, the other network's policy has to say the other one.
type Peering struct {
	// Bridge is the other network's link.
	Bridge string
	// V4 and V6 say of which families the other network has addresses.
	V4, V6 bool
	// All says that whatever is sent is meant, of any protocol; else Ports are, of which none
	// overlaps another one.
	All   bool
	Ports []PortSpan
}

// Has says whether it is about a family.
func (p Peering) Has(six bool) bool { return six && p.V6 || !six && p.V4 }

// Matches says whether it opens the port that a packet asks for.
func (p Peering) Matches(to Packet) bool {
	return p.Has(to.To.Is6()) && (p.All || slices.ContainsFunc(p.Ports, func(s PortSpan) bool {
		return s.Proto == to.Proto && s.First <= to.Port && to.Port <= s.Last
	}))
}

// Reaches are the networks of which gangway.egress.allow has containers, sorted by bridge.
func (p Policy) Reaches() []Peering {
	var all peerings
	for _, a := range p.Allow {
		all.add(a.Network, a.Ports)
	}
	return all.disjoint()
}

// ReachedBy are the networks whose containers gangway.ingress lets in, sorted by bridge.
func (p Policy) ReachedBy() []Peering {
	var all peerings
	for _, s := range p.Ingress {
		all.add(s.Network, s.Port)
	}
	return all.disjoint()
}

// Peers says whether both policies open a flow: that of who begins it, on a bridge, and that of
// who is asked, on another one.
func Peers(from, to Policy, bridge, other string, asked Packet) bool {
	opens := func(list []Peering, link string) bool {
		return slices.ContainsFunc(list, func(p Peering) bool { return p.Bridge == link && p.Matches(asked) })
	}
	return opens(from.Reaches(), other) && opens(to.ReachedBy(), bridge)
}

// peerings collects networks with ports; a network may be among them several times.
type peerings []config.Peers

func (l *peerings) add(n config.PeerNetwork, ports config.Ports) {
	if n.Bridge != "" {
		*l = append(*l, config.Peers{Network: n, Ports: ports})
	}
}

func (l peerings) disjoint() (all []Peering) {
	slices.SortStableFunc(l, func(a, b config.Peers) int { return cmp.Compare(a.Network.Bridge, b.Network.Bridge) })
	for len(l) > 0 {
		n := slices.IndexFunc(l, func(o config.Peers) bool { return o.Network.Bridge != l[0].Network.Bridge })
		if n < 0 {
			n = len(l)
		}
		of := l[0].Network
		one := Peering{Bridge: of.Bridge, V4: of.Subnet4.IsValid(), V6: of.Subnet6.IsValid()}
		var ports portSpans
		for _, e := range l[:n] {
			one.All = one.All || e.All()
			ports.add(e.Ports, Entry{})
		}
		if !one.All {
			one.Ports, _ = ports.disjoint()
		}
		all, l = append(all, one), l[n:]
	}
	return all
}

// Asking says that the containers are to begin flows to those of other networks.
func (p Policy) Asking() bool {
	return slices.ContainsFunc(p.Allow, func(e config.Peers) bool { return e.Network.Name != "" })
}

// Peered says whether flows to or from containers of other networks are allowed.
func (p Policy) Peered() bool {
	return p.Asking() || slices.ContainsFunc(p.Ingress, func(s config.Source) bool { return s.Network.Name != "" })
}

// resolved puts in what names of networks stand for.
func (p *Policy) resolved(texts config.Policy) {
	for _, list := range [][]config.Peers{p.Allow, p.Deny} {
		for i := range list {
			if n := &list[i].Network; n.Name != "" {
				*n = texts.PeerNetwork(n.Name)
			}
		}
	}
	for i := range p.Ingress {
		if n := &p.Ingress[i].Network; n.Name != "" {
			*n = texts.PeerNetwork(n.Name)
		}
	}
}

// everybody says that sources leave out nobody outside: containers of other networks that are
// named beside any are added to all others.
func everybody(sources []config.Source) bool {
	all := slices.Contains(sources, config.Source{Anybody: true})
	return all && !slices.ContainsFunc(sources, func(s config.Source) bool { return !s.Port.All() || !s.Anybody && s.Network.Name == "" })
}
