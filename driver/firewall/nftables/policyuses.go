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
// somebody has, if texts is nil. They count since the policy has been in the kernel, for all who
// have it. Policies are left alone meanwhile.
func (p *PolicyTable) Uses(ctx context.Context, texts []config.Policy) ([]policy.Usage, error) {
	p.mu.Lock()
	there := p.state.policies()
	p.mu.Unlock()
	wanted := map[string]bool{}
	for _, t := range texts {
		wanted[policyID(t)] = true
	}
	var all []policy.Usage
	for _, id := range slices.Sorted(maps.Keys(there)) {
		if texts != nil && !wanted[id] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		u, err := p.reader.uses(id, there[id])
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
func (r *reader) uses(id string, texts config.Policy) (policy.Usage, error) {
	of, _ := policy.Of(texts) // it is closed with an error
	c := of.Compile()
	sums := map[countedEntry]*policy.Use{}
	add := func(e countedEntry, c *expr.Counter) {
		if sums[e] == nil {
			sums[e] = &policy.Use{Entry: e.Entry, Passes: e.passes}
		}
		sums[e].Packets += c.Packets
		sums[e].Bytes += c.Bytes
	}
	sets := countedSets(id, c)
	elements, err := r.read(policyTable, slices.Sorted(maps.Keys(sets))...)
	if err != nil {
		return policy.Usage{}, err
	}
	for name, s := range sets {
		for _, e := range elements[name] {
			v, ok := s.keys.decode(e.Key)
			if entry, known := s.entries[startOf(v, s.side)]; ok && known && e.Counter != nil && !e.IntervalEnd {
				add(entry, e.Counter)
			}
		}
	}
	for _, name := range countedChains(id, c) {
		rules, err := r.rules(name)
		if err != nil {
			return policy.Usage{}, err
		}
		for _, rule := range rules {
			if e, counter := otherwise(of, name, rule.Exprs); counter != nil {
				add(e, counter)
			}
		}
	}
	return policy.Usage{ID: id, Texts: texts, Entries: of.InOrder(slices.Collect(maps.Values(sums)))}, nil
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

// otherwise is the entry of a rule of a chain that counts.
func otherwise(of policy.Policy, chain string, rule []expr.Any) (e countedEntry, counter *expr.Counter) {
	if i := slices.IndexFunc(rule, func(x expr.Any) bool { _, counts := x.(*expr.Counter); return counts }); i >= 0 {
		counter = rule[i].(*expr.Counter)
	}
	if ports, byName := portsByName(rule); byName {
		return countedEntry{of.ByName(ports), true}, counter
	}
	for _, x := range rule {
		if x, ends := x.(*expr.Verdict); ends {
			if r, refuses := refusingOf(func(r refusing) bool { return r.name() == x.Chain }); refuses {
				return countedEntry{of.Otherwise(r.option), false}, counter
			}
		}
	}
	if strings.HasPrefix(chain, "host_") {
		return countedEntry{of.Otherwise(policy.OptionAllow), true}, counter
	}
	return countedEntry{of.Otherwise(policy.OptionEgress), true}, counter
}

// countedChains are the chains of a policy that have rules which count.
func countedChains(id string, c policy.Compiled) (all []string) {
	for _, h := range headers() {
		all = append(all, outChain(id, h), hostChain(id, h))
		if c.Everybody {
			continue
		}
		in := inChain(id, h)
		names := []string{in}
		if c.Apart {
			names = append(names, "near_"+in)
		}
		for _, name := range names {
			all = append(all, name)
			if len(c.OwnPorts) > 0 {
				all = append(all, "own_"+name)
			}
		}
	}
	return all
}

// entrySet is a set of a policy with the entries that its elements are of.
type entrySet struct {
	set
	side    side
	entries map[startKey]countedEntry
}

// startKey is where an element begins.
type startKey struct {
	addr  string
	proto uint8
	port  uint16
}

func startOf(v values, of side) startKey {
	s := startKey{proto: uint8(v.proto), port: v.port[receiver]} //nolint:gosec // a protocol's number
	if v.addr[of].IsValid() {
		s.addr = v.addr[of].String()
	}
	return s
}

// countedSets are the sets of a policy that count, as partOf makes them.
func countedSets(id string, c policy.Compiled) map[string]*entrySet {
	all := map[string]*entrySet{}
	put := func(r row, h header, of side, at startKey, e countedEntry) {
		s := r.of(h)
		if all[s.Name] == nil {
			all[s.Name] = &entrySet{set: s, side: of, entries: map[startKey]countedEntry{}}
		}
		all[s.Name].entries[at] = e
	}
	if c.Everybody {
		c.From, c.Near, c.OwnFrom, c.NearOwn = policy.Access{}, policy.Access{}, policy.Access{}, policy.Access{}
	} else if !c.Apart {
		c.Near, c.NearOwn = policy.Access{}, policy.Access{}
	}
	if c.NoHost {
		c.HostDeny = nil
	}
	if c.NoHost || c.WholeHost {
		c.HostAllow = nil
	}
	for _, l := range []struct {
		name   string
		access policy.Access
		of     side
		passes bool
	}{
		{"deny_", c.Deny, receiver, false}, {"allow_", c.Allow, receiver, true}, {"from_", c.From, sender, true}, {"near_", c.Near, sender, true},
		{"own_from_", c.OwnFrom, sender, true}, {"own_near_", c.NearOwn, sender, true},
	} {
		whole, ports := accessRows(l.name+id, l.of)
		for i, r := range l.access.Any {
			put(whole, headerOf(r.From()), l.of, startKey{addr: r.From().String()}, countedEntry{l.access.AnyBy[i], l.passes})
		}
		for i, r := range l.access.Ports {
			put(ports, headerOf(r.Addrs.From()), l.of, startKey{r.Addrs.From().String(), r.Proto, r.First}, countedEntry{l.access.PortsBy[i], l.passes})
		}
	}
	for _, l := range []struct {
		name   string
		spans  []policy.PortSpan
		by     []policy.Entry
		passes bool
	}{{"host_deny_", c.HostDeny, c.HostDenyBy, false}, {"host_allow_", c.HostAllow, c.HostAllowBy, true}} {
		for i, s := range l.spans {
			put(hostRow(l.name+id), inet(), receiver, startKey{"", s.Proto, s.First}, countedEntry{l.by[i], l.passes})
		}
	}
	return all
}

// accessRows are the set of addresses of which all is meant, and of those with ports.
func accessRows(name string, of side) (whole, ports row) {
	addr := field{kind: address, side: of}
	return row{name: name + "_", perFamily: true, key: []field{addr}, kind: interval, counted: true},
		row{name: name + "_ports_", perFamily: true, key: []field{addr, l4proto, dport}, kind: interval, counted: true}
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
