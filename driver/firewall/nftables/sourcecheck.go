package nftables

import (
	"encoding/binary"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// The sets of networks' subnets, alone and with their bridges.
const (
	subnetsSet      = "subnets"
	subnetBridgeSet = "subnet_bridge"
)

// sourceCheckRows are of which addresses come by which links.
func sourceCheckRows() []row {
	return []row{
		{name: subnetsSet, perFamily: true, key: []field{saddr}, kind: interval},
		{name: subnetBridgeSet, perFamily: true, key: []field{saddr, iifname}, kind: interval},
	}
}

func sourceCheckElements(r firewall.Ruleset, put putter) {
	for _, n := range r.Networks {
		note := "net=" + short(n.ID)
		for _, p := range n.Subnets {
			h := headerOf(p.Addr())
			put.subnet(h.find(subnetBridgeSet), p, ofLink(n.Bridge), note)
			put.subnet(h.find(subnetsSet), p, values{}, note)
		}
	}
}

// sourceCheckChains drop, before connection tracking, what has a source that cannot come
// by the link that it came by. Whatever is believed of a flow later begins here: a
// flow whose first packet had somebody else's source would answer to him.
//
// Most packets of containers pass with one question to the routing table, which is
// cheaper than a set of subnets and bridges. That set is for bridges that the host has
// no route by: those without an address of the host.
func sourceCheckChains(m firewall.Mark) []chain {
	drop := verdict(expr.VerdictDrop)
	from := [][]expr.Any{
		rule(family4(), loopback4(16), jump("martian")),
		rule(reversePath(), verdict(expr.VerdictAccept)),
	}
	var elsewhere [][]expr.Any
	for _, h := range headers() {
		from = append(from, rule(h.own(), h.in(subnetBridgeSet), verdict(expr.VerdictAccept)))
		elsewhere = append(elsewhere, rule(h.own(), h.in(subnetsSet), jump("by_other_link")))
	}
	for _, h := range headers() {
		from = append(from, rule(h.own(), h.in(subnetsSet), jump("spoofed")))
	}
	elsewhere = append(elsewhere, rule(family4(), loopback4(16), strayIn(), drop))
	return []chain{
		spoofed(m), martian(m),
		regular("by_other_link",
			rule(meta(expr.MetaKeyIIFTYPE, 1), is(binary.NativeEndian.AppendUint16(nil, unix.ARPHRD_LOOPBACK)...), verdict(expr.VerdictAccept)),
			rule(jump("spoofed"))),
		regular("source_check_bridge", from...),
		// What a further bridge of a network passes on (br_netfilter) comes by here again where it
		// concerns the host: at the network's first bridge. Until then it is not
		// tracked, and so not translated. Nothing else comes by such a bridge.
		regular("further_bridge", rule([]expr.Any{&expr.Notrack{}}, verdict(expr.VerdictAccept))),
		base("source_check", nft.ChainTypeFilter, nft.ChainHookPrerouting, *nft.ChainPriorityRaw,
			append([][]expr.Any{
				rule(ifGroup(expr.MetaKeyIIFGROUP), jump("source_check_bridge")),
				rule(meta(expr.MetaKeyIIFGROUP, 1), is(word(spec.FurtherGroup)...), jump("further_bridge")),
			}, elsewhere...)...),
	}
}
