package doctor

import (
	"net/netip"
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
	// Verdict is accept, drop, return, jump, goto, divert (another destination) or, for
	// what goes on, empty.
	Verdict string
	// Target is the chain of jump and goto.
	Target string
}

// Match is what a rule asks for; zero values ask for nothing.
type Match struct {
	// Protocol is a name; Source and Destination are addresses.
	Protocol            string
	Source, Destination Prefixes
	// In and Out are names of links, with a + at the end for all that begin so.
	In, Out Names
	// Ports are those of the destination, HostPorts those before the translation.
	Ports, HostPorts Spans
	// States are those of connection tracking, such as NEW.
	States Names
	// Partly says that it asks for more than is known here.
	Partly bool
}

// Prefixes are addresses, or all but these (Not). Empty stands for any.
type Prefixes struct {
	All []netip.Prefix
	Not bool
}

// Names are words, or all but these (Not). Empty stands for any.
type Names struct {
	All []string
	Not bool
}

// Spans are ranges of ports, or all but these (Not). Empty stands for any.
type Spans struct {
	All [][2]uint16
	Not bool
}

// Packet is the first packet of a connection that comes from outside.
type Packet struct {
	Protocol string
	// To is the container's address and port, HostPort what was asked for.
	To       netip.AddrPort
	HostPort uint16
	// Out is the network's bridge, Port the link of the container there; both are empty for
	// a packet that is not forwarded. In is where it comes in, as far as that is known.
	Out, Port, In string
	// Hooks are those that it comes to.
	Hooks []string
	// Relayed says that it is for a program of the host, and keeps its destination.
	Relayed bool
	// Translated says that it has its new destination already.
	Translated bool
}

// answer is what is known of whether a rule matches.
type answer int

const (
	no answer = iota
	maybe
	yes
)

func of(match, not bool) answer {
	if match != not {
		return yes
	}
	return no
}

// matches says whether a rule is about a packet.
func (m Match) matches(p Packet) answer {
	all := yes
	for _, a := range []answer{
		m.protocol(p), m.source(), m.destination(p), m.in(p), m.out(p), m.port(p), m.hostPort(p), m.state(),
	} {
		all = min(all, a)
	}
	if m.Partly {
		all = min(all, maybe)
	}
	return all
}

func (m Match) protocol(p Packet) answer {
	return of(m.Protocol == "" || m.Protocol == p.Protocol, false)
}

// source is that of any client: a rule about some of them is about this one, or not.
func (m Match) source() answer {
	if len(m.Source.All) == 0 {
		return yes
	}
	return maybe
}

func (m Match) destination(p Packet) answer {
	switch {
	case len(m.Destination.All) == 0:
		return yes
	case !p.Translated:
		return maybe
	}
	return of(slices.ContainsFunc(m.Destination.All, func(d netip.Prefix) bool { return d.Contains(p.To.Addr()) }), m.Destination.Not)
}

// in says no where a rule is about what comes by the network's bridge.
func (m Match) in(p Packet) answer {
	switch {
	case len(m.In.All) == 0:
		return yes
	case p.In != "":
		return of(m.In.has(p.In), m.In.Not)
	}
	if m.In.has(p.Out) {
		return of(false, m.In.Not)
	}
	return maybe
}

func (m Match) out(p Packet) answer {
	switch {
	case len(m.Out.All) == 0:
		return yes
	case !p.Translated:
		return maybe
	}
	return of(m.Out.has(p.Out), m.Out.Not)
}

func (m Match) port(p Packet) answer {
	port := p.To.Port()
	if !p.Translated {
		port = p.HostPort
	}
	return m.Ports.matches(port)
}

func (m Match) hostPort(p Packet) answer { return m.HostPorts.matches(p.HostPort) }

func (s Spans) matches(port uint16) answer {
	if len(s.All) == 0 {
		return yes
	}
	return of(slices.ContainsFunc(s.All, func(s [2]uint16) bool { return s[0] <= port && port <= s[1] }), s.Not)
}

func (m Match) state() answer {
	if len(m.States.All) == 0 {
		return yes
	}
	has := func(words ...string) bool {
		return slices.ContainsFunc(m.States.All, func(s string) bool { return slices.Contains(words, s) })
	}
	return of(has("NEW", "new", "DNAT", "dnat"), m.States.Not)
}

func (n Names) has(link string) bool {
	return slices.ContainsFunc(n.All, func(name string) bool {
		if l := len(name) - 1; l >= 0 && (name[l] == '+' || name[l] == '*') {
			return len(link) >= l && link[:l] == name[:l]
		}
		return name == link
	})
}

// Drop is a rule that drops the packet, or may.
type Drop struct {
	// Where and Text name the rule; Text is empty for a policy.
	Where, Text string
	// Sure says that it drops whoever asks; otherwise it depends on what is not known.
	Sure bool
	// Diverts says that it sends the packet elsewhere.
	Diverts bool
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
	if six := p.To.Addr().Is6(); six && !b.Six || !six && !b.Four || !slices.Contains(p.Hooks, b.Hook) {
		return nil
	}
	p.Translated = !b.Early && !p.Relayed
	if b.Bridged {
		p.Out = p.Port
	}
	comes := b.at(p)
	if comes == no {
		return nil
	}
	w := &walk{base: b, packet: p}
	if end := w.chain(b.Chain, comes, 0); end == goesOn && b.Closed && !w.spared {
		w.drops = append(w.drops, Drop{Where: b.Name + ", whose policy is drop,", Sure: comes == yes})
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
		if end, ends := w.rule(r, match, how, depth); ends {
			return end
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
		w.drops = append(w.drops, Drop{Where: r.Where, Text: r.Text, Sure: both == yes && !w.spared})
		return dropped, match == yes
	case "divert":
		w.drops = append(w.drops, Drop{Where: r.Where, Text: r.Text, Sure: both == yes && !w.spared, Diverts: true})
		return accepted, match == yes
	case "return":
		return goesOn, match == yes
	case "jump", "goto":
		end = w.chain(r.Target, both, depth+1)
		return end, match == yes && (end != goesOn || r.Verdict == "goto")
	}
	return goesOn, false
}
