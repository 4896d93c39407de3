package nftables

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
)

// Uses returns how often each entry has decided, of those policies that are asked for: all that
// somebody has, if texts is nil. They count since the entry has been in the kernel, for all who
// have the policy. Policies are left alone meanwhile.
func (p *PolicyTable) Uses(ctx context.Context, texts []config.Policy) ([]policy.Usage, error) {
	p.mu.Lock()
	there := p.state.named()
	p.mu.Unlock()
	wanted := map[config.Policy]bool{}
	for _, t := range texts {
		wanted[t] = true
	}
	var all []policy.Usage
	for _, id := range slices.Sorted(maps.Keys(there)) {
		if texts != nil && !wanted[there[id].texts] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		u, err := p.reader.uses(there[id])
		switch {
		case errors.Is(err, unix.ENOENT): // it has gone meanwhile
		case err != nil:
			return nil, fmt.Errorf("read what the policies of table inet %s have decided: %w", policyTable, explain(err))
		default:
			all = append(all, u)
		}
	}
	return all, nil
}

// countedEntry is an entry that a counter of the table is of, and what becomes of the packets.
type countedEntry struct {
	policy.Entry
	passes bool
}

// uses reads the counters of a policy.
func (r *reader) uses(p *inForce) (policy.Usage, error) {
	of, part := p.read(), p.part()
	sums := map[countedEntry]*policy.Use{}
	add := func(e countedEntry, c *expr.Counter) {
		if sums[e] == nil {
			sums[e] = &policy.Use{Entry: e.Entry, Passes: e.passes}
		}
		sums[e].Packets += c.Packets
		sums[e].Bytes += c.Bytes
	}
	elements, err := r.read(policyTable, slices.Sorted(maps.Keys(part.by))...)
	if err != nil {
		return policy.Usage{}, err
	}
	for name, by := range part.by {
		for _, e := range elements[name] {
			if entry, known := by[string(e.Key)]; known && e.Counter != nil && !e.IntervalEnd {
				add(entry, e.Counter)
			}
		}
	}
	for _, ch := range part.chains {
		if !countsIn(ch) {
			continue
		}
		rules, err := r.rules(ch.Name)
		if err != nil {
			return policy.Usage{}, err
		}
		for _, rule := range rules {
			if c := counterOf(rule.Exprs); c != nil {
				add(deciderOf(rule.Exprs).entry(of, ch.Name), c)
			}
		}
	}
	return policy.Usage{ID: p.id, Texts: p.texts, Entries: of.InOrder(slices.Collect(maps.Values(sums)))}, nil
}

// rules are those of a chain of the policy table.
func (r *reader) rules(name string) ([]*nft.Rule, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.wire.open(); err != nil {
		return nil, err
	}
	return r.wire.rulesOf(&nft.Chain{Table: table(policyTable), Name: name})
}

// decider is what a rule that counts decides by: ports for which names are allowed, an option by
// which it refuses, or else what the chain lets pass.
type decider struct {
	ports   config.Ports
	byName  bool
	refuses policy.Option
}

func deciderOf(rule []expr.Any) (d decider) {
	if d.ports, d.byName = portsByName(rule); d.byName {
		return d
	}
	for _, x := range rule {
		if x, ends := x.(*expr.Verdict); ends {
			if r, refuses := refusingOf(func(r refusing) bool { return r.name() == x.Chain }); refuses {
				return decider{refuses: r.option}
			}
		}
	}
	return decider{}
}

// entry is that of a policy, in one of its chains.
func (d decider) entry(of policy.Policy, chain string) countedEntry {
	switch {
	case d.byName:
		return countedEntry{of.ByName(d.ports), true}
	case d.refuses != "":
		return countedEntry{of.Otherwise(d.refuses), false}
	case strings.HasPrefix(chain, "host_"):
		return countedEntry{of.Otherwise(policy.OptionAllow), true}
	}
	return countedEntry{of.Otherwise(policy.OptionEgress), true}
}

// accessRows are the set of addresses of which all is meant, and of those with ports: single
// ones, which are found in a fraction of the time, and ranges of either.
func accessRows(name string, of side) (whole, single, ranges row) {
	addr := field{kind: address, side: of}
	some := []field{addr, l4proto, dport}
	return row{name: name + "_", perFamily: true, key: []field{addr}, kind: interval, counted: true},
		row{name: name + "_port_", perFamily: true, key: some, counted: true},
		row{name: name + "_ports_", perFamily: true, key: some, kind: interval, counted: true}
}

// hostRow is a set of ports of the host.
func hostRow(name string) row {
	return row{name: name, key: []field{l4proto, dport}, kind: interval, counted: true}
}

// uncounted are rules as they were written: what they have counted is no difference.
func uncounted(rules []*nft.Rule) []*nft.Rule {
	for _, r := range rules {
		for i, e := range r.Exprs {
			if _, counts := e.(*expr.Counter); counts {
				r.Exprs[i] = &expr.Counter{}
			}
		}
	}
	return rules
}
