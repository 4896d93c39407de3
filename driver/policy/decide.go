package policy

import (
	"net/netip"
	"slices"

	"github.com/gangway-net/gangway/config"
)

// Packet is one that begins a flow, as it came, before anybody has translated it.
type Packet struct {
	From, To netip.Addr
	// Proto is the protocol's number. Port is the one that is asked; 0 for protocols
	// without ports.
	Proto uint8
	Port  uint16
	// Near says that it came by a bridge of Gangway.
	Near bool
	// Names are allowed ones by which the container has learned of To.
	Names []string
}

// Decide says whether a container with the policy may begin a flow to what is none of its
// network; host says that it is an address of the host. Questions that the resolver answers
// go on to nobody.
func (p Policy) Decide(to Packet, host bool) bool { return p.outward(to, host).passes }

// Admits says whether somebody outside of a container's network may begin a flow to it. The
// packet's port is that which was asked, its To is no matter.
func (p Policy) Admits(from Packet) bool { return p.inward(from).passes }

// decision is what becomes of a packet, and by which entry. Many flows are decided about whose
// entry nobody asks for.
type decision struct {
	passes bool
	by     func() Entry
}

// outward decides on what a container sends. Of the items of a list that match, one for all
// ports and protocols goes before others, and the first before the next: so do the sets of
// Compile.
func (p Policy) outward(to Packet, host bool) decision {
	if p.Asks() && to.asks() {
		return decision{true, func() Entry { return Entry{OptionAllow, string(config.GroupDNS)} }}
	}
	item := func(passes bool, of Option, e *config.Peers) decision {
		return decision{passes, func() Entry { return listed(of, e) }}
	}
	if d := first(p.Deny, func(d config.Peers) bool { return match(d.Ports, to) && containsAny(d, to.To) }); d != nil {
		return item(false, OptionDeny, d)
	}
	itself := func(e config.Peers) bool { return e.Group == config.GroupHost && match(e.Ports, to) }
	if host {
		if d := first(p.Deny, itself); d != nil {
			return item(false, OptionDeny, d)
		}
		return p.toHost(to, first(p.Allow, itself))
	}
	if a := first(p.Allow, func(a config.Peers) bool { return match(a.Ports, to) && contains(a, to.To) }); a != nil {
		return item(true, OptionAllow, a)
	}
	if ports, passes := p.byName(to); passes {
		return decision{true, func() Entry { return p.ByName(ports) }}
	}
	passes := p.Egress == config.EgressOpen || p.Egress == config.EgressInternet && groups()[config.GroupInternet].Contains(to.To)
	return decision{passes, func() Entry { return p.Otherwise(OptionEgress) }}
}

// toHost decides on what goes to the host and is not denied; allowed is the item of the list
// that is for the host, nil for none.
func (p Policy) toHost(to Packet, allowed *config.Peers) decision {
	listed := decision{true, func() Entry { return listed(OptionAllow, allowed) }}
	switch {
	case p.WholeHost:
		return decision{true, func() Entry { return p.Otherwise(OptionHost) }}
	case allowed != nil && allowed.All():
		return listed
	}
	for _, h := range p.HostPorts {
		if match(h, to) {
			return decision{true, func() Entry { return hostPort(h) }}
		}
	}
	if allowed != nil {
		return listed
	}
	return decision{false, func() Entry { return p.Otherwise(OptionHost) }}
}

// inward decides on what comes to a container: sources of one port go before those of all.
func (p Policy) inward(from Packet) decision {
	own := slices.ContainsFunc(p.Ingress, func(s config.Source) bool { return !s.Port.All() && match(s.Port, from) })
	for _, s := range p.Ingress {
		switch {
		case s.Port.All() == own, own && !match(s.Port, from), s.Nobody:
		case !s.Anybody && s.Group != "" && from.Near: // they are none of the LAN, nor of the internet
		case s.Network.Name != "" && !from.Near: // none of its containers comes by another link
		case s.Anybody, contains(s.Peers, from.From):
			return decision{true, func() Entry { return listed(OptionIngress, s) }}
		}
	}
	return decision{false, func() Entry { return p.Otherwise(OptionIngress) }}
}

// match says whether a packet is for one of some ports.
func match(p config.Ports, to Packet) bool {
	if p.All() {
		return true
	}
	s := spanOf(p)
	return slices.Contains(protocolsOf(p), to.Proto) && s.first <= to.Port && to.Port <= s.last
}

// contains says whether an entry has an address; the host's own and those of names nobody
// knows here.
func contains(e config.Peers, a netip.Addr) bool {
	if !e.Literal() {
		return addresses(e).Contains(a)
	}
	return e.Prefix.Contains(a)
}

// containsAny is contains with the IPv6 forms of IPv4 addresses, by which they are reached as well.
func containsAny(e config.Peers, a netip.Addr) bool {
	if contains(e, a) {
		return true
	}
	if !a.Is6() {
		return false
	}
	if !e.Literal() {
		return withEmbedded(addresses(e)).Contains(a)
	}
	if !e.Prefix.Addr().Is4() {
		return false
	}
	return slices.ContainsFunc(embeddings(), func(outer string) bool { return embed(outer, e.Prefix).Contains(a) })
}
