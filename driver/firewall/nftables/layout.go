package nftables

import (
	"slices"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/gangway-net/gangway/driver/firewall"
)

// tableName is the table's name, in the inet family.
const tableName = "gangway"

func table(name string) *nft.Table { return &nft.Table{Name: name, Family: nft.TableFamilyINet} }

// chain is a chain of the table with its rules.
type chain struct {
	nft.Chain
	rules [][]expr.Any
}

// chains returns the chains, in a table; those that rules lead to come first.
func chains(t *nft.Table, m firewall.Mark, high ranges, log bool) []chain {
	all := slices.Concat(refusedChains(m), peerChains(permit(m)), verdictChains(m), transitChains(), openChains(), portChains(), translationChains(), sourceCheckChains(m), snatChains(high), hairpinChains(), baseChains(m))
	for i := range all {
		all[i].Table = t
	}
	if log {
		return withLog(all, m)
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

// baseChains are where packets come in, but for source_check.
func baseChains(m firewall.Mark) []chain {
	// ::1 has no route to a bridge, and nothing from a link-local address is forwarded
	// to another link, so the relays of the daemon answer there.
	// What claims to come to 127.0.0.0/8 from outside is none of the host's.
	published := [][]expr.Any{
		rule(family4(), local(), jump("ports4")),
		rule(family6(), daddr6(loopbackIPv6), verdict(expr.VerdictAccept)),
		rule(family6(), linkLocal6(), verdict(expr.VerdictAccept)),
		rule(family6(), local(), jump("ports6")),
	}
	closed := inet().in(noTransitSet)
	nat, filter := nft.ChainTypeNAT, nft.ChainTypeFilter
	first := base("prerouting", nat, nft.ChainHookPrerouting, *nft.ChainPriorityNATDest+1,
		slices.Concat([][]expr.Any{rule(family4(), loopback4(16), verdict(expr.VerdictAccept))}, published, [][]expr.Any{
			rule(family6(), jump("inward6")), // to no address of the host's
		})...)
	second := base("output", nat, nft.ChainHookOutput, *nft.ChainPriorityNATDest+1, published...)
	return []chain{
		first, second, postrouting(),
		base("classify", filter, nft.ChainHookForward, *nft.ChainPriorityFilter-1,
			rule(ifGroup(expr.MetaKeyOIFGROUP), jump("into_network")),
			rule(ifGroup(expr.MetaKeyIIFGROUP), jump("out_of_network")),
			rule(strayOut(), verdict(expr.VerdictDrop)),
			rule(strayIn(), verdict(expr.VerdictDrop)),
			rule(closed, jump("transit_classify"))),
		// Behind the fail-closed table, which looks at what is cleared here.
		base("enforce", filter, nft.ChainHookForward, *nft.ChainPriorityFilter+2,
			rule(ifGroup(expr.MetaKeyOIFGROUP), permitted(m)), // most packets
			rule(ifGroup(expr.MetaKeyIIFGROUP), permitted(m)),
			rule(markIs(m, expr.CmpOpEq, 0), verdict(expr.VerdictAccept)),
			rule(ifGroup(expr.MetaKeyOIFGROUP), jump("apply_mark")),
			rule(ifGroup(expr.MetaKeyIIFGROUP), jump("apply_mark")),
			rule(closed, jump("transit_enforce"))),
	}
}
