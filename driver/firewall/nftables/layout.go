package nftables

import (
	"slices"

	nft "github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/firewall"
)

// tableName is the table's name, in the inet family.
const tableName = "gangway"

func table(name string) *nft.Table { return &nft.Table{Name: name, Family: nft.TableFamilyINet} }

// setKind says what to expect of a set's items.
type setKind int

const (
	// single keys.
	single setKind = iota
	// span is an interval that stands alone: the kernel keeps its start and
	// the first key behind it as two elements.
	span
	// concatSpan is an interval in a concatenation, kept as one element.
	concatSpan
)

// set is a set or map of the table.
type set struct {
	nft.Set
	kind setKind
}

// sets returns the definitions, in a table. Numbers are only to tell sets of
// one transaction apart; the library's own would come from a counter that all
// connections of the process share without a lock.
func sets(t *nft.Table) []set {
	var all []set
	add := func(kind setKind, s nft.Set) {
		s.Table, s.ID = t, uint32(len(all)+1) //nolint:gosec // some twenty
		s.Interval = kind != single
		s.IsMap = s.DataType.Name != ""
		all = append(all, set{s, kind})
	}
	concat := func(types ...nft.SetDatatype) nft.SetDatatype { return nft.MustConcatSetType(types...) }
	add(single, nft.Set{Name: withinMap, Concatenation: true, KeyType: concat(nft.TypeIFName, nft.TypeIFName), DataType: nft.TypeVerdict})
	add(single, nft.Set{Name: externalSet, KeyType: nft.TypeIFName, KeyByteOrder: binaryutil.NativeEndian})
	add(single, nft.Set{Name: bridgesSet, KeyType: nft.TypeIFName, KeyByteOrder: binaryutil.NativeEndian})
	for _, f := range []struct {
		name string
		addr nft.SetDatatype
	}{{"4", nft.TypeIPAddr}, {"6", nft.TypeIP6Addr}} {
		target := concat(f.addr, nft.TypeInetService)
		add(span, nft.Set{Name: masqueradeSet + f.name, KeyType: f.addr})
		add(span, nft.Set{Name: sourceMap + f.name, KeyType: f.addr, DataType: f.addr})
		for _, name := range []string{hairpinSet, unprotectedSet, routedSet} {
			add(concatSpan, nft.Set{Name: name + f.name, Concatenation: true, KeyType: concat(f.addr, nft.TypeIFName)})
		}
		open := concat(nft.TypeIFName, nft.TypeInetProto, f.addr, nft.TypeInetService)
		openFrom := concat(nft.TypeIFName, nft.TypeIFName, nft.TypeInetProto, f.addr, nft.TypeInetService)
		add(single, nft.Set{Name: openSet + f.name, Concatenation: true, KeyType: open})
		add(concatSpan, nft.Set{Name: openRangeSet + f.name, Concatenation: true, KeyType: open})
		add(single, nft.Set{Name: openFromSet + f.name, Concatenation: true, KeyType: openFrom})
		add(concatSpan, nft.Set{Name: openRangeFromSet + f.name, Concatenation: true, KeyType: openFrom})
		add(single, nft.Set{Name: portMap + f.name, Concatenation: true,
			KeyType: concat(nft.TypeInetProto, nft.TypeInetService), DataType: target})
		add(single, nft.Set{Name: portAtMap + f.name, Concatenation: true,
			KeyType: concat(nft.TypeInetProto, f.addr, nft.TypeInetService), DataType: target})
		for _, p := range protocols() {
			add(span, nft.Set{Name: rangeMap + p.String() + f.name, KeyType: nft.TypeInetService, DataType: f.addr})
		}
		add(concatSpan, nft.Set{Name: rangeAtMap + f.name, Concatenation: true,
			KeyType: concat(nft.TypeInetProto, f.addr, nft.TypeInetService), DataType: f.addr})
	}
	return all
}

// chain is a chain of the table with its rules.
type chain struct {
	nft.Chain
	rules [][]expr.Any
}

// chains returns the chains, in a table; those that rules lead to come first.
func chains(t *nft.Table) []chain {
	all := slices.Concat(verdictChains(), openChains(), portChains(), baseChains())
	for i := range all {
		all[i].Table = t
	}
	return all
}

// verdictChains classify a packet of a gangway bridge; see firewall.Network. What
// is permitted is named, not what is denied: a rule or an element that somebody
// takes away opens nothing.
func verdictChains() []chain {
	// What the engine's own rules may accept is theirs to judge; a new flow to
	// its bridges is none of a published port.
	known := func(to string, others ...[]expr.Any) [][]expr.Any {
		return slices.Concat([][]expr.Any{
			rule(ctBits(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), jump(to)),
			rule(ctBits(expr.CtKeySTATUS, ctDestNAT), jump(to)),
		}, others, [][]expr.Any{rule(jump("deny"))})
	}
	return []chain{
		regular(chainPermit, rule(markAs(firewall.MarkAccept))),
		regular("deny", rule(markAs(firewall.MarkDrop))),
		regular("undecided", rule(markAs(0))),
		regular(chainIsolated, known(chainPermit)...),
		regular("engine", known("undecided")...),
		regular("into", append([][]expr.Any{
			rule(meta(expr.MetaKeyIIFNAME, 1), meta(expr.MetaKeyOIFNAME, 2), verdictOf(withinMap)),
			rule(meta(expr.MetaKeyOIFNAME, 1), notIn(externalSet), jump("deny")),
			rule(ifGroup(expr.MetaKeyIIFGROUP), meta(expr.MetaKeyIIFNAME, 1), notIn(externalSet), jump("deny")),
		}, known(chainPermit, rule(family4(), jump("open4")), rule(family6(), jump("open6")))...)...),
		regular("outof",
			rule(meta(expr.MetaKeyIIFNAME, 1), notIn(externalSet), jump("deny")),
			rule(meta(expr.MetaKeyOIFNAME, 1), not(ifname("docker0")), not(ifname("docker_gwbridge")), not("br-"), jump(chainPermit)),
			rule(jump("engine"))),
		regular("settle",
			rule(markIs(expr.CmpOpEq, firewall.MarkDrop), verdict(expr.VerdictDrop)),
			rule(markIs(expr.CmpOpNeq, 0), markAs(0))),
	}
}

// openChains let new flows to containers through that are open to anyone.
func openChains() []chain {
	var all []chain
	for _, f := range []struct {
		name         string
		proto, icmp  byte
		daddr, words uint32
	}{{"4", unix.NFPROTO_IPV4, unix.IPPROTO_ICMP, 16, 1}, {"6", unix.NFPROTO_IPV6, unix.IPPROTO_ICMPV6, 24, 4}} {
		own := rule(meta(expr.MetaKeyNFPROTO, 1), is(f.proto)) // known here; nft names the address by it
		// behind loads what follows the names: words are counted from 8.
		behind := func(at uint32) []expr.Any {
			return rule(meta(expr.MetaKeyL4PROTO, register(at)), payloadAt(expr.PayloadBaseNetworkHeader, f.daddr, f.words*4, register(at+1)),
				dport(register(at+1+f.words)))
		}
		subnet := rule(payloadAt(expr.PayloadBaseNetworkHeader, f.daddr, f.words*4, 1), meta(expr.MetaKeyOIFNAME, register(8+f.words)))
		open := rule(own, meta(expr.MetaKeyOIFNAME, 1), behind(12))
		from := rule(own, meta(expr.MetaKeyIIFNAME, 1), meta(expr.MetaKeyOIFNAME, 2), behind(16))
		all = append(all, regular("open"+f.name,
			rule(own, subnet, in(unprotectedSet+f.name), jump(chainPermit)),
			rule(own, meta(expr.MetaKeyL4PROTO, 1), is(f.icmp), subnet, in(routedSet+f.name), jump(chainPermit)),
			rule(open, in(openSet+f.name), jump(chainPermit)),
			rule(open, in(openRangeSet+f.name), jump(chainPermit)),
			rule(from, in(openFromSet+f.name), jump(chainPermit)),
			rule(from, in(openRangeFromSet+f.name), jump(chainPermit)),
			rule(jump("deny"))))
	}
	return all
}

// portChains look published ports up, those of one address first.
func portChains() []chain {
	var all []chain
	for _, f := range []struct {
		name                string
		proto, daddr, words uint32
	}{{"4", unix.NFPROTO_IPV4, 16, 1}, {"6", unix.NFPROTO_IPV6, 24, 4}} {
		at := rule(meta(expr.MetaKeyL4PROTO, 1),
			payloadAt(expr.PayloadBaseNetworkHeader, f.daddr, f.words*4, register(9)), dport(register(9+f.words)))
		second := register(8 + f.words)                              // behind the target's address
		own := rule(meta(expr.MetaKeyNFPROTO, 1), is(byte(f.proto))) // known here; nft names the address by it
		rules := [][]expr.Any{
			rule(own, at, valueOf(portAtMap+f.name), dnat(f.proto, second)),
			rule(own, at, valueOf(rangeAtMap+f.name), dnat(f.proto, 0)),
			rule(meta(expr.MetaKeyL4PROTO, 1), dport(9), valueOf(portMap+f.name), dnat(f.proto, second)),
		}
		for _, p := range protocols() {
			rules = append(rules, rule(meta(expr.MetaKeyL4PROTO, 1), is(byte(p)), dport(1), valueOf(rangeMap+p.String()+f.name), dnat(f.proto, 0)))
		}
		all = append(all, regular("ports"+f.name, rules...))
	}
	return all
}

// baseChains are where packets come in.
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
	nat, filter := nft.ChainTypeNAT, nft.ChainTypeFilter
	return []chain{
		base("guard", filter, nft.ChainHookPrerouting, *nft.ChainPriorityRaw,
			rule(ifGroup(expr.MetaKeyIIFGROUP), family4(), loopback4(16), verdict(expr.VerdictDrop)),
			rule(family4(), loopback4(16), strayIn(), verdict(expr.VerdictDrop))),
		base("prerouting", nat, nft.ChainHookPrerouting, *nft.ChainPriorityNATDest+1, slices.Concat([][]expr.Any{
			rule(family4(), loopback4(16), verdict(expr.VerdictAccept))}, relayed, published)...),
		base("output", nat, nft.ChainHookOutput, *nft.ChainPriorityNATDest+1, slices.Concat(relayed, published)...),
		base("postrouting", nat, nft.ChainHookPostrouting, *nft.ChainPriorityNATSource+1,
			rule(ifGroup(expr.MetaKeyOIFGROUP), family4(), loopback4(12), masquerade()),
			rule(ifGroup(expr.MetaKeyOIFGROUP), ctBits(expr.CtKeySTATUS, ctDestNAT), family4(), saddr4(), meta(expr.MetaKeyOIFNAME, 9), in(hairpinSet+"4"), masquerade()),
			rule(ifGroup(expr.MetaKeyOIFGROUP), ctBits(expr.CtKeySTATUS, ctDestNAT), family6(), saddr6(), meta(expr.MetaKeyOIFNAME, 2), in(hairpinSet+"6"), masquerade()),
			rule(leaves(), family4(), saddr4(), valueOf(sourceMap+"4"), snat(unix.NFPROTO_IPV4)),
			rule(leaves(), family6(), saddr6(), valueOf(sourceMap+"6"), snat(unix.NFPROTO_IPV6)),
			rule(leaves(), family4(), saddr4(), in(masqueradeSet+"4"), masquerade()),
			rule(leaves(), family6(), saddr6(), in(masqueradeSet+"6"), masquerade())),
		base("classify", filter, nft.ChainHookForward, *nft.ChainPriorityFilter-1,
			rule(ifGroup(expr.MetaKeyOIFGROUP), jump("into")),
			rule(ifGroup(expr.MetaKeyIIFGROUP), leaves(), jump("outof"))),
		// Behind the valve, which looks at what is cleared here.
		base("enforce", filter, nft.ChainHookForward, *nft.ChainPriorityFilter+2,
			rule(ifGroup(expr.MetaKeyOIFGROUP), jump("settle")),
			rule(strayOut(), verdict(expr.VerdictDrop)),
			rule(ifGroup(expr.MetaKeyIIFGROUP), jump("settle")),
			rule(strayIn(), verdict(expr.VerdictDrop))),
	}
}

func regular(name string, rules ...[]expr.Any) chain {
	return chain{nft.Chain{Name: name}, rules}
}

func base(name string, kind nft.ChainType, hook *nft.ChainHook, priority nft.ChainPriority, rules ...[]expr.Any) chain {
	accept := nft.ChainPolicyAccept
	return chain{nft.Chain{Name: name, Type: kind, Hooknum: hook, Priority: &priority, Policy: &accept}, rules}
}
