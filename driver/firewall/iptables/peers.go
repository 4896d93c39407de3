package iptables

import (
	"strconv"

	"github.com/gangway-net/gangway/driver/firewall"
)

// The chains of what containers of one network may begin to those of another one: by who begins
// a flow, and then by who is asked. Answers, and errors about a flow, go the other way.
var (
	peersChain        = chain{"filter", "GANGWAY-PEERS"}
	peersAskedChain   = chain{"filter", "GANGWAY-PEERS-ASKED"}
	peersReplyChain   = chain{"filter", "GANGWAY-PEERS-REPLY"}
	peersRepliedChain = chain{"filter", "GANGWAY-PEERS-REPLIED"}
)

func peerShared(form) rules {
	return rules{peersChain: nil, peersAskedChain: nil, peersReplyChain: nil, peersRepliedChain: nil}
}

func peerElements(set firewall.Ruleset, six bool) rules {
	r := rules{}
	for _, p := range set.Peers {
		if p.Addr.Is6() != six {
			continue
		}
		into, back := peersAskedChain, peersRepliedChain
		if p.Asks {
			into, back = peersChain, peersReplyChain
		}
		in, answer := peerRules(p)
		r[into] = append(r[into], in)
		r[back] = append(r[back], answer)
	}
	return r
}

// peerRules returns the rules of one half, for what is asked and for what answers. The latter go
// by the port that the flow's first packet asked for: an ICMP error has none of its own.
func peerRules(p firewall.Peer) (in, answer string) {
	asked, answered := "", ""
	if p.Proto != 0 {
		run := strconv.Itoa(int(p.First))
		if p.Last > p.First {
			run += ":" + strconv.Itoa(int(p.Last))
		}
		asked = ports(p.Proto, "dport", p.First, p.Last)
		answered = " -m conntrack --ctproto " + strconv.Itoa(int(p.Proto)) + " --ctorigdstport " + run
	}
	note := endpointComment(p.NetworkID, p.EndpointID)
	if p.Asks {
		return "-s " + host(p.Addr) + " -i " + p.Bridge + " -o " + p.Other + asked + note + " -j " + peersAskedChain.name,
			"-d " + host(p.Addr) + " -i " + p.Other + " -o " + p.Bridge + answered + note + " -j " + peersRepliedChain.name
	}
	return "-d " + host(p.Addr) + " -i " + p.Other + " -o " + p.Bridge + asked + note + " -j " + acceptChain.name,
		"-s " + host(p.Addr) + " -i " + p.Bridge + " -o " + p.Other + answered + note + " -j " + acceptChain.name
}
