package nftables

import (
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/firewall"
)

// header is where the addresses of a family are in the header of its packets.
type header struct {
	// name ends the names of the family's chains and sets.
	name string
	// proto and icmp are the numbers of the family and of its ICMP.
	proto, icmp byte
	// saddr and daddr are offsets in bytes, words is an address's length in words.
	saddr, daddr, words uint32
}

// headers returns those of both families.
func headers() []header {
	return []header{
		{"4", unix.NFPROTO_IPV4, unix.IPPROTO_ICMP, 12, 16, 1},
		{"6", unix.NFPROTO_IPV6, unix.IPPROTO_ICMPV6, 8, 24, 4},
	}
}

// own matches the family. nft names an address by it, where it is known already.
func (h header) own() []expr.Any { return rule(meta(expr.MetaKeyNFPROTO, 1), is(h.proto)) }

// address loads the address at an offset.
func (h header) address(offset, register uint32) []expr.Any {
	return payloadAt(expr.PayloadBaseNetworkHeader, offset, h.words*4, register)
}

// verdictChains classify a packet of a gangway bridge; see firewall.Network. What
// is permitted is named, not what is denied: a rule or an element that somebody
// takes away opens nothing. What the tracked flow says counts for nothing before the
// link that a packet came by: between two networks, or to a foreign bridge, a flow is
// one that was translated by a published port, or an answer of what is open.
func verdictChains(m firewall.Mark) []chain {
	translated := func(to string) []expr.Any { return rule(ctBits(expr.CtKeySTATUS, ctDestNAT), jump(to)) }
	answer := func(h header) []expr.Any { return rule(ctReply(), ctKnown(), h.own(), jump("answer"+h.name)) }
	four, six := headers()[0], headers()[1]
	external := func(key expr.MetaKey) []expr.Any { return rule(meta(key, 1), notIn(externalSet), jump("deny")) }
	return []chain{
		regular(chainPermit, rule(markAs(m, m.Accept))),
		regular("deny", rule(markAs(m, m.Drop)), rule(jump(chainRefused))),
		regular("deny_within", rule(markAs(m, m.Drop)), rule(jump("refused_within"))),
		regular("shut", rule(markAs(m, m.Drop))), // what is none of a network's is not counted
		regular("undecided", rule(markAs(m, 0))),
		regular(chainIsolated, translated(chainPermit), rule(jump("deny_within"))),
		regular("into",
			rule(ifGroup(expr.MetaKeyIIFGROUP), jump("between")),
			external(expr.MetaKeyOIFNAME),
			rule(meta(metaIIFKind, 1), is([]byte(ifname("bridge"))...), meta(expr.MetaKeyIIFNAME, 1), notIn(uplinksSet), jump("unasked")),
			rule(ctKnown(), jump(chainPermit)),
			rule(jump("unasked"))),
		regular("unasked",
			translated(chainPermit),
			rule(four.own(), jump("open4")), rule(six.own(), jump("open6")), rule(jump("deny"))),
		regular("between",
			rule(meta(expr.MetaKeyIIFNAME, 1), meta(expr.MetaKeyOIFNAME, 2), verdictOf(withinMap)),
			external(expr.MetaKeyOIFNAME),
			external(expr.MetaKeyIIFNAME),
			translated(chainPermit),
			answer(four), answer(six),
			rule(jump("unasked"))),
		regular("outof",
			external(expr.MetaKeyIIFNAME),
			rule(meta(metaOIFKind, 1), not(ifname("bridge")), jump(chainPermit)),
			rule(meta(expr.MetaKeyOIFNAME, 1), in(uplinksSet), jump(chainPermit)),
			rule(jump("foreign"))),
		regular("foreign", translated("undecided"), answer(four), answer(six), rule(jump("deny"))),
		// What DOCKER-USER has accepted against it has both bits.
		regular("stopped",
			rule(markIs(m, expr.CmpOpEq, m.Drop), verdict(expr.VerdictDrop)),
			rule(call(chainRefused)),
			rule(markAs(m, 0))),
		regular("settle",
			rule(markHas(expr.CmpOpNeq, m.Drop), jump("stopped")),
			rule(markIs(m, expr.CmpOpNeq, 0), markAs(m, 0))),
	}
}

// closedChains are for what others' links would pass on to one another in a closed
// family; see firewall.Ruleset. closed marks it, and closed_end, behind all rules of
// others, drops what none of these has accepted.
func closedChains() []chain {
	var all []chain
	for _, c := range []struct{ name, to string }{{"closed", "shut"}, {"closed_end", "settle"}} {
		all = append(all, regular(c.name,
			rule(ctKnown(), verdict(expr.VerdictAccept)),
			rule(ctBits(expr.CtKeySTATUS, ctDestNAT), verdict(expr.VerdictAccept)),
			rule(meta(expr.MetaKeyIIFNAME, 1), meta(expr.MetaKeyOIFNAME, 2), in(sameLinkSet), verdict(expr.VerdictAccept)),
			rule(meta(metaIIFKind, 1), not(ifname("bridge")), jump(c.to)),
			rule(meta(expr.MetaKeyIIFNAME, 1), in(uplinksSet), jump(c.to))))
	}
	return all
}

// openChains let new flows to containers through that are open to anyone, and their
// answers: these mirror them, with the source in the place of the destination.
func openChains() []chain {
	var all []chain
	for _, h := range headers() {
		answers := openChain("answer"+h.name, h, h.saddr, sport, expr.MetaKeyOIFNAME, expr.MetaKeyIIFNAME)
		// Not in the name of an address that somebody else has, such as one outside.
		answers.rules = append([][]expr.Any{
			rule(h.own(), h.address(h.saddr, 1), meta(expr.MetaKeyIIFNAME, register(8+h.words)), notIn(homeSet+h.name), jump("deny")),
		}, answers.rules...)
		all = append(all, openChain("open"+h.name, h, h.daddr, dport, expr.MetaKeyIIFNAME, expr.MetaKeyOIFNAME), answers)
	}
	return all
}

// openChain makes a chain for one direction: where the container's address and port are,
// and what tells the client's link and the container's.
func openChain(name string, h header, addr uint32, port func(uint32) []expr.Any, client, container expr.MetaKey) chain {
	// behind loads what follows the names: words are counted from 8.
	behind := func(at uint32) []expr.Any {
		return rule(meta(expr.MetaKeyL4PROTO, register(at)), h.address(addr, register(at+1)), port(register(at+1+h.words)))
	}
	to := rule(h.own(), meta(container, 1), behind(12))
	from := rule(h.own(), meta(client, 1), meta(container, 2), behind(16))
	return regular(name,
		rule(meta(container, 1), in(unprotectedSet+h.name), jump(chainPermit)),
		rule(meta(expr.MetaKeyL4PROTO, 1), is(h.icmp), meta(container, 1), in(routedSet+h.name), jump(chainPermit)),
		rule(to, in(openSet+h.name), jump(chainPermit)),
		rule(to, in(openRangeSet+h.name), jump(chainPermit)),
		rule(from, in(openFromSet+h.name), jump(chainPermit)),
		rule(from, in(openRangeFromSet+h.name), jump(chainPermit)),
		rule(jump("deny")))
}
