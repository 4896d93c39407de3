package spec

import (
	"net/netip"
	"strconv"
	"strings"
)

// TableMain is the table of the host's ordinary routes, RT_TABLE_MAIN.
const TableMain = 254

// RoutingRule is a rule of policy routing (ip rule), as far as it may be about packets
// that the host forwards and that nobody has marked.
type RoutingRule struct {
	// Priority is the rule's place: the kernel asks those with small numbers first.
	Priority uint32
	// From and To are the sources and destinations that it is about, By is the link that
	// packets came by. Invalid or empty stands for any.
	From, To netip.Prefix
	By       string
	// Not says that it is about all packets but those.
	Not bool
	// Partly says that it also depends on what a Passage does not tell.
	Partly bool
	// Table is what it looks up; 0 for none.
	Table uint32
	// Sifts says that it passes over some of what the table holds.
	Sifts bool
	// Refuses says that it refuses what it is about.
	Refuses bool
}

// Passage is a packet that the host forwards: By is the link that it came by.
type Passage struct {
	By       string
	From, To netip.Addr
}

// Exit is where a packet leaves the host.
type Exit struct {
	// Link is the link; empty if the packet is refused, or there is no way.
	Link string
	// Table is what the way was found in; 0 if there is none.
	Table uint32
}

// Matches says whether the rule is, or may be, about a packet.
func (r RoutingRule) Matches(p Passage) bool {
	if r.Partly && r.Not {
		return true
	}
	return (r.MatchesSource(p.By, p.From) && holds(r.To, p.To)) != r.Not
}

// MatchesSource says whether By and From name the source of a packet.
func (r RoutingRule) MatchesSource(by string, from netip.Addr) bool {
	return (r.By == "" || r.By == by) && holds(r.From, from)
}

func holds(p netip.Prefix, a netip.Addr) bool { return !p.IsValid() || p.Contains(a) }

// Main says that the ordinary routes decide about whatever the rule is about, as they
// know a way to it.
func (r RoutingRule) Main() bool { return r.Table == TableMain && !r.Sifts && !r.Partly }

// All says that it is about every packet.
func (r RoutingRule) All() bool {
	return !r.From.IsValid() && !r.To.IsValid() && r.By == "" && !r.Not && !r.Partly
}

// String shows the rule as ip rule does, as far as it is known here.
func (r RoutingRule) String() string {
	var b strings.Builder
	b.WriteString(strconv.FormatUint(uint64(r.Priority), 10) + ":")
	if r.Not {
		b.WriteString(" not")
	}
	if r.From.IsValid() {
		b.WriteString(" from " + r.From.String())
	} else {
		b.WriteString(" from all")
	}
	if r.To.IsValid() {
		b.WriteString(" to " + r.To.String())
	}
	if r.By != "" {
		b.WriteString(" iif " + r.By)
	}
	switch {
	case r.Table != 0:
		b.WriteString(" lookup " + strconv.FormatUint(uint64(r.Table), 10))
	case r.Refuses:
		b.WriteString(" refuse")
	}
	return b.String()
}
