package iptables

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// highPorts is no chain, as it is in no table: it holds the ranges of source ports, as
// "tcp 40000-50000", of the protocols that have not all high ports.
var highPorts = chain{name: "high ports"}

// allHigh is the range of what has no other.
var allHigh = portRange(firewall.AllHigh())

// portRange writes a range as iptables-save does.
func portRange(r spec.Span) string {
	if r.First == r.Last {
		return fmt.Sprint(r.First)
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// ranged are the rules that give ports of a range: of that protocol, and that range.
var ranged = regexp.MustCompile(`(?:^| )-p (\w+) .*[ :](\d+(?:-\d+)?) --random-fully$`)

// withRange puts the range of its protocol into a rule that has one.
func withRange(rule string, ranges map[string]string) string {
	m := ranged.FindStringSubmatchIndex(rule)
	if m == nil {
		return rule
	}
	to, ok := ranges[rule[m[2]:m[3]]]
	if !ok {
		to = allHigh
	}
	return rule[:m[4]] + to + rule[m[5]:]
}

// ranges are those of highPorts, by protocol.
func (r rules) ranges() map[string]string {
	all := map[string]string{}
	for _, l := range r[highPorts] {
		proto, to, _ := strings.Cut(l, " ")
		all[proto] = to
	}
	return all
}

func (r rules) setRanges(ranges map[string]string) {
	delete(r, highPorts)
	for _, proto := range slices.Sorted(maps.Keys(ranges)) {
		r[highPorts] = append(r[highPorts], proto+" "+ranges[proto])
	}
}

// moveRanges makes a delta's change of highPorts.
func (r rules) moveRanges(d firewall.Delta) {
	if len(d.Remove.HighPorts)+len(d.Add.HighPorts) == 0 {
		return
	}
	ranges := r.ranges()
	for _, p := range d.Remove.HighPorts {
		if ranges[p.Proto.String()] == portRange(spec.Span{First: p.First, Last: p.Last}) {
			delete(ranges, p.Proto.String())
		}
	}
	for _, p := range d.Add.HighPorts {
		ranges[p.Proto.String()] = portRange(spec.Span{First: p.First, Last: p.Last})
	}
	r.setRanges(ranges)
}

// fillRanges puts the ranges into the rules, which have all high ports before. The order
// of the rules stays: no two of them differ in the range alone.
func (r rules) fillRanges() {
	if ranges := r.ranges(); len(ranges) > 0 {
		r.rewrite(masqueradeChain, ranges)
		r.rewrite(egressChain, ranges)
	}
}

// clearRanges takes fillRanges back. What the kernel holds does not have highPorts, but
// its rules name the ranges.
func (r rules) clearRanges() {
	ranges := r.ranges()
	for _, l := range r[masqueradeChain] {
		if m := ranged.FindStringSubmatch(l); m != nil && m[2] != allHigh {
			ranges[m[1]] = m[2]
		}
	}
	if len(ranges) > 0 {
		r.setRanges(ranges)
		r.rewrite(egressChain, nil) // masqueradeChain is made anew
	}
}

// rewrite puts ranges into the rules of a chain, all high ports where there is none.
func (r rules) rewrite(c chain, ranges map[string]string) {
	lines := slices.Clone(r[c])
	for i, l := range lines {
		lines[i] = withRange(l, ranges)
	}
	if len(lines) > 0 {
		r[c] = lines
	}
}
