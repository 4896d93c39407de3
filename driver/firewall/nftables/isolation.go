package nftables

import (
	"slices"

	"github.com/google/nftables/expr"

	"github.com/gangway-net/gangway/driver/firewall"
)

// The sets of networks and links.
const (
	withinMap    = "within"
	externalSet  = "external" // networks that are not internal
	bridgesSet   = "bridges"
	uplinksSet   = "uplinks"    // bridges of others that lead outside
	sameLinkSet  = "same_link"  // links that lead outside, each with itself
	noTransitSet = "no_transit" // families
)

const (
	// chainPermit and chainIsolated are where within leads with ICC and without.
	chainPermit   = "permit"
	chainIsolated = "isolated"
)

// isolationRows are of what networks may do, and others' links.
func isolationRows() []row {
	return []row{
		{name: withinMap, key: []field{iifname, oifname}, verdict: true},
		{name: externalSet, key: []field{oifname}},
		{name: bridgesSet, key: []field{oifname}},
		{name: uplinksSet, key: []field{iifname}},
		{name: sameLinkSet, key: []field{iifname, oifname}},
		{name: noTransitSet, key: []field{nfproto}},
	}
}

func isolationElements(r firewall.Ruleset, put putter) {
	set := inet().find
	for _, n := range r.Networks {
		if n.Host {
			continue // see lans
		}
		note, v := networkNote(n), ofLink(n.Bridge)
		within := item{key: set(withinMap).keys.encode(&v), data: chainIsolated, note: note}
		if n.ICC {
			within.data = chainPermit
		}
		put(withinMap, within)
		if !n.Internal {
			put.one(set(externalSet), &v, note)
		}
		put.one(set(bridgesSet), &v, note)
	}
	for _, l := range r.Outside {
		v := ofLink(l.Name)
		put.one(set(sameLinkSet), &v, "")
		if l.Bridge { // other links need not be known
			put.one(set(uplinksSet), &v, "")
		}
	}
	for _, h := range headers() {
		if r.NoTransit.Has(h.six()) {
			put.one(set(noTransitSet), &values{family: h.proto}, "")
		}
	}
}

// ofLink are the values of a link, on whichever side a set asks for it.
func ofLink(link string) values { return values{link: [2]string{link, link}} }

// verdictChains classify a packet of a gangway bridge; see firewall.Network. What
// is permitted is named, not what is denied: a rule or an element that somebody
// takes away opens nothing. What the tracked flow says counts for nothing before the
// link that a packet came by: between two networks, or to a foreign bridge, a flow is
// one that was translated by a published port, or an answer of what is open.
func verdictChains(m firewall.Mark) []chain {
	translated := func(to string) []expr.Any { return rule(ctBits(expr.CtKeySTATUS, ctDestNAT), jump(to)) }
	answer := func(h header) []expr.Any { return rule(ctReply(), ctKnown(), h.own(), jump("reply"+h.name)) }
	four, six := headers()[0], headers()[1]
	closed := func(link field, chain string) []expr.Any { return rule(inet().notIn(externalSet, link), jump(chain)) }
	into := [][]expr.Any{
		rule(meta(metaIIFKind, 1), not(ifname("bridge")), ctBits(expr.CtKeySTATUS, ctSeenReply|ctDestNAT), permit(m)), // most packets
		rule(meta(metaIIFKind, 1), is([]byte(ifname("bridge"))...), inet().notIn(uplinksSet), jump("new_flow")),
		rule(ctKnown(), jump(chainPermit)),
		rule(jump("new_flow")),
	}
	between := [][]expr.Any{
		translated(chainPermit),
		rule(four.own(), call("peers4")), rule(six.own(), call("peers6")),
		answer(four), answer(six),
		rule(jump("new_flow")),
	}
	out := [][]expr.Any{
		rule(meta(metaOIFKind, 1), not(ifname("bridge")), permit(m)),    // most packets
		rule(inet().in(bridgesSet, oifname), verdict(expr.VerdictDrop)), // out of their group, also one that leads outside
		rule(inet().in(uplinksSet, oifname), jump(chainPermit)),
		rule(jump("foreign")),
	}
	return slices.Concat([]chain{
		regular(chainPermit, rule(markAs(m, m.Accept))),
		regular("deny", rule(markAs(m, m.Drop)), rule(jump(chainRefused))),
		regular("deny_within", rule(markAs(m, m.Drop)), rule(jump("refused_within"))),
		regular("deny_uncounted", rule(markAs(m, m.Drop))), // what is none of a network's is not counted
		regular("unmark", rule(markAs(m, 0))),
		regular(chainIsolated, translated(chainPermit), rule(jump("deny_within"))),
		regular("into_network", slices.Concat([][]expr.Any{
			rule(ifGroup(expr.MetaKeyIIFGROUP), jump("between")),
			clamp(),
			closed(oifname, chainClosedInto),
		}, into)...),
		regular("new_flow",
			translated(chainPermit),
			rule(four.own(), jump("open4")), rule(six.own(), jump("open6")), rule(jump("deny"))),
		regular("between", slices.Concat([][]expr.Any{
			rule(inet().verdictOf(withinMap)),
			clamp(),
			closed(oifname, chainClosedBetween),
			closed(iifname, chainClosedFrom),
		}, between)...),
		regular("out_of_network", slices.Concat([][]expr.Any{clamp(), closed(iifname, chainClosedOut), rule(untracked(), jump("deny")), rule(untranslated(), jump("deny"))}, out)...),
		regular("foreign", translated("unmark"), answer(four), answer(six), rule(jump("deny"))),
		// What DOCKER-USER has accepted against it has both bits.
		regular("denied",
			rule(markIs(m, expr.CmpOpEq, m.Drop), verdict(expr.VerdictDrop)),
			rule(call(chainRefused)),
			rule(markAs(m, 0))),
		regular("apply_mark",
			rule(permitted(m)),
			rule(markHas(expr.CmpOpNeq, m.Drop), jump("denied"))),
	}, gatewayChains(into, between, out, closed))
}

// permit accepts at once, as chainPermit does, without the way there.
func permit(m firewall.Mark) []expr.Any {
	return rule(markAs(m, m.Accept), verdict(expr.VerdictAccept))
}

// transitChains are for what others' links would pass on to one another in a family
// without transit; see firewall.Ruleset. transit_classify marks it, and transit_enforce,
// behind all rules of others, drops what none of these has accepted.
func transitChains() []chain {
	var all []chain
	for _, c := range []struct{ name, to string }{{"transit_classify", "deny_uncounted"}, {"transit_enforce", "apply_mark"}} {
		all = append(all, regular(c.name,
			rule(ctKnown(), verdict(expr.VerdictAccept)),
			rule(ctBits(expr.CtKeySTATUS, ctDestNAT), verdict(expr.VerdictAccept)),
			rule(inet().in(sameLinkSet), verdict(expr.VerdictAccept)),
			rule(meta(metaIIFKind, 1), not(ifname("bridge")), jump(c.to)),
			rule(inet().in(uplinksSet), jump(c.to))))
	}
	return all
}
