package iptables

import (
	"maps"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/firewall"
)

// with returns r changed by a delta; r stays as it is. Chains that nothing
// changes share their slice.
func (r rules) with(d firewall.Delta, f form) rules {
	minus, plus := elements(d.Remove, f.six), elements(d.Add, f.six)
	_, closed := r[transitChain]
	is := r.opened()
	next := maps.Clone(is)
	for _, change := range []rules{minus, plus} {
		for c := range change {
			if lines := edited(is[c], minus[c], plus[c]); len(lines) > 0 {
				next[c] = lines
			} else {
				delete(next, c)
			}
		}
	}
	next.moveRanges(d)
	next.changeLog(d)
	next.setShared(f)
	next.finish(closed && !d.Remove.NoTransit.Has(f.six) || d.Add.NoTransit.Has(f.six))
	next.fillLog()
	return next
}

// edited returns the sorted lines, without minus and with plus.
func edited(lines, minus, plus []string) []string {
	lines = slices.Clone(lines)
	for _, l := range minus {
		if i, found := slices.BinarySearch(lines, l); found {
			lines = slices.Delete(lines, i, i+1)
		}
	}
	// Many at once are sorted once, not moved one by one.
	if len(plus) > 16 {
		lines = append(lines, plus...)
		slices.Sort(lines)
		return slices.Compact(lines)
	}
	for _, l := range plus {
		if i, found := slices.BinarySearch(lines, l); !found {
			lines = slices.Insert(lines, i, l)
		}
	}
	return lines
}

// bridges returns the networks' bridges, sorted: each network has one rule in
// iccChain, which begins with "-i BRIDGE".
func (r rules) bridges() []string {
	var all []string
	for _, l := range r[iccChain] {
		if f := strings.Fields(l); len(f) > 1 && f[0] == "-i" {
			all = append(all, f[1])
		}
	}
	slices.Sort(all)
	return all
}

// setShared adds the shared rules if there is a network, and removes them otherwise.
func (r rules) setShared(f form) {
	networks, accepts := len(r[iccChain]) > 0, len(r[openChain])+len(r[replyChain])+len(r[outsideChain]) > 0
	for c, lines := range shared(f) {
		switch {
		case c == acceptChain && accepts: // as something leads to it
			r[c] = lines
		case fixed(c) && networks:
			r[c] = lines
		case fixed(c):
			delete(r, c)
		case networks:
			r[c] = edited(r[c], nil, lines)
		default:
			if r[c] = edited(r[c], lines, nil); len(r[c]) == 0 {
				delete(r, c)
			}
		}
	}
	delete(r, withinChain)
	if len(r[lanChain]) > 0 {
		r[withinChain] = withinRules(f.user)
	}
}

// remembered is no chain, as it is in no table: it holds the rules of outsideChain for
// as long as there is no network that needs them.
var remembered = chain{}

// finish adds what follows from the links that lead outside: transitChain to a family
// without transit, establishedChain and refusedChain where there are networks. It leaves
// nothing else without these. The ranges of ports come to the rules that have some.
func (r rules) finish(closed bool) {
	r.fillRanges()
	if closed {
		lines := []string{}
		for _, l := range r[outsideChain] {
			name := strings.Fields(l)[1]
			lines = append(lines, "-i "+name+" ! -o "+name+" -j DROP")
		}
		slices.Sort(lines)
		r[transitChain] = lines
	}
	// Answers, and who asks for what is not published, come by the links that packets
	// leave by.
	delete(r, establishedChain)
	delete(r, refusedChain)
	if len(r[iccChain]) > 0 {
		answers, asks := []string{}, []string{}
		for _, l := range r[outsideChain] {
			from := "-i " + strings.Fields(l)[1] + " -j "
			answers, asks = append(answers, from+acceptChain.name), append(asks, from+unpublishedChain.name)
		}
		slices.Sort(answers)
		slices.Sort(asks)
		r[establishedChain], r[refusedChain] = answers, append(asks, "-j "+isolatedChain.name)
	}
	if len(r[iccChain]) > 0 || len(r[outsideChain]) == 0 {
		return
	}
	r[remembered] = r[outsideChain]
	delete(r, outsideChain)
	if len(r[openChain])+len(r[replyChain]) == 0 {
		delete(r, acceptChain)
	}
}

// opened returns the rules as they are before finish. What the kernel holds remembers
// nothing, but transitChain names the links as well.
func (r rules) opened() rules {
	all := maps.Clone(r)
	if all == nil {
		all = rules{}
	}
	all.clearLog()
	all.clearRanges()
	delete(all, transitChain)
	delete(all, remembered)
	if len(r[outsideChain]) > 0 {
		return all
	}
	lines := slices.Clone(r[remembered])
	if lines == nil {
		for _, l := range r[transitChain] {
			if f := strings.Fields(l); len(f) > 1 && f[0] == "-i" {
				lines = append(lines, outsideRule(f[1]))
			}
		}
		slices.Sort(lines)
	}
	if len(lines) > 0 {
		all[outsideChain] = lines
	}
	return all
}

// compile returns the whole set's rules in one family.
func compile(set firewall.Ruleset, f form) rules {
	return rules(nil).with(firewall.Delta{Add: set}, f)
}
