package iptables

import (
	"regexp"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/firewall"
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
// claims to come to it from outside is none. ::1 has no route to a bridge, so
// the relays of the daemon answer there.
func hooks(six bool) []hook {
	local := "-m addrtype --dst-type LOCAL -j " + dnatChain.name
	forward := chain{"filter", "FORWARD"}
	all := []hook{
		{forward, "-j " + seenChain.name, seenChain},
		askedHook(),
		{forward, "-j " + forwardChain.name, forwardChain},
		{chain{"nat", "POSTROUTING"}, "-j " + snatChain.name, snatChain},
	}
	if six {
		return append(all,
			hook{chain{"nat", "PREROUTING"}, "! -d ::1/128 " + local, dnatChain},
			hook{chain{"nat", "OUTPUT"}, "! -d ::1/128 " + local, dnatChain})
	}
	return append(all,
		hook{chain{"nat", "PREROUTING"}, "! -d 127.0.0.0/8 " + local, dnatChain},
		hook{chain{"nat", "OUTPUT"}, local, dnatChain},
		hook{chain{"raw", "PREROUTING"}, "-d 127.0.0.0/8 ! -i lo -j " + guardChain.name, guardChain})
}

// askedHook stands behind DOCKER-USER. It looks at the mark first, so that packets
// of others pass with one comparison.
func askedHook() hook {
	return hook{chain{"filter", "FORWARD"}, "-m mark " + marked(firewall.MarkAsked) + " -j " + askedChain.name, askedChain}
}

// userChain is the chain that the engine keeps for the user's rules.
var userChain = chain{"filter", "DOCKER-USER"}

var (
	// engineRule is a rule that an engine puts into FORWARD, all versions
	// from 20.10 on. Nothing of these may come before gangway's.
	engineRule = regexp.MustCompile(`-j DOCKER(-[A-Z0-9-]+)?$|-[io] (docker0|docker_gwbridge|br-[0-9a-f]{12})( |$)`)
	// userRule leads to the chain that the engine keeps for the user's rules.
	userRule = regexp.MustCompile(`-j DOCKER-USER$`)
	// ownRule leads to a chain of gangway.
	ownRule = regexp.MustCompile(`-[jg] (` + ownPrefix + `[A-Z-]+)$`)
)

// ending is a rule behind which no packet comes: firewalld's chains end with
// accepting it, which is without a meaning but that.
var ending = regexp.MustCompile(`-j [A-Z]+_dispatch$`)

// place returns where in the chain's rules, without the hook, the hook
// belongs: right behind DOCKER-USER in FORWARD, or first, the one that marks what
// comes from there before the one that decides, and before all for what
// DOCKER-USER is to find; elsewhere last, where the user's own rules come
// first, though before the end that firewalld makes.
func (h hook) place(others []string) int {
	switch h.to {
	case forwardChain, askedChain:
	case seenChain:
		return 0
	default:
		if i := slices.IndexFunc(others, ending.MatchString); i >= 0 {
			return i
		}
		return len(others)
	}
	behind := 0
	for i, r := range others {
		if leadsTo(r, seenChain) {
			behind = i + 1
		}
		if userRule.MatchString(r) {
			behind = i + 1
			break
		}
	}
	for behind < len(others) && (leadsTo(others[behind], seenChain) || h.to == forwardChain && leadsTo(others[behind], askedChain)) {
		behind++
	}
	return behind
}

func leadsTo(rule string, c chain) bool { return strings.HasSuffix(rule, "-j "+c.name) }

// misplaced says what is wrong with the hook standing at index i of the chain's
// rules; "" if nothing. Rules of users may stand before it; user are those of
// DOCKER-USER.
func (h hook) misplaced(all []string, i int, user []string) string {
	switch h.to {
	case forwardChain, askedChain:
	case seenChain:
		return misplacedSeen(all[:i], user)
	default:
		if slices.ContainsFunc(all[:i], ending.MatchString) {
			return "stood behind firewalld's rules, which accept"
		}
		return ""
	}
	if slices.ContainsFunc(all[i+1:], userRule.MatchString) && !slices.ContainsFunc(all[:i], userRule.MatchString) {
		return "stood before DOCKER-USER"
	}
	for _, r := range all[:i] {
		if engineRule.MatchString(r) && !userRule.MatchString(r) {
			return "stood behind the engine's rules"
		}
	}
	return ""
}
