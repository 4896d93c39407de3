package iptables

import "github.com/gangway-net/gangway/driver/firewall"

var sourceCheckChain = chain{"raw", "GANGWAY-SOURCE-CHECK"}

// sourceCheckShared are the rules that look, before connection tracking, whether a
// packet's source fits the link that it came by. Most packets of containers pass with
// one question to the routing table. What has an address of nobody's network passes, as it
// may be routed to a container.
func sourceCheckShared(f form) rules {
	r := rules{sourceCheckChain: {fromBridge + " -m rpfilter -j RETURN"}}
	if !f.six {
		// The way to containers from 127.0.0.1 (route_localnet) must not be
		// one from containers to it.
		r[sourceCheckChain] = append(r[sourceCheckChain], "-d 127.0.0.0/8 "+fromBridge+" -j DROP")
	}
	return r
}

func sourceCheckElements(set firewall.Ruleset, six bool) rules {
	r := rules{}
	for _, n := range set.Networks {
		for _, p := range ofFamily(n.Subnets, six) {
			r[sourceCheckChain] = append(r[sourceCheckChain], "-s "+p.String()+" ! -i "+n.Bridge+networkComment(n)+" -j DROP")
		}
		if n.Further {
			// What a further bridge of a network passes on (br_netfilter) comes by here again
			// where it concerns the host: at the network's first bridge. Until then it is
			// not tracked, and so not translated. The order of the rules' text has these before
			// those that drop by a source.
			from := "-i " + n.Bridge + networkComment(n)
			r[sourceCheckChain] = append(r[sourceCheckChain], from+" -j CT --notrack", from+" -j RETURN")
		}
	}
	return r
}
