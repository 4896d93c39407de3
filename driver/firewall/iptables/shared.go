package iptables

import (
	"fmt"
	"slices"

	"github.com/gangway-net/gangway/driver/spec"
)

// known matches answers, and errors about them; answers those that go the way of a
// flow's answers.
const (
	known   = "-m conntrack --ctstate RELATED,ESTABLISHED"
	answers = known + " --ctdir REPLY"
)

// fresh matches packets of flows that nobody has decided about yet: neither known nor
// translated by their destination.
const fresh = "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT"

// translated matches flows to published ports, and their answers.
const translated = "-m conntrack --ctstate DNAT"

// shared returns what the first network of a family brings and the last one
// takes along. What is tracked counts for nothing before the link that a packet came
// by: between two networks, or to a foreign bridge, a flow is one that was translated
// by a published port, or an answer of what is open.
//
// Chains lead to one another in such a way that one that is emptied, and a rule that
// is deleted, lets nothing through by what follows: userChain and internalChain end
// with the way to all that accepts, and where packets may leave to is named.
func shared(f form) rules {
	r := rules{
		forwardChain: {
			toBridge + " -j " + userChain.name,
			leaving + " -j " + userChain.name,
		},
		userChain: append(asked(f), "-j "+internalChain.name),
		internalChain: {
			toBridge + " -j " + inChain.name,
			leaving + " -j " + outChain.name,
		},
		inChain: {
			fromBridge + " -j " + betweenChain.name,
			known + " -j " + knownChain.name,
			translated + " -j " + acceptChain.name,
			"-j " + openChain.name,
			"-j " + refusedChain.name,
			"-j DROP",
		},
		betweenChain: {
			translated + " -j " + acceptChain.name,
			"-j " + iccChain.name,
			answers + " -j " + answerChain.name,
			"-j " + openChain.name,
			"-j " + isolatedChain.name,
			"-j DROP",
		},
		outChain: {"-j " + outsideChain.name, "-j " + foreignChain.name},
		// What others translated is for their rules.
		foreignChain: {translated + " -j RETURN", answers + " -j " + answerChain.name, "-j " + isolatedOutChain.name, "-j DROP"},
		acceptChain:  {"-j ACCEPT"},
		openChain:    nil,
		answerChain:  nil,
		knownChain:   nil,
		outsideChain: nil,
		// What these chains count they drop, and what they do not know is dropped behind them.
		refusedChain:     nil,
		unpublishedChain: nil,
		isolatedChain:    nil,
		isolatedOutChain: nil,
	}
	if f.failClosed {
		r[acceptChain] = []string{setMark(f.mark, f.mark.Accept), "-j ACCEPT"}
	}
	sharedOrigin(r, f.six)
	sharedSource(r, f.six)
	return r
}

// sharedOrigin adds the rules that look, before connection tracking, whether a
// packet's source fits the link that it came by. Most packets of containers pass with
// one question to the routing table. What has an address of nobody's network passes, as it
// may be routed to a container.
func sharedOrigin(r rules, six bool) {
	r[originChain] = []string{fromBridge + " -m rpfilter -j RETURN"}
	if !six {
		// The way to containers from 127.0.0.1 (route_localnet) must not be
		// one from containers to it.
		r[originChain] = append(r[originChain], "-d 127.0.0.0/8 "+fromBridge+" -j DROP")
	}
}

// sharedSource adds the rules that lead to those about source addresses. What a
// container publishes as it is keeps its port; all else gets one that nobody can choose.
func sharedSource(r rules, six bool) {
	r[snatChain] = []string{
		toBridge + " -g " + hairpinChain.name,
		"-p udp -j " + keepChain.name,
		"-j " + leaveChain.name,
		"-j " + restChain.name,
	}
	r[hairpinChain], r[keepChain], r[leaveChain], r[restChain] = nil, nil, nil, nil
	if !six {
		r[hairpinChain] = []string{"-s 127.0.0.0/8 -j MASQUERADE"}
	}
	r[portsChain] = nil
	for _, p := range []spec.Protocol{spec.TCP, spec.UDP, spec.SCTP} {
		r[portsChain] = append(r[portsChain], fmt.Sprintf("-p %s -j MASQUERADE --to-ports %s --random-fully", p, allHigh))
	}
	r[portsChain] = append(r[portsChain], "-j MASQUERADE")
}

// fixed says whether a chain's rules come from shared alone, in their order.
func fixed(c chain) bool {
	return slices.Contains([]chain{forwardChain, userChain, inChain, betweenChain, outChain, foreignChain, acceptChain,
		snatChain, portsChain, verdictChain}, c)
}
