package nftables

import (
	"net/netip"

	"github.com/google/nftables/expr"

	"github.com/gangway-net/gangway/driver/firewall"
)

// The sets of what is open to anyone. Those of ports have one for runs.
const (
	unprotectedSet   = "unprotected"
	routedSet        = "routed"
	openSet          = "open"
	openRangeSet     = "open_range"
	openFromSet      = "open_from" // by one link alone
	openRangeFromSet = "open_range_from"
)

// openRows are of what is reached by the addresses of containers.
func openRows() []row {
	open := []field{oifname, l4proto, daddr, dport}
	from := []field{iifname, oifname, l4proto, daddr, dport}
	return []row{
		{name: unprotectedSet, perFamily: true, key: []field{oifname}},
		{name: routedSet, perFamily: true, key: []field{oifname}},
		{name: openSet, perFamily: true, key: open},
		{name: openRangeSet, perFamily: true, key: open, kind: interval},
		{name: openFromSet, perFamily: true, key: from},
		{name: openRangeFromSet, perFamily: true, key: from, kind: interval},
	}
}

func openElements(r firewall.Ruleset, put putter) {
	for _, n := range r.Networks {
		note, v := networkNote(n), ofLink(n.Bridge)
		for _, h := range headers() {
			if n.Unprotected.Has(h.six()) {
				put.one(h.find(unprotectedSet), &v, note)
			}
			if n.Routed.Has(h.six()) {
				put.one(h.find(routedSet), &v, note)
			}
		}
	}
	for _, o := range r.Open {
		h := headerOf(o.Addr)
		to := portSets{h.find(openSet), h.find(openRangeSet)}
		if o.From != "" {
			to = portSets{h.find(openFromSet), h.find(openRangeFromSet)}
		}
		put.ports(to, receiver, values{
			link: [2]string{sender: o.From, receiver: o.Bridge}, proto: o.Proto,
			addr: [3]netip.Addr{receiver: o.Addr}, port: [3]uint16{receiver: o.First},
		}, o.Last, endpointNote(o.NetworkID, o.EndpointID))
	}
}

// openChains let new flows to containers through that are open to anyone, and their
// answers: these mirror them, with the source in the place of the destination.
func openChains() []chain {
	var all []chain
	for _, h := range headers() {
		answers := openChain("reply"+h.name, h, h.inMirrored)
		// Not in the name of an address that somebody else has, such as one outside.
		answers.rules = append([][]expr.Any{rule(h.own(), h.notIn(subnetBridgeSet), jump("deny"))}, answers.rules...)
		all = append(all, openChain("open"+h.name, h, func(set string) []expr.Any { return h.in(set) }), answers)
	}
	return all
}

// openChain makes a chain for one direction: in looks the packet up, or in answers what
// it answers.
func openChain(name string, h header, in func(set string) []expr.Any) chain {
	return regular(name,
		rule(in(unprotectedSet), jump(chainPermit)),
		rule(meta(expr.MetaKeyL4PROTO, 1), is(h.icmp), in(routedSet), jump(chainPermit)),
		rule(h.own(), in(openSet), jump(chainPermit)),
		rule(h.own(), in(openRangeSet), jump(chainPermit)),
		rule(h.own(), in(openFromSet), jump(chainPermit)),
		rule(h.own(), in(openRangeFromSet), jump(chainPermit)),
		rule(jump("deny")))
}
