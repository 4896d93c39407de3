package policy

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"

	"go4.org/netipx"
)

// decides is Decide by the sets, for what is known of no name. It looks things up, so that
// judging thousands of flows by a policy of thousands of entries takes no walk through these.
func decides(c *Compiled, p Packet, host bool) bool {
	switch {
	case c.Deny.has(p.To, p):
		return false
	case host && (c.NoHost || inSpans(c.HostDeny, p)):
		return false
	case host:
		return c.WholeHost || inSpans(c.HostAllow, p)
	}
	return c.Allow.has(p.To, p) || c.Open || c.Internet && inRanges(publicRanges(), p.To)
}

// admits is Admits by the sets.
func admits(c *Compiled, p Packet) bool {
	own, rest := &c.OwnFrom, &c.From
	if p.Near && c.Apart {
		own, rest = &c.NearOwn, &c.Near
	}
	switch {
	case c.Everybody:
		return true
	case inSpans(c.OwnPorts, p):
		return own.has(p.From, p)
	}
	return rest.has(p.From, p)
}

var publicRanges = sync.OnceValue(Public)

// has says whether an address is meant, with a packet's port. The ranges are sorted; those with
// ports are beside each other where they have the same addresses.
func (a *Access) has(at netip.Addr, p Packet) bool {
	if inRanges(a.Any, at) {
		return true
	}
	next, _ := slices.BinarySearchFunc(a.Ports, at, func(s AddrPorts, at netip.Addr) int {
		if s.Addrs.From().Compare(at) <= 0 {
			return -1
		}
		return 1
	})
	for i := next - 1; i >= 0 && a.Ports[i].Addrs.Contains(at); i-- {
		if s := a.Ports[i]; s.Proto == p.Proto && s.First <= p.Port && p.Port <= s.Last {
			return true
		}
	}
	return false
}

// inRanges looks an address up in ranges that are sorted.
func inRanges(list []netipx.IPRange, a netip.Addr) bool {
	next, _ := slices.BinarySearchFunc(list, a, func(r netipx.IPRange, a netip.Addr) int {
		if r.From().Compare(a) <= 0 {
			return -1
		}
		return 1
	})
	return next > 0 && list[next-1].Contains(a)
}

// inSpans looks a packet's port up in spans, sorted by protocol and port.
func inSpans(list []PortSpan, p Packet) bool {
	next, _ := slices.BinarySearchFunc(list, p, func(s PortSpan, p Packet) int {
		if cmp.Or(cmp.Compare(protocolRank(s.Proto), protocolRank(p.Proto)), cmp.Compare(s.First, p.Port)) <= 0 {
			return -1
		}
		return 1
	})
	return next > 0 && list[next-1].Proto == p.Proto && p.Port <= list[next-1].Last
}

// protocolRank is the order in which spans are sorted.
func protocolRank(proto uint8) int { return slices.Index(protocolsWithPorts(), proto) }
