package nftables

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/nftables/expr"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/integration/nstest"
)

// TestPolicyTurns: whatever policies become, the table is what they say, policies that stay keep
// their names, and entries what they have counted: those whose elements are cut anew as well.
func TestPolicyTurns(t *testing.T) {
	nstest.Do(t, func() {
		p := newPolicyTable(t, false)
		rnd := rand.New(rand.NewPCG(18, 3))
		all := modelPolicies(rnd)
		if _, err := p.Sync(t.Context(), all, false); err != nil {
			t.Fatal(err)
		}
		kept := 0
		for step := range 30 {
			next := turned(rnd, all)
			beginAtRandom(t, p, rnd)
			before, was := p.state, usesOf(t, p)
			if err := p.Apply(t.Context(), all, next, false); err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
			all = next
			p.seen = 0
			if lines, err := p.Repair(t.Context()); len(lines) > 0 || err != nil {
				t.Fatalf("step %d: %v (%v)", step, lines, err)
			}
			kept += keptCounts(t, before, p.state, was, usesOf(t, p))
			if t.Failed() {
				for id, of := range before.named() {
					t.Errorf("step %d: %s was %+v", step, id, of.texts)
				}
				return
			}
		}
		if kept < 100 {
			t.Errorf("%d entries have kept what they have counted", kept)
		}
		t.Logf("%d entries have kept what they have counted", kept)
	})
}

// turned has some bindings get other policies, of which most differ in little.
func turned(rnd *rand.Rand, all []policy.Binding) []policy.Binding {
	next := slices.Clone(all)
	others := map[config.Policy]config.Policy{}
	for i, b := range next {
		texts, known := others[b.Texts]
		if !known {
			texts = b.Texts
			other := randomPolicy(rnd)
			for _, word := range []func(*config.Policy) *string{
				func(p *config.Policy) *string { return &p.Egress }, func(p *config.Policy) *string { return &p.Allow }, func(p *config.Policy) *string { return &p.Deny },
				func(p *config.Policy) *string { return &p.Ingress }, func(p *config.Policy) *string { return &p.Host }, func(p *config.Policy) *string { return &p.Mode },
				func(p *config.Policy) *string { return &p.Names },
			} {
				if rnd.IntN(5) == 0 {
					*word(&texts) = *word(&other)
				}
			}
			if rnd.IntN(5) == 0 { // networks that policies name come and go
				texts.Networks = oneOf(rnd, other.Networks, "far gw-far 1.2.3.0/25 2600::/64")
			}
			if texts.Allow != config.None && rnd.IntN(2) == 0 {
				texts.Allow += "," + oneOf(rnd, "1.2.3.0/28", "1.2.3.4:80/tcp", "10.0.0.0/9:443", "a.example:80", "internet")
			}
			others[b.Texts] = texts
		}
		if next[i].Texts = texts; rnd.IntN(8) == 0 {
			next[i].Texts = all[rnd.IntN(len(all))].Texts
		}
	}
	return next
}

// beginAtRandom has all that counts in the table count something.
func beginAtRandom(t *testing.T, p *PolicyTable, rnd *rand.Rand) {
	t.Helper()
	for _, of := range p.state.policies {
		part := of.part()
		c := policyChange{gone: newImage(), fresh: newImage()}
		c.stays.init()
		some := func() *expr.Counter {
			n := uint64(1 + rnd.IntN(1000))
			return &expr.Counter{Packets: n, Bytes: 100 * n}
		}
		for name, by := range part.by {
			c.stays.sets[name] = part.sets[name]
			for key := range by {
				c.gone.items.put(name, part.items[name][key])
				c.fresh.items.put(name, part.items[name][key])
				c.stays.counts[elementAt{name, key}] = some()
			}
		}
		for _, ch := range part.chains {
			for i, r := range ch.rules {
				for k, x := range r {
					if _, counts := x.(*expr.Counter); counts {
						ch.rules[i] = slices.Clone(ch.rules[i])
						ch.rules[i][k] = some()
					}
				}
			}
			c.stays.turned = append(c.stays.turned, ch)
		}
		if err := p.commit(c); err != nil {
			t.Fatal(err)
		}
	}
}

// usesOf are the packets that entries have decided, by policy.
func usesOf(t *testing.T, p *PolicyTable) map[string]map[countedEntry]uint64 {
	t.Helper()
	list, err := p.Uses(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[countedEntry]uint64{}
	for _, u := range list {
		all[u.ID] = map[countedEntry]uint64{}
		for _, e := range u.Entries {
			if all[u.ID][countedEntry{e.Entry, e.Passes}] = e.Packets; e.Bytes != 100*e.Packets {
				t.Errorf("%+v", e)
			}
		}
	}
	return all
}

// keptCounts demands that entries which decide before and after a change have kept what they have
// counted, and others have none of it.
func keptCounts(t *testing.T, before, after policyState, was, is map[string]map[countedEntry]uint64) (kept int) {
	t.Helper()
	for id, of := range after.named() {
		from := before.named()[id]
		if from == nil {
			continue
		}
		then := placesOf(from)
		for e, listed := range placesOf(of) {
			_, there := then[e]
			switch {
			case there && is[id][e] != was[id][e]:
				t.Errorf("%s, now %+v: %s (passes: %t) had decided %d times, now %d", id, of.texts, e.Entry, e.passes, was[id][e], is[id][e])
			case there:
				kept++
			case listed && is[id][e] != 0:
				t.Errorf("%s, now %+v: %s is new and has decided %d times", id, of.texts, e.Entry, is[id][e])
			}
		}
	}
	return kept
}

// placesOf are the entries of a policy that have elements or rules; true for those that have
// elements alone.
func placesOf(p *inForce) map[countedEntry]bool {
	all := map[countedEntry]bool{}
	of, part := p.read(), p.part()
	for _, by := range part.by {
		for _, e := range by {
			all[e] = true
		}
	}
	for _, ch := range part.chains {
		for _, r := range ch.rules {
			if counterOf(r) != nil {
				all[deciderOf(r).entry(of, ch.Name)] = false
			}
		}
	}
	return all
}

// TestPolicyNames: a policy keeps its name while it changes, a process that comes later finds it,
// and nobody gets the policy of another one who had its contents before.
func TestPolicyNames(t *testing.T) {
	nstest.Do(t, func() {
		first := newPolicyTable(t, true)
		of := func(n int, allow string) policy.Binding {
			return policy.Binding{NetworkID: id(string(rune('a' + n))), Bridge: fmt.Sprint("gw-", n), Subnets: prefixes(fmt.Sprintf("10.%d.0.0/24", n)), Texts: config.Policy{Egress: "deny", Allow: allow, Host: "none"}}
		}
		names := func(p *PolicyTable) (all []string) {
			for n := range 3 {
				for _, b := range p.state.of(fmt.Sprint("gw-", n)) {
					all = append(all, b.id)
				}
			}
			return all
		}
		if _, err := first.Sync(t.Context(), []policy.Binding{of(0, "1.2.3.4"), of(1, "1.2.3.4")}, false); err != nil {
			t.Fatal(err)
		}
		named := names(first)
		if err := first.Apply(t.Context(), []policy.Binding{of(0, "1.2.3.4"), of(1, "1.2.3.4")}, []policy.Binding{of(0, "1.2.3.5"), of(1, "1.2.3.5")}, false); err != nil {
			t.Fatal(err)
		}
		if got := names(first); !slices.Equal(got, named) || got[0] != got[1] {
			t.Errorf("all have another policy: it is called %v, was %v", got, named)
		}
		want, text := policyNamesApart(t, first, of, names)
		first.Close()

		next := newPolicyTable(t, true)
		if err := next.Apply(t.Context(), nil, []policy.Binding{of(1, "1.2.3.7")}, false); err != nil {
			t.Fatal(err)
		}
		if got := tableText(t); got != text {
			t.Errorf("what is there is made again:\n%s", got)
		}
		// Another one's contents of before are nobody's name by now.
		if err := next.Apply(t.Context(), nil, []policy.Binding{of(2, "1.2.3.4")}, false); err != nil {
			t.Fatal(err)
		}
		lines, err := next.Sync(t.Context(), []policy.Binding{of(0, "1.2.3.5"), of(1, "1.2.3.7"), of(2, "1.2.3.4")}, false)
		if got := names(next); err != nil || len(lines) > 0 || !slices.Equal(got[:2], want) || slices.Contains(want, got[2]) {
			t.Errorf("the next process has %v, want %v and another one (%v, %v)", got, want, lines, err)
		}
		if got := sh(t, "nft list set inet gangway-policy policies"); strings.Count(got, "comment") != 3 {
			t.Error(got)
		}
	})
}

// policyNamesApart has two who share a policy have different ones, and returns the names and the table.
func policyNamesApart(t *testing.T, first *PolicyTable, of func(int, string) policy.Binding, names func(*PolicyTable) []string) ([]string, string) {
	t.Helper()
	named := names(first)
	// One goes back to what both had: the name by these contents is the others'.
	if err := first.Apply(t.Context(), []policy.Binding{of(1, "1.2.3.5")}, []policy.Binding{of(1, "1.2.3.4")}, false); err != nil {
		t.Fatal(err)
	}
	if got := names(first); got[0] != named[0] || got[1] == named[0] {
		t.Errorf("one has another policy: they are called %v, were %v", got, named)
	}
	if err := first.Apply(t.Context(), []policy.Binding{of(1, "1.2.3.4")}, []policy.Binding{of(1, "1.2.3.7")}, false); err != nil {
		t.Fatal(err)
	}
	return names(first), tableText(t)
}

// TestPolicyDigest: all by which policies differ is in the digest, and the name is not.
func TestPolicyDigest(t *testing.T) {
	seen := map[string]string{digestOf(config.Policy{}, 0): "nothing"}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[config.Policy]()) {
		var texts config.Policy
		reflect.ValueOf(&texts).Elem().FieldByIndex(f.Index).SetString("x")
		digest := digestOf(texts, 0)
		if other, there := seen[digest]; there != (f.Name == "Name") {
			t.Errorf("%s has the digest of %q", f.Name, other)
		}
		seen[digest] = f.Name
	}
}

// TestPolicyCountsOfOthers: an element that is another entry's by now counts for that from then on.
func TestPolicyCountsOfOthers(t *testing.T) {
	nstest.Do(t, func() {
		p := newPolicyTable(t, false)
		of := func(allow string) []policy.Binding {
			return []policy.Binding{{NetworkID: id("a"), Bridge: "gw-a", Subnets: prefixes("10.1.0.0/24"), Texts: config.Policy{Egress: "deny", Allow: allow}}}
		}
		before, after := of("1.2.3.4:80/tcp,1.2.3.4:80"), of("1.2.3.4:80")
		if _, err := p.Sync(t.Context(), before, false); err != nil {
			t.Fatal(err)
		}
		beginAtRandom(t, p, rand.New(rand.NewPCG(18, 5)))
		name := p.state.named()
		was := usesOf(t, p)
		if err := p.Apply(t.Context(), before, after, false); err != nil {
			t.Fatal(err)
		}
		both := countedEntry{policy.Entry{Option: policy.OptionAllow, Value: "1.2.3.4:80"}, true}
		for id := range name {
			if is := usesOf(t, p); was[id][both] == 0 || is[id][both] != was[id][both] {
				t.Errorf("%v has decided %d times, now %d", both, was[id][both], is[id][both])
			}
		}
	})
}

// TestPolicyLarge: one entry among ten thousand changes with some elements, and a listing of all
// of them takes no time that a check could not.
func TestPolicyLarge(t *testing.T) {
	nstest.Do(t, func() {
		p := newPolicyTable(t, true)
		var list []string
		for i := range 10000 {
			list = append(list, fmt.Sprintf("10.%d.%d.%d:443/tcp", 100+i/62500, i/250%250, 1+i%250))
		}
		now, next := manyBindings(strings.Join(list, ",")), manyBindings(strings.Join(list[1:], ","))
		if _, err := p.Sync(t.Context(), now, false); err != nil {
			t.Fatal(err)
		}
		is := p.state.with(now, next)
		c := p.state.to(is)
		if gone, fresh := c.gone.items.len(), c.fresh.items.len(); gone+fresh > 20 || len(c.stays.turned)+len(c.fresh.chains)+len(c.gone.chains) > 0 {
			t.Errorf("%d elements go, %d come, chains: %d", gone, fresh, len(c.stays.turned)+len(c.fresh.chains)+len(c.gone.chains))
		}
		if err := p.Apply(t.Context(), now, next, false); err != nil {
			t.Fatal(err)
		}
		p.seen = 0
		if lines, err := p.Repair(t.Context()); len(lines) > 0 || err != nil {
			t.Error(lines, err)
		}
	})
}

// TestPolicyTooMany: more entries than all policies may have are refused, and nothing has changed;
// what many share counts once.
func TestPolicyTooMany(t *testing.T) {
	nstest.Do(t, func() {
		p := newPolicyTable(t, false)
		var entries []string
		for i := range 1 << 14 {
			entries = append(entries, fmt.Sprintf("10.9.%d.%d", i/250, i%250+1))
		}
		list := strings.Join(entries, ",")
		var all, shared []policy.Binding
		for n := range 65 {
			b := policy.Binding{NetworkID: id("a"), EndpointID: fmt.Sprint(n), Bridge: "gw-a", Subnets: prefixes("10.1.0.0/24"), Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, 1, 0, byte(n + 2)})}}
			b.Texts = config.Policy{Egress: "deny", Allow: list, Host: fmt.Sprint(1000 + n)}
			all = append(all, b)
			b.Texts.Host = "none"
			shared = append(shared, b)
		}
		if err := p.Apply(t.Context(), nil, all, false); err == nil || !strings.Contains(err.Error(), "may have 1048576") {
			t.Errorf("too many entries: %v", err)
		}
		if got := tableText(t); got != "" || !p.state.empty() {
			t.Errorf("what was refused has left %d bytes", len(got))
		}
		if err := p.Apply(t.Context(), nil, shared, false); err != nil {
			t.Error(err)
		}
	})
}
