package doctor

import (
	"slices"
	"strings"
)

// Base is a chain of others that packets come to by a hook of the kernel, with the chains
// that its rules lead to.
type Base struct {
	// Name is how people know it, such as "iptables filter FORWARD".
	Name string
	// Hook is the kernel's, such as forward; Devices are the links it belongs to, if not
	// all (ingress and egress).
	Hook    string
	Devices Names
	// Bridged says that it sees links of bridges in the place of the bridge.
	Bridged bool
	// Early says that it comes before packets get their new destination.
	Early bool
	// Six says that it sees IPv6, Four that it sees IPv4.
	Four, Six bool
	// Closed says that the policy is drop.
	Closed bool
	// Chain is the chain's own name among Chains.
	Chain  string
	Chains map[string][]Rule
}

// Rule is one rule, as far as it is known here.
type Rule struct {
	// Where and Text name it for people: its chain and number, and its words.
	Where, Text string
	Match       Match
	// Verdict is accept, drop, return, jump, goto, divert (another destination), untrack
	// (of what is not tracked nothing is translated) or, for what goes on, empty.
	Verdict string
	// Target is the chain of jump and goto.
	Target string
}

// Drop is a rule that keeps the packet from coming where it should, or may.
type Drop struct {
	// Where and Text name the rule; Text is empty for a policy.
	Where, Text string
	// Sure says that it drops whoever asks; otherwise it depends on what is not known.
	Sure bool
	// Does is what it does, as its verdict.
	Does string
}

// verdict is what a chain has decided.
type verdict int

const (
	goesOn verdict = iota
	accepted
	dropped
)

// Drops follows a packet through the chains of one hook, and returns what drops it or
// may.
func (b Base) Drops(p Packet) []Drop {
	if six := p.Six(); six && !b.Six || !six && !b.Four || !slices.Contains(p.Hooks, b.Hook) {
		return nil
	}
	p.Translated = !b.Early && !p.Relayed
	if b.Bridged {
		p.Out, p.In = p.Port, ""
	}
	if p.Answer {
		p.Translated = true
	}
	if p.Answer && b.Bridged {
		p.Out, p.In = "", p.Port
	}
	comes := b.at(p)
	if comes == no {
		return nil
	}
	w := &walk{base: b, packet: p}
	if end := w.chain(b.Chain, comes, 0); end == goesOn && b.Closed && !w.spared {
		w.drops = append(w.drops, Drop{Where: b.Name + ", whose policy is drop,", Sure: comes == yes, Does: "drop"})
	}
	return w.drops
}

// at says whether a packet comes by the links that the chain belongs to.
func (b Base) at(p Packet) answer {
	switch {
	case len(b.Devices.All) == 0 && (b.Hook == "ingress" || b.Hook == "egress"):
		return maybe // nft of old does not tell them
	case len(b.Devices.All) == 0:
		return yes
	case b.Hook == "egress":
		return of(b.Devices.has(p.Out) || b.Devices.has(p.Port), false)
	case b.Devices.has(p.Out), b.Devices.has(p.Port):
		return no // what comes from the container
	}
	return Match{In: b.Devices}.in(p)
}

// walk is one packet on its way through the chains of a hook.
type walk struct {
	base   Base
	packet Packet
	drops  []Drop
	// spared says that a rule may have accepted it.
	spared bool
	// steps counts the rules that were looked at.
	steps int
}

// deepest is how far chains may lead to each other, and longest how many rules are looked
// at: a chain may be come to many times. The kernel has limits of its own.
const (
	deepest = 16
	longest = 1 << 16
)

// Chains of Gangway's, which the daemon checks itself.
const (
	ownPrefix = "GANGWAY"
	// hookChain accepts what Gangway has accepted; it asks userChain before. natChain
	// translates: what comes behind it is not asked.
	hookChain, userChain, natChain = "GANGWAY-FORWARD", "DOCKER-USER", "GANGWAY-DNAT"
)

// chain follows a chain that the packet comes to surely (how: yes) or maybe.
func (w *walk) chain(name string, how answer, depth int) verdict {
	if depth > deepest {
		return goesOn
	}
	left := false // somebody may be back where the chain was called
	for _, r := range w.base.Chains[name] {
		if w.steps++; w.steps > longest {
			return goesOn
		}
		match := r.Match.matches(w.packet)
		switch {
		case r.Target == hookChain:
			if w.chain(userChain, how, depth+1) == dropped {
				return dropped
			}
			return accepted
		case r.Target == natChain && match != no:
			return accepted
		case match == no || strings.HasPrefix(r.Target, ownPrefix):
			continue
		}
		end, ends := w.rule(r, match, how, depth)
		switch {
		case ends && left:
			return goesOn
		case ends:
			return end
		case r.Verdict == "return" && match == maybe:
			left, how = true, maybe
		}
	}
	return goesOn
}

// rule does what a rule says that matches, or may, and says whether its chain ends there.
func (w *walk) rule(r Rule, match, how answer, depth int) (end verdict, ends bool) {
	both := min(match, how)
	switch r.Verdict {
	case "accept":
		w.spared = w.spared || both != yes
		return accepted, match == yes
	case "drop":
		w.drops = append(w.drops, Drop{Where: r.Where, Text: r.Text, Sure: both == yes && !w.spared, Does: r.Verdict})
		return dropped, match == yes
	case "divert", "untrack":
		if w.packet.Answer {
			return goesOn, false
		}
		w.drops = append(w.drops, Drop{Where: r.Where, Text: r.Text, Sure: both == yes && !w.spared, Does: r.Verdict})
		return accepted, match == yes
	case "return":
		return goesOn, match == yes
	case "jump", "goto":
		end = w.chain(r.Target, both, depth+1)
		return end, match == yes && (end != goesOn || r.Verdict == "goto")
	}
	return goesOn, false
}
