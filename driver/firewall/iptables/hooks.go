package iptables

import (
	"regexp"
	"slices"
)

// hook is a rule in a chain of others that leads to one of gangway's.
type hook struct {
	at   chain
	rule string
	to   chain
}

// hooks returns the hooks of a family; each is wanted as long as its target
// exists. Packets to the host's own addresses are the only ones that published
// ports concern. For 127.0.0.0/8 these are the host's own alone: whatever
// claims to come to it from outside is none. ::1 has no route to a bridge, and
// nothing from a link-local address is forwarded to another link, so the relays of
// the daemon answer there.
func hooks(six bool) []hook {
	local := "-m addrtype --dst-type LOCAL -j " + dnatChain.name
	all := []hook{
		{rawPrerouting, "! -i lo -j " + sourceCheckChain.name, sourceCheckChain},
		{filterForward, "-j " + forwardChain.name, forwardChain},
		{filterForward, "-j " + lanChain.name, lanChain},
		{filterForward, elsewhere + " " + fresh + " -j " + transitChain.name, transitChain},
		{chain{"nat", "POSTROUTING"}, "-j " + snatChain.name, snatChain},
	}
	if six {
		local = "! -s fe80::/10 ! -d ::1/128 " + local
		return append(all,
			hook{chain{"nat", "PREROUTING"}, local, dnatChain},
			hook{chain{"nat", "OUTPUT"}, local, dnatChain},
			hook{chain{"nat", "PREROUTING"}, "-m addrtype ! --dst-type LOCAL -j " + inwardChain.name, inwardChain})
	}
	return append(all,
		hook{chain{"nat", "PREROUTING"}, "! -d 127.0.0.0/8 " + local, dnatChain},
		hook{chain{"nat", "OUTPUT"}, local, dnatChain})
}

// filterForward is the chain that every forwarded packet comes through, rawPrerouting
// the first one that a packet from elsewhere does. In these two a rule that accepts would
// take packets past gangway's.
var (
	filterForward = chain{"filter", "FORWARD"}
	rawPrerouting = chain{"raw", "PREROUTING"}
)

var (
	// engineRule is a rule that an engine puts into FORWARD, all versions
	// from 20.10 on.
	engineRule = regexp.MustCompile(`-j DOCKER(-[A-Z0-9-]+)?$|-[io] (docker0|docker_gwbridge|br-[0-9a-f]{12})( |$)`)
	// userRule leads to the chain that the engine keeps for the user's rules.
	userRule = regexp.MustCompile(`-j DOCKER-USER$`)
	// ownRule leads to a chain of gangway.
	ownRule = regexp.MustCompile(`-[jg] (` + ownPrefix + `[A-Z-]+)$`)
	// beside leads to the chain of another early hook, which is for other packets.
	beside = regexp.MustCompile(`-j (` + forwardChain.name + `|` + lanChain.name + `)$`)
	// passes is a rule that never ends the way of a packet with ACCEPT.
	passes = regexp.MustCompile(`-j (RETURN|DROP|REJECT|LOG|NFLOG|MARK|CONNMARK|TCPMSS|CT|TRACE|TEE)( |$)`)
	// once is a rule that does something each time it meets a packet.
	once = regexp.MustCompile(`-j (LOG|NFLOG)( |$)|-m (limit|hashlimit|recent|quota|statistic|rateest) `)
)

// ending is a rule behind which no packet comes: firewalld's chains end with
// accepting it, which is without a meaning but that.
var ending = regexp.MustCompile(`-j [A-Z]+_dispatch$`)

// early says whether the hook's chain is one whose rules may take packets past it.
func (h hook) early() bool {
	return (h.at == filterForward || h.at == rawPrerouting) && !h.final()
}

// final says whether the hook is for what no rule has decided about.
func (h hook) final() bool { return h.to == transitChain }

// place returns where in the chain's rules, without the hook, the hook belongs. The
// final one is last, whatever is before it. In
// raw PREROUTING it is first. In FORWARD it is first, or right before DOCKER-USER if the administrator's rules before
// that only refuse or take note. Elsewhere it is last, where the user's own rules come
// first, though before the end that firewalld makes.
func (h hook) place(others []string) int {
	switch {
	case h.final():
		return len(others)
	case !h.early():
		if i := slices.IndexFunc(others, ending.MatchString); i >= 0 {
			return i
		}
		return len(others)
	}
	for i, r := range others {
		if userRule.MatchString(r) {
			return i
		}
		if engineRule.MatchString(r) || !passes.MatchString(r) && !beside.MatchString(r) {
			break
		}
	}
	return 0
}

// misplaced says what is wrong with the hook standing between the given rules; ""
// if nothing. user are the rules of DOCKER-USER.
func (h hook) misplaced(before, behind, user []string) string {
	switch {
	case h.final():
		if slices.ContainsFunc(behind, func(r string) bool { return !ownRule.MatchString(r) }) {
			return "stood before rules of others"
		}
		return ""
	case !h.early():
		if slices.ContainsFunc(before, ending.MatchString) {
			return "stood behind firewalld's rules, which accept"
		}
		return ""
	}
	for _, r := range before {
		switch {
		case beside.MatchString(r):
		case userRule.MatchString(r) && again(user):
		case userRule.MatchString(r):
			return "stood behind DOCKER-USER, which accepts, counts or logs"
		case engineRule.MatchString(r):
			return "stood behind the engine's rules"
		case !passes.MatchString(r):
			return "stood behind rules that may accept"
		}
	}
	return ""
}

// again says whether a packet may come through DOCKER-USER twice. Engines put their
// jump to it first over and over; who comes by that and then by the hook gets the
// same answer as long as nobody accepts there, and nobody counts or logs.
func again(user []string) bool {
	return !slices.ContainsFunc(user, func(r string) bool { return !passes.MatchString(r) || once.MatchString(r) })
}
