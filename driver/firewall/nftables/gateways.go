package nftables

import (
	"github.com/google/nftables/expr"

	"github.com/gangway-net/gangway/driver/firewall"
)

// gatewaysSet has the containers for which networks that are not external are as any other.
const gatewaysSet = "gateways"

// The chains of networks that are not external.
const (
	chainClosedInto    = "closed_into"
	chainClosedOut     = "closed_out_of"
	chainClosedBetween = "closed_between"
	chainClosedFrom    = "closed_from"
)

func gatewayRows() []row {
	return []row{{name: gatewaysSet, perFamily: true, key: []field{iifname, saddr}}}
}

func gatewayElements(r firewall.Ruleset, put putter) {
	for _, n := range r.Networks {
		for _, a := range n.Gateways {
			v := ofLink(n.Bridge)
			v.addr[sender], v.addr[receiver] = a, a
			put.one(headerOf(a).find(gatewaysSet), &v, networkNote(n))
		}
	}
}

// gatewayChains deny what networks that are not external send and get, but for their gateways. These
// go on by the rules of all others, given as into, between and out, which stand here once more: a way back into those chains
// would lead on what was denied as well.
func gatewayChains(into, between, out [][]expr.Any, closed func(field, string) []expr.Any) []chain {
	but := func(name, to string, by ...field) chain {
		var rules [][]expr.Any
		for _, h := range headers() {
			rules = append(rules, rule(h.own(), h.in(gatewaysSet, by...), jump(to)))
		}
		return regular(name, append(rules, rule(jump("deny")))...)
	}
	return []chain{
		regular("into_gateway", into...), but(chainClosedInto, "into_gateway", oifname, daddr),
		regular("out_of_gateway", out...), but(chainClosedOut, "out_of_gateway", iifname, saddr),
		regular("between_gateways", between...), but(chainClosedFrom, "between_gateways", iifname, saddr),
		regular("between_gateway", append([][]expr.Any{closed(iifname, chainClosedFrom)}, between...)...),
		but(chainClosedBetween, "between_gateway", oifname, daddr),
	}
}
