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
	// counting sets hold what packets put there: nothing in them is gangway's, nor
	// damage.
	counting
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
		s.Interval = kind == span || kind == concatSpan
		s.IsMap = s.DataType.Name != ""
		all = append(all, set{s, kind})
	}
	concat := func(types ...nft.SetDatatype) nft.SetDatatype { return nft.MustConcatSetType(types...) }
	add(single, nft.Set{Name: withinMap, Concatenation: true, KeyType: concat(nft.TypeIFName, nft.TypeIFName), DataType: nft.TypeVerdict})
	add(single, nft.Set{Name: externalSet, KeyType: nft.TypeIFName, KeyByteOrder: binaryutil.NativeEndian})
	add(single, nft.Set{Name: bridgesSet, KeyType: nft.TypeIFName, KeyByteOrder: binaryutil.NativeEndian})
	add(single, nft.Set{Name: uplinksSet, KeyType: nft.TypeIFName, KeyByteOrder: binaryutil.NativeEndian})
	add(single, nft.Set{Name: sameLinkSet, Concatenation: true, KeyType: concat(nft.TypeIFName, nft.TypeIFName)})
	add(single, nft.Set{Name: closedSet, KeyType: nft.TypeNFProto})
	add(counting, countingSet(refusedSet, concat(nft.TypeIFName, nft.TypeMark)))
	for _, f := range []struct {
		name string
		addr nft.SetDatatype
	}{{"4", nft.TypeIPAddr}, {"6", nft.TypeIP6Addr}} {
		target := concat(f.addr, nft.TypeInetService)
		add(counting, countingSet(refusedSet+f.name, concat(nft.TypeIFName, nft.TypeMark, f.addr)))
		add(counting, countingSet(spoofedSet+f.name, f.addr))
		add(span, nft.Set{Name: subnetsSet + f.name, KeyType: f.addr})
		add(concatSpan, nft.Set{Name: homeSet + f.name, Concatenation: true, KeyType: concat(f.addr, nft.TypeIFName)})
		add(span, nft.Set{Name: masqueradeSet + f.name, KeyType: f.addr})
		add(span, nft.Set{Name: sourceMap + f.name, KeyType: f.addr, DataType: f.addr})
		add(single, nft.Set{Name: keepSet + f.name, Concatenation: true, KeyType: concat(f.addr, nft.TypeInetService)})
		add(concatSpan, nft.Set{Name: keepRangeSet + f.name, Concatenation: true, KeyType: concat(f.addr, nft.TypeInetService)})
		add(concatSpan, nft.Set{Name: hairpinSet + f.name, Concatenation: true, KeyType: concat(f.addr, nft.TypeIFName)})
		add(concatSpan, nft.Set{Name: directSet + f.name, Concatenation: true, KeyType: concat(f.addr, f.addr)})
		for _, name := range []string{unprotectedSet, routedSet} {
			add(single, nft.Set{Name: name + f.name, KeyType: nft.TypeIFName, KeyByteOrder: binaryutil.NativeEndian})
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
func chains(t *nft.Table, m firewall.Mark, high ranges) []chain {
	all := slices.Concat(refusedChains(m), verdictChains(m), closedChains(), openChains(), portChains(), originChains(m), sourceChains(high), baseChains())
	for i := range all {
		all[i].Table = t
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

func regular(name string, rules ...[]expr.Any) chain {
	return chain{nft.Chain{Name: name}, rules}
}

func base(name string, kind nft.ChainType, hook *nft.ChainHook, priority nft.ChainPriority, rules ...[]expr.Any) chain {
	accept := nft.ChainPolicyAccept
	return chain{nft.Chain{Name: name, Type: kind, Hooknum: hook, Priority: &priority, Policy: &accept}, rules}
}
