package nftables

import (
	"github.com/google/nftables/expr"

	"github.com/gangway-net/gangway/driver/firewall"
)

// chainRefused counts a packet of a gangway bridge, and leads back.
const chainRefused = "refused"

// The sets that packets write to; each element has a counter.
const (
	// refusedSet is of links and reasons, and for each family with addresses. An address
	// that there is no place left for is counted by network.
	refusedSet = "refused"
	spoofedSet = "spoofed"
)

// countingRows are of what counts the packets that are dropped.
func countingRows() []row {
	return []row{
		{name: refusedSet, key: []field{oifname, code}, kind: counting},
		{name: refusedSet, perFamily: true, key: []field{oifname, code, daddr}, kind: counting},
		{name: spoofedSet, perFamily: true, key: []field{saddr}, kind: counting},
	}
}

// reasons are those that the rules tell apart; their index is the number in the kernel.
func reasons() []firewall.Reason {
	return []firewall.Reason{"", firewall.Spoofed, firewall.Unpublished, firewall.Isolated, firewall.NoICC}
}

// reasonCode is a reason as part of a key, where the bit Accept of the mark is another
// part: it says that the administrator has overruled the refusal.
func reasonCode(m firewall.Mark, r firewall.Reason) uint32 {
	for code, reason := range reasons() {
		if reason == r && m.Accept >= 1<<4 {
			return uint32(code) //nolint:gosec // few
		} else if reason == r {
			return uint32(code) << 8 //nolint:gosec // few
		}
	}
	return 0
}

// refusedChains count what was marked to be dropped. They find out why once more, since
// that costs those packets alone: the chains that decide lead here from everywhere.
// Packets that the administrator has accepted after all come here twice, and count as
// overruled then.
func refusedChains(m firewall.Mark) []chain {
	ours := ifGroup(expr.MetaKeyIIFGROUP)
	var within [][]expr.Any
	for _, h := range headers() {
		within = append(within, rule(ours, h.own(), h.in(subnetBridgeSet, daddr, iifname), jump("refused_within")))
	}
	into := append(within,
		rule(inet().notIn(externalSet), jump("refused_between")),
		rule(ours, inet().notIn(externalSet, iifname), jump("refused_from")),
		rule(ours, jump("refused_between")),
		rule(meta(metaIIFKind, 1), is([]byte(ifname("bridge"))...), inet().notIn(uplinksSet), jump("refused_between")),
		rule(jump("refused_outside")))
	return []chain{
		counts("refused_within", m, firewall.NoICC, oifname, daddr),
		counts("refused_between", m, firewall.Isolated, oifname, daddr),
		counts("refused_outside", m, firewall.Unpublished, oifname, daddr),
		counts("refused_from", m, firewall.Isolated, iifname, saddr),
		regular("refused_to", into...),
		regular(chainRefused,
			rule(ifGroup(expr.MetaKeyOIFGROUP), jump("refused_to")),
			rule(ours, jump("refused_from"))),
	}
}

// counts counts for a link's network and one of its addresses; where there is no place
// left for the address, for the network alone.
func counts(name string, m firewall.Mark, r firewall.Reason, link, addr field) chain {
	why := code.loadedBy(func(register uint32) []expr.Any {
		return rule(meta(expr.MetaKeyMARK, register), []expr.Any{&expr.Bitwise{
			SourceRegister: register, DestRegister: register, Len: 4, Mask: word(m.Accept), Xor: word(reasonCode(m, r)),
		}})
	})
	var rules [][]expr.Any
	for _, h := range headers() {
		rules = append(rules, rule(h.own(), h.count(refusedSet, link, why, addr), verdict(expr.VerdictReturn)))
	}
	return regular(name, append(rules, inet().count(refusedSet, link, why))...)
}

// spoofed drops what has an address of a network, but came by another link, and counts
// it by that address; where there is no place left, by the link. A map from subnets to
// networks would say it at once, but versions of nft do not list such a rule: they end.
func spoofed(m firewall.Mark) chain {
	var rules [][]expr.Any
	for _, h := range headers() {
		rules = append(rules, rule(h.own(), h.count(spoofedSet), verdict(expr.VerdictDrop)))
	}
	return regular("spoofed", append(rules,
		inet().count(refusedSet, iifname, fixedReason(m)),
		rule(verdict(expr.VerdictDrop)))...)
}

// martian drops what wants to go to the host's loopback, and counts it for the network
// that it came from.
func martian(m firewall.Mark) chain {
	return regular("martian",
		inet().count(refusedSet, iifname, fixedReason(m)),
		rule(verdict(expr.VerdictDrop)))
}

// fixedReason is the reason where nobody can overrule: no bit of the mark is looked at.
func fixedReason(m firewall.Mark) field {
	return code.loadedBy(func(register uint32) []expr.Any {
		return []expr.Any{&expr.Immediate{Register: register, Data: word(reasonCode(m, firewall.Spoofed))}}
	})
}
