package nftables

import (
	"strings"
	"time"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/firewall"
)

const (
	// chainRefused counts a packet of a gangway bridge, and leads back.
	chainRefused = "refused"
	// refusedMost bounds the addresses of each family that are counted, so that a flood of
	// invented ones takes no more memory than that. The rest is counted by network.
	refusedMost = 1024
	// refusedTime is how long after its last packet an address is forgotten. It is longer
	// than the time between two looks, so that nothing is lost.
	refusedTime = 10 * time.Minute
)

// countingSet is a set that packets write to, each element with a counter.
func countingSet(name string, key nft.SetDatatype) nft.Set {
	return nft.Set{
		Name: name, KeyType: key, Concatenation: strings.Contains(key.Name, " . "),
		Dynamic: true, HasTimeout: true, Timeout: refusedTime, Size: refusedMost,
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
	daddr := func(h header) uint32 { return h.daddr }
	saddr := func(h header) uint32 { return h.saddr }
	ours := ifGroup(expr.MetaKeyIIFGROUP)
	var within [][]expr.Any
	for _, h := range headers() {
		within = append(within, rule(ours, h.own(), h.address(h.daddr, 1), meta(expr.MetaKeyIIFNAME, register(8+h.words)), in(homeSet+h.name), jump("refused_within")))
	}
	into := append(within,
		rule(meta(expr.MetaKeyOIFNAME, 1), notIn(externalSet), jump("refused_between")),
		rule(ours, meta(expr.MetaKeyIIFNAME, 1), notIn(externalSet), jump("refused_from")),
		rule(ours, jump("refused_between")),
		rule(meta(metaIIFKind, 1), is([]byte(ifname("bridge"))...), meta(expr.MetaKeyIIFNAME, 1), notIn(uplinksSet), jump("refused_between")),
		rule(jump("refused_outside")))
	return []chain{
		counts("refused_within", m, firewall.NoICC, expr.MetaKeyOIFNAME, daddr),
		counts("refused_between", m, firewall.Isolated, expr.MetaKeyOIFNAME, daddr),
		counts("refused_outside", m, firewall.Unpublished, expr.MetaKeyOIFNAME, daddr),
		counts("refused_from", m, firewall.Isolated, expr.MetaKeyIIFNAME, saddr),
		regular("refused_into", into...),
		regular(chainRefused,
			rule(ifGroup(expr.MetaKeyOIFGROUP), jump("refused_into")),
			rule(ours, jump("refused_from"))),
	}
}

// counts counts for a link's network and one of its addresses; where there is no place
// left for the address, for the network alone.
func counts(name string, m firewall.Mark, r firewall.Reason, link expr.MetaKey, addr func(header) uint32) chain {
	const reason, address = 12, 13 // the words behind the link's name
	why := rule(meta(expr.MetaKeyMARK, register(reason)), []expr.Any{&expr.Bitwise{
		SourceRegister: register(reason), DestRegister: register(reason), Len: 4,
		Mask: word(m.Accept), Xor: word(reasonCode(m, r)),
	}})
	var rules [][]expr.Any
	for _, h := range headers() {
		rules = append(rules, rule(h.own(), meta(link, 1), why, h.address(addr(h), register(address)), count(refusedSet+h.name), verdict(expr.VerdictReturn)))
	}
	return regular(name, append(rules, rule(meta(link, 1), why, count(refusedSet)))...)
}

// count adds the packet to the element of which the key is in register 1 and behind it,
// and makes that if need be. Where the set is full, the rule ends.
func count(set string) []expr.Any {
	return []expr.Any{&expr.Dynset{SrcRegKey: 1, SetName: set, Operation: unix.NFT_DYNSET_OP_UPDATE, Exprs: []expr.Any{&expr.Counter{}}}}
}

// spoofed drops what has an address of a network, but came by another link, and counts
// it by that address; where there is no place left, by the link. A map from subnets to
// networks would say it at once, but versions of nft do not list such a rule: they end.
func spoofed(m firewall.Mark) chain {
	var rules [][]expr.Any
	for _, h := range headers() {
		rules = append(rules, rule(h.own(), h.address(h.saddr, 1), count(spoofedSet+h.name), verdict(expr.VerdictDrop)))
	}
	return regular("spoofed", append(rules,
		rule(meta(expr.MetaKeyIIFNAME, 1), fixedReason(m), count(refusedSet)),
		rule(verdict(expr.VerdictDrop)))...)
}

// astray drops what wants to go to the host's loopback, and counts it for the network
// that it came from.
func astray(m firewall.Mark) chain {
	return regular("astray",
		rule(meta(expr.MetaKeyIIFNAME, 1), fixedReason(m), count(refusedSet)),
		rule(verdict(expr.VerdictDrop)))
}

// fixedReason is the reason where nobody can overrule: no bit of the mark is looked at.
func fixedReason(m firewall.Mark) []expr.Any {
	return []expr.Any{&expr.Immediate{Register: 2, Data: word(reasonCode(m, firewall.Spoofed))}}
}
