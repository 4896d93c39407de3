package iptables

import "github.com/gangway-net/gangway/driver/firewall"

// The chains of what is open to anyone by the container's own address, and of its answers.
var (
	openChain  = chain{"filter", "GANGWAY-OPEN"}
	replyChain = chain{"filter", "GANGWAY-REPLY"}
)

func openShared(form) rules { return rules{openChain: nil, replyChain: nil} }

func openElements(set firewall.Ruleset, six bool) rules {
	r := rules{}
	for _, n := range set.Networks {
		r.add(openOfNetwork(n, six))
	}
	for _, o := range set.Open {
		if o.Addr.Is6() == six {
			in, answer := openRules(o)
			r[openChain] = append(r[openChain], in)
			r[replyChain] = append(r[replyChain], answer)
		}
	}
	return r
}

// openOfNetwork returns the rules of a network in which everything is open, or ICMP is.
func openOfNetwork(n firewall.Network, six bool) rules {
	r := rules{}
	for match, open := range map[string]bool{"": n.Unprotected.Has(six), " -p " + icmp(six): n.Routed.Has(six)} {
		if !open {
			continue
		}
		end := match + networkComment(n) + " -j " + acceptChain.name
		r[openChain] = append(r[openChain], "-o "+n.Bridge+end)
		// Not in the name of an address that somebody else has, such as one outside.
		for _, p := range ofFamily(n.Subnets, six) {
			r[replyChain] = append(r[replyChain], "-s "+p.String()+" -i "+n.Bridge+end)
		}
	}
	return r
}

func icmp(six bool) string {
	if six {
		return "ipv6-icmp"
	}
	return "icmp"
}

// openRules returns the rules of one run of open ports, for what comes and for the
// answers.
func openRules(o firewall.Open) (in, answer string) {
	client, server := "", ""
	if o.From != "" {
		client, server = " -i "+o.From, " -o "+o.From
	}
	tail := endpointComment(o.NetworkID, o.EndpointID) + " -j " + acceptChain.name
	return "-d " + host(o.Addr) + client + " -o " + o.Bridge + ports(o.Proto, "dport", o.First, o.Last) + tail,
		"-s " + host(o.Addr) + " -i " + o.Bridge + server + ports(o.Proto, "sport", o.First, o.Last) + tail
}
