package nftables

import (
	"maps"
	"slices"
	"strings"

	"github.com/google/nftables/expr"
)

// beginnings are what elements begin with.
type beginnings map[elementAt]*expr.Counter

func (c beginnings) add(at elementAt, n *expr.Counter) {
	if n == nil {
		return
	}
	if c[at] == nil {
		c[at] = &expr.Counter{}
	}
	c[at].Packets += n.Packets
	c[at].Bytes += n.Bytes
}

// count reads what goes has counted, for what comes in its place. What is counted between this
// and the change is lost: it is some packets that begin flows.
func (p *PolicyTable) count(s *staying) error {
	if err := p.countElements(s); err != nil {
		return err
	}
	for _, of := range s.ruled {
		sums := map[ruleOf]*expr.Counter{}
		for _, name := range of.before {
			rules, err := p.reader.rules(name)
			if err != nil {
				return err
			}
			for _, r := range rules {
				if c := counterOf(r.Exprs); c != nil && c.Packets > 0 {
					at := ruleIn(name, r.Exprs)
					if sums[at] == nil {
						sums[at] = &expr.Counter{}
					}
					sums[at].Packets += c.Packets
					sums[at].Bytes += c.Bytes
				}
			}
		}
		for _, ch := range of.after {
			s.rules[ch.Name] = withCounts(ch, sums)
		}
	}
	return nil
}

func (p *PolicyTable) countElements(s *staying) error {
	sets := map[string]bool{}
	for _, l := range s.lost {
		sets[l.set] = true
	}
	if len(sets) == 0 {
		return nil
	}
	elements, err := p.reader.read(policyTable, slices.Sorted(maps.Keys(sets))...)
	if err != nil {
		return err
	}
	counted := map[elementAt]*expr.Counter{}
	for name, list := range elements {
		for _, e := range list {
			if e.Counter != nil && !e.IntervalEnd && e.Counter.Packets > 0 {
				counted[elementAt{name, string(e.Key)}] = e.Counter
			}
		}
	}
	for _, l := range s.lost {
		s.counts.add(s.heirs[l.of], counted[l.elementAt])
	}
	return nil
}

// ruleOf is what a rule of a policy decides by; host says that it is about the host.
type ruleOf struct {
	decider
	host bool
}

func ruleIn(chain string, rule []expr.Any) ruleOf {
	return ruleOf{deciderOf(rule), strings.HasPrefix(chain, "host_")}
}

func countsIn(c chain) bool {
	return slices.ContainsFunc(c.rules, func(r []expr.Any) bool { return counterOf(r) != nil })
}

func counterOf(rule []expr.Any) *expr.Counter {
	for _, x := range rule {
		if c, counts := x.(*expr.Counter); counts {
			return c
		}
	}
	return nil
}

// withCounts are the rules of a chain, of which each begins with what is left of what rules
// before have counted that decide by the same.
func withCounts(c chain, left map[ruleOf]*expr.Counter) [][]expr.Any {
	all := slices.Clone(c.rules)
	for i, r := range all {
		at := ruleIn(c.Name, r)
		if counterOf(r) == nil || left[at] == nil {
			continue
		}
		all[i] = slices.Clone(r)
		for k, x := range all[i] {
			if _, counts := x.(*expr.Counter); counts {
				all[i][k] = left[at]
			}
		}
		delete(left, at)
	}
	return all
}
