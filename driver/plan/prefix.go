package plan

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// OutsidePrefix is what a network's IPv6 subnet is outside, by the prefixes that the host has; invalid for one that
// is not translated, or as long as the host has no prefix for it. Two networks that would
// get addresses in common are told apart by their ids: the first one has them. A subnet with an address of the host has
// nobody: a container would begin flows with that address and a port of its choice, and the answers to the host's own would be its.
func OutsidePrefix(s *model.State, n *model.Network, prefixes []spec.HostPrefix) netip.Prefix {
	outside := subnetOf(n, prefixes)
	own := func(h spec.HostPrefix) bool { return h.Link != "" && outside.Contains(h.Prefix.Addr()) }
	if !outside.IsValid() || slices.ContainsFunc(prefixes, own) {
		return netip.Prefix{}
	}
	for id, other := range s.Networks {
		if id < n.ID && subnetOf(other, prefixes).Overlaps(outside) {
			return netip.Prefix{}
		}
	}
	return outside
}

// subnetOf is the subnet of a prefix that a network asks for, whoever else does.
func subnetOf(n *model.Network, prefixes []spec.HostPrefix) netip.Prefix {
	p := n.Options.Prefix
	if !p.Follow {
		return netip.Prefix{}
	}
	link := p.From
	if link == config.Delegated {
		link = ""
	}
	for _, h := range prefixes { // the first that has room
		free := n.Subnet6.Bits() - h.Prefix.Bits()
		if h.Link == link && free >= 0 && (free >= 32 || p.Subnet < 1<<free) {
			return numbered(h.Prefix, p.Subnet, n.Subnet6.Bits())
		}
	}
	return netip.Prefix{}
}

// numbered is the subnet of so many bits that has a number within a prefix.
func numbered(in netip.Prefix, number int64, bits int) netip.Prefix {
	a := in.Masked().Addr().As16()
	if number == config.LastSubnet {
		for i := in.Bits(); i < bits; i++ {
			a[i/8] |= 0x80 >> (i % 8)
		}
		return netip.PrefixFrom(netip.AddrFrom16(a), bits)
	}
	for i := range min(bits-in.Bits(), 32) { // the lowest bit of the number is that before the host part
		if at := bits - 1 - i; number>>i&1 == 1 {
			a[at/8] |= 0x80 >> (at % 8)
		}
	}
	return netip.PrefixFrom(netip.AddrFrom16(a), bits)
}

// Translated is an address behind another prefix; invalid without one.
func Translated(a netip.Addr, outside netip.Prefix) netip.Addr {
	if !outside.IsValid() {
		return netip.Addr{}
	}
	from, to := a.As16(), outside.Addr().As16()
	for half := 0; half < 16; half += 8 {
		mask := ^uint64(0)
		if kept := outside.Bits() - half*8; kept <= 0 {
			mask = 0
		} else if kept < 64 {
			mask <<= 64 - kept
		}
		is := binary.BigEndian.Uint64(to[half:])&mask | binary.BigEndian.Uint64(from[half:])&^mask
		binary.BigEndian.PutUint64(to[half:], is)
	}
	return netip.AddrFrom16(to)
}

// translation is what becomes of a network's subnet, if that is translated.
func translation(n *model.Network, outside netip.Prefix) (t firewall.Translation, there bool) {
	return firewall.Translation{NetworkID: n.ID, Bridge: n.Bridge, Inside: n.Subnet6, Outside: outside}, n.Options.Prefix.Follow
}

// InwardPorts returns the published ports that are reached by the container's address outside: the same as
// are open on a network of gateway mode routed.
func InwardPorts(n *model.Network, e *model.Endpoint, outside netip.Prefix) (all []firewall.Inward) {
	inside := e.IPv6.Addr()
	if !outside.IsValid() || !inside.IsValid() {
		return nil
	}
	for _, run := range containerPorts(slices.Concat(e.Publish.Bindings, e.Asked), inside) {
		all = append(all, firewall.Inward{
			NetworkID: n.ID, EndpointID: e.ID, Proto: run.Proto,
			Outside: Translated(inside, outside), Inside: inside, First: run.First, Last: run.Last,
		})
	}
	return all
}

// ByPrefix are the owners whose plans depend on the prefixes of the host, sorted.
func ByPrefix(s *model.State) (all []Owner) {
	return ownersOf(s, func(n *model.Network) bool { return n.Options.Prefix.Follow })
}
