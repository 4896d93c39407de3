package nftables

import (
	"net/netip"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// The sets of what gets another source. Those of ports have one for runs.
const (
	masqueradeSet     = "masquerade" // subnets
	sourceMap         = "source"     // subnets whose source is given
	preservedSet      = "preserved_port"
	preservedRangeSet = "preserved_range"
	hairpinSet        = "hairpin"
	directSet         = "direct"
)

// snatRows are of what gets which source.
func snatRows() []row {
	return []row{
		{name: masqueradeSet, perFamily: true, key: []field{saddr}, kind: interval},
		{name: sourceMap, perFamily: true, key: []field{saddr}, data: []field{toAddr}, kind: interval},
		{name: preservedSet, perFamily: true, key: []field{saddr, sport}},
		{name: preservedRangeSet, perFamily: true, key: []field{saddr, sport}, kind: interval},
		{name: hairpinSet, perFamily: true, key: []field{saddr, oifname}, kind: interval},
		{name: directSet, perFamily: true, key: []field{saddr, daddr}, kind: interval},
	}
}

func snatElements(r firewall.Ruleset, put putter) {
	for _, n := range r.Networks {
		note := "net=" + short(n.ID)
		for _, p := range n.Masquerade {
			h := headerOf(p.Addr())
			set, to := h.find(masqueradeSet), values{}
			for _, a := range n.Source {
				if a.Is6() == h.six() {
					set, to.addr[target] = h.find(sourceMap), a
				}
			}
			put.subnet(set, p, to, note)
		}
		for _, p := range n.Hairpin {
			put.subnet(headerOf(p.Addr()).find(hairpinSet), p, ofLink(n.Bridge), note)
		}
	}
	for _, d := range r.Direct {
		to := values{addr: [3]netip.Addr{receiver: d.Addr}}
		put.subnet(headerOf(d.Addr).find(directSet), d.Clients, to, endpointNote(d.NetworkID, d.EndpointID))
	}
	for _, k := range r.PreservedPorts {
		h := headerOf(k.Addr)
		put.ports(portSets{h.find(preservedSet), h.find(preservedRangeSet)}, sender, values{
			addr: [3]netip.Addr{sender: k.Addr}, port: [3]uint16{sender: k.First},
		}, k.Last, endpointNote(k.NetworkID, k.EndpointID))
	}
	for _, p := range r.HighPorts {
		put(rangesName, rangeItem(p))
	}
	if r.Log {
		put(logName, logItem())
	}
}

// snatChains give what leaves gangway's networks another source. What the container
// publishes as it is keeps its port: peers expect to hear from that. All else gets a port
// that nobody can choose, of the ranges.
func snatChains(high ranges) []chain {
	var all []chain
	for _, h := range headers() {
		udp := rule(meta(expr.MetaKeyL4PROTO, 1), is(unix.IPPROTO_UDP), h.own())
		keep, random := "preserve_port"+h.name, highChain+h.name
		var ranged [][]expr.Any
		for _, p := range protocols() {
			of := rule(meta(expr.MetaKeyL4PROTO, 1), is(byte(p)))
			ranged = append(ranged,
				rule(of, h.own(), h.in(masqueradeSet), masquerade(high.of(p))),
				rule(of, h.own(), h.valueOf(sourceMap), snat(uint32(h.proto), high.of(p))))
		}
		egress := [][]expr.Any{rule(udp, h.in(preservedSet), jump(keep)), rule(udp, h.in(preservedRangeSet), jump(keep))}
		if h.six() {
			egress = append([][]expr.Any{rule(h.own(), h.outward())}, egress...)
		}
		for _, p := range protocols() {
			egress = append(egress, rule(meta(expr.MetaKeyL4PROTO, 1), is(byte(p)), jump(random)))
		}
		all = append(all,
			regular(random, ranged...),
			regular(keep,
				rule(h.own(), h.in(masqueradeSet), masquerade(spec.Span{})),
				rule(h.own(), h.valueOf(sourceMap), snat(uint32(h.proto), spec.Span{}))),
			regular("egress"+h.name, append(egress, rule(jump(keep)))...))
	}
	return all
}

// postrouting leads what goes to gangway's bridges to hairpin, and all else to egress4 and
// egress6.
func postrouting() chain {
	rules := [][]expr.Any{rule(ifGroup(expr.MetaKeyOIFGROUP), jump("hairpin"))}
	for _, h := range headers() {
		rules = append(rules, rule(h.own(), jump("egress"+h.name)))
	}
	return base("postrouting", nft.ChainTypeNAT, nft.ChainHookPostrouting, *nft.ChainPriorityNATSource+1, rules...)
}

// hairpinChains give packets to gangway's bridges the bridge's address where the answer
// would not come back otherwise. Only who has an address of a network is looked up with a
// link: what comes from outside to a published port passes before that.
func hairpinChains() []chain {
	first := [][]expr.Any{rule(family4(), loopback4(12), masquerade(spec.Span{}))}
	var all []chain
	for _, h := range headers() {
		first = append(first, rule(ctBits(expr.CtKeySTATUS, ctDestNAT), h.own(), h.in(subnetsSet), jump("from_network"+h.name)))
		all = append(all, regular("from_network"+h.name,
			rule(h.own(), h.in(hairpinSet), masquerade(spec.Span{})),
			rule(h.own(), h.in(directSet), masquerade(spec.Span{}))))
	}
	return append(all, regular("hairpin", first...))
}
