package nftables

import (
	"encoding/binary"
	"slices"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// originChains drop, before connection tracking, what has a source that cannot come
// by the link that it came by. Whatever is believed of a flow later begins here: a
// flow whose first packet had somebody else's source would answer to him.
//
// Most packets of containers pass with one question to the routing table, which is
// cheaper than a set of subnets and bridges. That set is for bridges that the host has
// no route by: those without an address of the host.
func originChains(m firewall.Mark) []chain {
	drop := verdict(expr.VerdictDrop)
	from := [][]expr.Any{
		rule(family4(), loopback4(16), jump("astray")),
		rule(reversePath(), verdict(expr.VerdictAccept)),
	}
	elsewhere := [][]expr.Any{rule(meta(expr.MetaKeyIIFTYPE, 1), is(binary.NativeEndian.AppendUint16(nil, unix.ARPHRD_LOOPBACK)...), verdict(expr.VerdictAccept))}
	for _, h := range headers() {
		from = append(from, rule(h.own(), h.address(h.saddr, 1), meta(expr.MetaKeyIIFNAME, register(8+h.words)), in(homeSet+h.name), verdict(expr.VerdictAccept)))
		elsewhere = append(elsewhere, rule(h.own(), h.address(h.saddr, 1), in(subnetsSet+h.name), jump("spoofed")))
	}
	for _, h := range headers() {
		from = append(from, rule(h.own(), h.address(h.saddr, 1), in(subnetsSet+h.name), jump("spoofed")))
	}
	elsewhere = append(elsewhere, rule(family4(), loopback4(16), strayIn(), drop))
	return []chain{
		spoofed(m), astray(m),
		regular("by_bridge", from...),
		base("origin", nft.ChainTypeFilter, nft.ChainHookPrerouting, *nft.ChainPriorityRaw,
			append([][]expr.Any{rule(ifGroup(expr.MetaKeyIIFGROUP), jump("by_bridge"))}, elsewhere...)...),
	}
}

// sourceChains give what leaves gangway's networks another source. What the container
// publishes as it is keeps its port: peers expect to hear from that. All else gets a port
// that nobody can choose, of the ranges.
func sourceChains(high ranges) []chain {
	var all []chain
	for _, h := range headers() {
		key := rule(meta(expr.MetaKeyL4PROTO, 1), is(unix.IPPROTO_UDP), h.own(), h.address(h.saddr, 1), sport(register(8+h.words)))
		saddr := rule(h.own(), h.address(h.saddr, 1))
		keep, random := "keep_port"+h.name, highChain+h.name
		var ranged [][]expr.Any
		for _, p := range protocols() {
			of := rule(meta(expr.MetaKeyL4PROTO, 1), is(byte(p)))
			ranged = append(ranged,
				rule(of, saddr, valueOf(sourceMap+h.name), snat(uint32(h.proto), high.of(p))),
				rule(of, saddr, in(masqueradeSet+h.name), masquerade(high.of(p))))
		}
		leave := [][]expr.Any{rule(key, in(keepSet+h.name), jump(keep)), rule(key, in(keepRangeSet+h.name), jump(keep))}
		for _, p := range protocols() {
			leave = append(leave, rule(meta(expr.MetaKeyL4PROTO, 1), is(byte(p)), jump(random)))
		}
		all = append(all,
			regular(random, ranged...),
			regular(keep,
				rule(saddr, valueOf(sourceMap+h.name), snat(uint32(h.proto), spec.Span{})),
				rule(saddr, in(masqueradeSet+h.name), masquerade(spec.Span{}))),
			regular("leave"+h.name, append(leave, rule(jump(keep)))...))
	}
	return all
}

// baseChains are where packets come in, but for origin.
func baseChains() []chain {
	published := [][]expr.Any{
		rule(family4(), local(), jump("ports4")),
		rule(family6(), local(), jump("ports6")),
	}
	// ::1 has no route to a bridge, and nothing from a link-local address is forwarded
	// to another link, so the relays of the daemon answer there.
	// What claims to come to 127.0.0.0/8 from outside is none of the host's.
	relayed := [][]expr.Any{
		rule(family6(), daddr6(loopbackIPv6), verdict(expr.VerdictAccept)),
		rule(family6(), linkLocal6(), verdict(expr.VerdictAccept)),
	}
	closed := rule(meta(expr.MetaKeyNFPROTO, 1), in(closedSet))
	nat, filter := nft.ChainTypeNAT, nft.ChainTypeFilter
	first := base("prerouting", nat, nft.ChainHookPrerouting, *nft.ChainPriorityNATDest+1,
		slices.Concat([][]expr.Any{rule(family4(), loopback4(16), verdict(expr.VerdictAccept))}, relayed, published)...)
	second := base("output", nat, nft.ChainHookOutput, *nft.ChainPriorityNATDest+1, slices.Concat(relayed, published)...)
	return []chain{
		first, second, postrouting(),
		base("classify", filter, nft.ChainHookForward, *nft.ChainPriorityFilter-1,
			rule(ifGroup(expr.MetaKeyOIFGROUP), jump("into")),
			rule(ifGroup(expr.MetaKeyIIFGROUP), leaves(), jump("outof")),
			rule(closed, jump("closed"))),
		// Behind the valve, which looks at what is cleared here.
		base("enforce", filter, nft.ChainHookForward, *nft.ChainPriorityFilter+2,
			rule(ifGroup(expr.MetaKeyOIFGROUP), jump("settle")),
			rule(strayOut(), verdict(expr.VerdictDrop)),
			rule(ifGroup(expr.MetaKeyIIFGROUP), jump("settle")),
			rule(strayIn(), verdict(expr.VerdictDrop)),
			rule(closed, jump("closed_end"))),
	}
}

// postrouting gives packets to gangway's bridges the bridge's address where the answer
// would not come back otherwise, and leads to leave4 and leave6.
func postrouting() chain {
	rules := [][]expr.Any{rule(ifGroup(expr.MetaKeyOIFGROUP), family4(), loopback4(12), masquerade(spec.Span{}))}
	for _, h := range headers() {
		back := rule(ifGroup(expr.MetaKeyOIFGROUP), ctBits(expr.CtKeySTATUS, ctDestNAT), h.own(), h.address(h.saddr, 1))
		rules = append(rules,
			rule(back, meta(expr.MetaKeyOIFNAME, register(8+h.words)), in(hairpinSet+h.name), masquerade(spec.Span{})),
			rule(back, h.address(h.daddr, register(8+h.words)), in(directSet+h.name), masquerade(spec.Span{})))
	}
	for _, h := range headers() {
		rules = append(rules, rule(leaves(), h.own(), jump("leave"+h.name)))
	}
	return base("postrouting", nft.ChainTypeNAT, nft.ChainHookPostrouting, *nft.ChainPriorityNATSource+1, rules...)
}
