package iptables

import "github.com/gangway-net/gangway/driver/firewall"

// refusedChain and those that it leads to drop, with a rule for each network whose
// counter says how often.
var (
	refusedChain     = chain{"filter", "GANGWAY-REFUSED"}
	unpublishedChain = chain{"filter", "GANGWAY-UNPUBLISHED"}
	isolatedChain    = chain{"filter", "GANGWAY-ISOLATED"}
	isolatedOutChain = chain{"filter", "GANGWAY-ISOLATED-OUT"}
)

// reasons are the chains whose rules drop for one network each, and for which reason.
func reasons() map[chain]firewall.Reason {
	return map[chain]firewall.Reason{
		sourceCheckChain:  firewall.Spoofed,
		unpublishedChain:  firewall.Unpublished,
		isolatedChain:     firewall.Isolated,
		isolatedOutChain:  firewall.Isolated,
		internalChain:     firewall.Isolated,
		iccChain:          firewall.NoICC,
		untranslatedChain: firewall.Isolated,
		untrackedChain:    firewall.Isolated,
	}
}

// refusedShared has the chains alone. What they count they drop, and what they do not know
// is dropped behind them.
func refusedShared(form) rules {
	return rules{refusedChain: nil, unpublishedChain: nil, isolatedChain: nil, isolatedOutChain: nil}
}

func refusedElements(set firewall.Ruleset, _ bool) rules {
	r := rules{}
	for _, n := range set.Networks {
		if n.Host {
			continue
		}
		for _, c := range []chain{unpublishedChain, isolatedChain} {
			r[c] = append(r[c], "-o "+n.Bridge+networkComment(n)+" -j DROP")
		}
		r[isolatedOutChain] = append(r[isolatedOutChain], "-i "+n.Bridge+networkComment(n)+" -j DROP")
	}
	return r
}
