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
func (p Policy) Decide(to Packet, host bool) bool {
	if p.Asks() && to.asks() {
		return true
	}
	for _, d := range p.Deny {
		if match(d.Ports, to) && (host && d.Group == config.GroupHost || withEmbedded(addresses(d)).Contains(to.To)) {
			return false
		}
	}
	if host {
		return p.reachesHost(to)
	}
	for _, a := range p.Allow {
		if match(a.Ports, to) && (addresses(a).Contains(to.To) || slices.ContainsFunc(to.Names, a.Covers)) {
			return true
		}
	}
	switch p.Egress {
	case config.EgressOpen:
		return true
	case config.EgressInternet:
		return groups()[config.GroupInternet].Contains(to.To)
	}
	return false
}

func (p Policy) reachesHost(to Packet) bool {
	if p.WholeHost || slices.ContainsFunc(p.HostPorts, func(h config.Ports) bool { return match(h, to) }) {
		return true
	}
	return slices.ContainsFunc(p.Allow, func(a config.Peers) bool { return a.Group == config.GroupHost && match(a.Ports, to) })
}

// Admits says whether somebody outside of a container's network may begin a flow to it. The
// packet's port is that which was asked, its To is no matter.
func (p Policy) Admits(from Packet) bool {
	own := slices.ContainsFunc(p.Ingress, func(s config.Source) bool { return !s.Port.All() && match(s.Port, from) })
	for _, s := range p.Ingress {
		switch {
		case s.Port.All() == own, own && !match(s.Port, from), s.Nobody:
		case s.Anybody:
			return true
		case s.Group != "" && from.Near: // they are none of the LAN, nor of the internet
		case addresses(s.Peers).Contains(from.From):
			return true
		}
	}
	return false
}

// match says whether a packet is for one of some ports.
func match(p config.Ports, to Packet) bool {
	if p.All() {
		return true
	}
	s := spanOf(p)
	return slices.Contains(protocolsOf(p), to.Proto) && s.first <= to.Port && to.Port <= s.last
}
