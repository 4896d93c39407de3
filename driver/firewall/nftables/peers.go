package nftables

import (
	"net/netip"

	"github.com/google/nftables/expr"

	"github.com/gangway-net/gangway/driver/firewall"
)

// The sets of what containers of one network may begin to those of another one: of those who
// begin a flow, and of those who are asked. Each has one for single ports, for runs and for
// whatever is sent. A packet has to be in one of either side.
const (
	asksSet       = "peer_asks"
	asksRangeSet  = "peer_asks_range"
	asksAllSet    = "peer_asks_all"
	askedSet      = "peer_asked"
	askedRangeSet = "peer_asked_range"
	askedAllSet   = "peer_asked_all"
)

// peerRows are of the exceptions from isolation.
func peerRows() []row {
	rows := func(one, runs, all string, of field) []row {
		ports := []field{iifname, oifname, l4proto, of, dport}
		return []row{
			{name: one, perFamily: true, key: ports},
			{name: runs, perFamily: true, key: ports, kind: interval},
			{name: all, perFamily: true, key: []field{iifname, oifname, of}},
		}
	}
	return append(rows(asksSet, asksRangeSet, asksAllSet, saddr), rows(askedSet, askedRangeSet, askedAllSet, daddr)...)
}

func peerElements(r firewall.Ruleset, put putter) {
	for _, p := range r.Peers {
		h := headerOf(p.Addr)
		to, all := portSets{h.find(askedSet), h.find(askedRangeSet)}, h.find(askedAllSet)
		v := values{link: [2]string{sender: p.Other, receiver: p.Bridge}, addr: [3]netip.Addr{receiver: p.Addr}}
		if p.Asks {
			to, all = portSets{h.find(asksSet), h.find(asksRangeSet)}, h.find(asksAllSet)
			v = values{link: [2]string{sender: p.Bridge, receiver: p.Other}, addr: [3]netip.Addr{sender: p.Addr}}
		}
		note := endpointNote(p.NetworkID, p.EndpointID)
		if p.Proto == 0 {
			put.one(all, &v, note)
			continue
		}
		v.proto, v.port[receiver] = p.Proto, p.First
		put.ports(to, receiver, v, p.Last, note)
	}
}

// peerChains let through what both sides have opened, and go back with the rest. Answers, and
// errors about a flow, go the other way: by the links and addresses turned round, and by the
// ports that the flow's first packet asked for. That a flow is known opens nothing by itself, so
// one ends with what has opened it.
func peerChains(permit []expr.Any) (all []chain) {
	for _, h := range headers() {
		new := func(set string) []expr.Any { return h.in(set) }
		peers := peerChain("peers"+h.name, h, new, []string{asksSet, asksRangeSet, asksAllSet}, jump("peers_asked"+h.name))
		peers.rules = append([][]expr.Any{rule(ctReply(), ctKnown(), jump("peers_reply"+h.name))}, peers.rules...)
		all = append(
			all,
			peerChain("peers_asked"+h.name, h, new, []string{askedSet, askedRangeSet, askedAllSet}, permit),
			peerChain("peers_replied"+h.name, h, h.inAnswered, []string{askedSet, askedRangeSet, askedAllSet}, permit),
			peerChain("peers_reply"+h.name, h, h.inAnswered, []string{asksSet, asksRangeSet, asksAllSet}, jump("peers_replied"+h.name)),
			peers)
	}
	return all
}

// peerChain goes on with what is in one of some sets.
func peerChain(name string, h header, in func(string) []expr.Any, sets []string, then []expr.Any) chain {
	var rules [][]expr.Any
	for _, set := range sets {
		rules = append(rules, rule(h.own(), in(set), then))
	}
	return regular(name, rules...)
}

// inAnswered looks up the flow that a packet is an answer of, or an error about.
func (h header) inAnswered(set string) []expr.Any {
	of := func(key expr.CtKey) func(uint32) []expr.Any {
		return func(register uint32) []expr.Any {
			return []expr.Any{&expr.Ct{Key: key, Register: register, Direction: 0}}
		}
	}
	var by []field
	for _, f := range h.find(set).key {
		switch f.kind {
		case protocol:
			f = f.loadedBy(of(expr.CtKeyPROTOCOL))
		case portNumber:
			f = f.loadedBy(of(expr.CtKeyPROTODST))
		default:
			f = f.mirrored()
		}
		by = append(by, f)
	}
	return h.in(set, by...)
}
