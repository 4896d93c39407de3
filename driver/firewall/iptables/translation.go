package iptables

import (
	"github.com/gangway-net/gangway/driver/firewall"
)

// The chains of subnets that are others outside, and of what is reached there; of IPv6 alone.
var (
	outwardChain      = chain{"nat", "GANGWAY-OUTWARD"}
	inwardChain       = chain{"nat", "GANGWAY-INWARD"}
	untranslatedChain = chain{"filter", "GANGWAY-UNTRANSLATED"}
	// untrackedChain is for what has no tracked flow, and so is translated by nobody.
	untrackedChain = chain{"filter", "GANGWAY-UNTRACKED"}
)

func translationShared(f form) rules {
	if !f.six {
		return rules{}
	}
	return rules{outwardChain: nil, untranslatedChain: nil, untrackedChain: nil}
}

func translationElements(set firewall.Ruleset, six bool) rules {
	r := rules{}
	for _, t := range set.Translations {
		from, note := "-s "+t.Inside.String(), comment("net="+short(t.NetworkID))
		if six {
			r[untrackedChain] = append(r[untrackedChain], from+" -i "+t.Bridge+note+" -j DROP")
		}
		switch {
		case !six:
		case t.Outside.IsValid():
			r[outwardChain] = append(r[outwardChain], from+note+" -j NETMAP --to "+t.Outside.String())
		default:
			r[untranslatedChain] = append(r[untranslatedChain], from+" -i "+t.Bridge+note+" -j DROP")
		}
	}
	for _, i := range set.Inward {
		if i.Outside.Is6() == six {
			r[inwardChain] = append(r[inwardChain], inwardRule(i))
		}
	}
	return r
}

func inwardRule(i firewall.Inward) string {
	return "-d " + host(i.Outside) + ports(i.Proto, "dport", i.First, i.Last) +
		endpointComment(i.NetworkID, i.EndpointID) + " -j DNAT --to-destination " + i.Inside.String()
}

// translated6 are the rules that lead to these chains, none for IPv4.
func translated6(f form, rules ...string) []string {
	if !f.six {
		return nil
	}
	return rules
}
