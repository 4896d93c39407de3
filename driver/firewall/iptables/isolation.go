package iptables

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/firewall"
)

// The chains that say what may pass from link to link.
var (
	forwardChain      = chain{"filter", "GANGWAY-FORWARD"}
	intoNetworkChain  = chain{"filter", "GANGWAY-INTO-NETWORK"}
	establishedChain  = chain{"filter", "GANGWAY-ESTABLISHED"}
	betweenChain      = chain{"filter", "GANGWAY-BETWEEN"}
	outOfNetworkChain = chain{"filter", "GANGWAY-OUT-OF-NETWORK"}
	outsideChain      = chain{"filter", "GANGWAY-OUTSIDE"}
	foreignChain      = chain{"filter", "GANGWAY-FOREIGN"}
	internalChain     = chain{"filter", "GANGWAY-INTERNAL"}
	iccChain          = chain{"filter", "GANGWAY-ICC"}
	acceptChain       = chain{"filter", "GANGWAY-ACCEPT"}
	// transitChain is behind all rules of others in FORWARD: what comes to it nobody has
	// decided about.
	transitChain = chain{"filter", "GANGWAY-TRANSIT"}
)

// dockerUser is the chain that the engine keeps for the administrator's rules.
var dockerUser = chain{"filter", "DOCKER-USER"}

// isolationShared are the rules that all networks share. What is tracked counts for nothing
// before the link that a packet came by: between two networks, or to a foreign bridge, a
// flow is one that was translated by a published port, or an answer of what is open.
//
// Chains lead to one another in such a way that one that is emptied, and a rule that
// is deleted, lets nothing through by what follows: forwardChain and internalChain end
// with the way to all that accepts, and where packets may leave to is named.
func isolationShared(f form) rules {
	r := rules{
		forwardChain: slices.Concat([]string{others + " -j RETURN", clamp()}, asked(f), []string{"-j " + internalChain.name}),
		internalChain: {
			toBridge + " -j " + intoNetworkChain.name,
			leaving + " -j " + outOfNetworkChain.name,
		},
		intoNetworkChain: {
			fromBridge + " -j " + betweenChain.name,
			translated + " -j " + acceptChain.name,
			known + " -j " + establishedChain.name,
			"-j " + openChain.name,
			"-j " + refusedChain.name,
			"-j DROP",
		},
		betweenChain: {
			translated + " -j " + acceptChain.name,
			"-j " + iccChain.name,
			answers + " -j " + peersReplyChain.name,
			answers + " -j " + replyChain.name,
			"-j " + peersChain.name,
			"-j " + openChain.name,
			"-j " + isolatedChain.name,
			"-j DROP",
		},
		// An answer has its translation already, whatever became of the prefix. What is not tracked gets none.
		outOfNetworkChain: append(translated6(f, "-m conntrack --ctstate INVALID,UNTRACKED -j "+untrackedChain.name, "-m conntrack --ctdir ORIGINAL -j "+untranslatedChain.name),
			"-j "+outsideChain.name, "-j "+foreignChain.name),
		// What others translated is for their rules.
		foreignChain:     {translated + " -j RETURN", answers + " -j " + replyChain.name, "-j " + isolatedOutChain.name, "-j DROP"},
		acceptChain:      {"-j ACCEPT"},
		establishedChain: nil,
		outsideChain:     nil,
	}
	if f.failClosed {
		r[acceptChain] = []string{setMark(f.mark, f.mark.Accept), "-j ACCEPT"}
	}
	return r
}

// isolationElements are there in both families, whatever addresses a network has.
func isolationElements(set firewall.Ruleset, six bool) rules {
	r := rules{}
	for _, n := range set.Networks {
		if n.Host {
			r[lanChain] = append(r[lanChain], withinRule(n.Bridge))
			continue
		}
		verdict := " -j DROP"
		if n.ICC {
			verdict = " -j " + acceptChain.name
		}
		r[iccChain] = append(r[iccChain], "-i "+n.Bridge+" -o "+n.Bridge+networkComment(n)+verdict)
		if n.Internal {
			from, to := "", ""
			for _, a := range n.Gateways {
				if a.Is6() == six {
					from, to = "! -s "+host(a)+" ", "! -d "+host(a)+" "
				}
			}
			r[internalChain] = append(r[internalChain],
				from+"-i "+n.Bridge+" ! -o "+n.Bridge+networkComment(n)+" -j DROP",
				to+"! -i "+n.Bridge+" -o "+n.Bridge+networkComment(n)+" -j DROP")
		}
	}
	for _, l := range set.Outside {
		if !strings.ContainsAny(l.Name, "+\"\\ ") { // iptables takes it for another name, or for none
			r[outsideChain] = append(r[outsideChain], outsideRule(l.Name))
		}
	}
	return r
}

func outsideRule(link string) string { return "-o " + link + " -j " + acceptChain.name }

// setMark sets gangway's bits of the mark.
func setMark(m firewall.Mark, bits uint32) string {
	return fmt.Sprintf("-j MARK --set-xmark %#x/%#x", bits, m.Mask())
}

// asked are the rules that ask DOCKER-USER. What that has accepted bears
// Mark.Asked, and nothing else does: whoever else accepts a packet, before these
// rules or behind them, has not decided for gangway.
func asked(f form) []string {
	var r []string
	if f.user {
		r = append(r, "-j "+dockerUser.name)
	}
	if f.failClosed {
		r = append([]string{setMark(f.mark, f.mark.Asked())}, append(r, setMark(f.mark, f.mark.Drop))...)
	}
	return r
}
