package doctor

import (
	"net/netip"
	"slices"
)

// Match is what a rule asks for; zero values ask for nothing.
type Match struct {
	// Protocol is a name; Source and Destination are addresses.
	Protocol            string
	Source, Destination Prefixes
	// In and Out are names of links, with a + at the end for all that begin so.
	In, Out Names
	// Ports are those of the destination, HostPorts those before the translation.
	Ports, HostPorts Spans
	// SourcePorts are those of the source.
	SourcePorts Spans
	// States are those of connection tracking, such as NEW.
	States Names
	// Types are those of the destination, such as LOCAL for an address of the host.
	Types Names
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

// Packet is the first packet of a connection that comes from outside, or an answer to it.
type Packet struct {
	Protocol string
	// Answer says that it is one: it comes from To and goes to the client, who is not known.
	Answer bool
	// To is the container's address and port, HostPort what was asked for.
	To       netip.AddrPort
	HostPort uint16
	// From is the client's address, as far as it is known.
	From netip.Addr
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

// Six says that it is of IPv6.
func (p Packet) Six() bool { return p.To.Addr().Is6() }

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
		m.protocol(p), m.source(p), m.destination(p), m.in(p), m.out(p), m.port(p), m.sourcePort(p), m.hostPort(p), m.state(p), m.destinationType(p),
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

// source is that of any client: a rule about some of them is about this one, or not. An
// answer has the container's.
func (m Match) source(p Packet) answer {
	switch {
	case len(m.Source.All) == 0:
		return yes
	case p.Answer:
		return m.Source.has(p.To.Addr())
	case p.From.IsValid():
		return m.Source.has(p.From)
	}
	return maybe
}

func (p Prefixes) has(a netip.Addr) answer {
	return of(slices.ContainsFunc(p.All, func(d netip.Prefix) bool { return d.Contains(a) }), p.Not)
}

func (m Match) destination(p Packet) answer {
	switch {
	case len(m.Destination.All) == 0:
		return yes
	case p.Answer && p.From.IsValid():
		return m.Destination.has(p.From)
	case !p.Translated || p.Answer:
		return maybe
	}
	return m.Destination.has(p.To.Addr())
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
	case p.Answer && p.Out == "": // not by the bridge that it comes from
		if m.Out.has(p.In) {
			return of(false, m.Out.Not)
		}
		return maybe
	}
	return of(m.Out.has(p.Out), m.Out.Not)
}

func (m Match) port(p Packet) answer {
	switch {
	case len(m.Ports.All) == 0:
		return yes
	case p.Answer:
		return maybe
	}
	port := p.To.Port()
	if !p.Translated {
		port = p.HostPort
	}
	return m.Ports.matches(port)
}

// sourcePort is the client's, which is none of those that are reserved, or the container's.
func (m Match) sourcePort(p Packet) answer {
	reserved := func(s [2]uint16) bool { return s[1] < 1024 }
	switch {
	case len(m.SourcePorts.All) == 0:
		return yes
	case p.Answer:
		return m.SourcePorts.matches(p.To.Port())
	case !slices.ContainsFunc(m.SourcePorts.All, func(s [2]uint16) bool { return !reserved(s) }):
		return of(false, m.SourcePorts.Not)
	}
	return maybe
}

func (m Match) hostPort(p Packet) answer { return m.HostPorts.matches(p.HostPort) }

func (s Spans) matches(port uint16) answer {
	if len(s.All) == 0 {
		return yes
	}
	return of(slices.ContainsFunc(s.All, func(s [2]uint16) bool { return s[0] <= port && port <= s[1] }), s.Not)
}

func (m Match) state(p Packet) answer {
	if len(m.States.All) == 0 {
		return yes
	}
	has := func(words ...string) bool {
		return slices.ContainsFunc(m.States.All, func(s string) bool { return slices.Contains(words, s) })
	}
	if p.Answer {
		return of(has("ESTABLISHED", "established", "DNAT", "dnat"), m.States.Not)
	}
	return of(has("NEW", "new", "DNAT", "dnat"), m.States.Not)
}

// destinationType is known of what has come to the host.
func (m Match) destinationType(p Packet) answer {
	switch {
	case len(m.Types.All) == 0:
		return yes
	case p.Answer || !slices.Contains(p.Hooks, "input"):
		return maybe
	}
	return of(m.Types.has("LOCAL") || m.Types.has("local"), m.Types.Not)
}

func (n Names) has(link string) bool {
	return slices.ContainsFunc(n.All, func(name string) bool {
		if l := len(name) - 1; l >= 0 && (name[l] == '+' || name[l] == '*') {
			return len(link) >= l && link[:l] == name[:l]
		}
		return name == link
	})
}
