package nftables

import (
	"slices"

	"github.com/google/nftables/expr"
)

// staying is what of the table stays as something else: chains with other rules, and sets with
// other elements. What an entry has counted stays with it, where its elements or its rules
// are made anew.
type staying struct {
	turned []chain
	sets   map[string]*set
	// lost are elements that go, of entries that stay; heirs has one that comes for each of
	// these entries.
	lost  []lostElement
	heirs map[ofPolicy]elementAt
	// counts are what elements that come begin with.
	counts beginnings
	// ruled are the chains of policies that become others; rules are those of chains that begin
	// with counts.
	ruled []ruled
	rules map[string][][]expr.Any
}

// ruled are chains of a policy that go or get other rules, by name, and those with the rules
// that come.
type ruled struct {
	before []string
	after  []chain
}

// elementAt is the place of an element.
type elementAt struct{ set, key string }

// ofPolicy is an entry of one of the policies of a change; id is the policy's.
type ofPolicy struct {
	id string
	countedEntry
}

type lostElement struct {
	elementAt
	of ofPolicy
}

// become has a policy become another one that has the same name.
func (c *policyChange) become(id string, was, is policyPart) {
	c.stays.init()
	fresh, gone := policyPart{sets: map[string]*set{}, items: contents{}}, policyPart{sets: map[string]*set{}, items: contents{}}
	for name, s := range is.sets {
		if was.sets[name] == nil {
			fresh.sets[name], fresh.items[name] = s, is.items[name]
		}
	}
	for name, s := range was.sets {
		if is.sets[name] == nil {
			gone.sets[name] = s
		} else {
			c.stays.sets[name] = s
		}
	}
	for name := range keysOf(was.items, is.items) {
		if was.sets[name] != nil && is.sets[name] != nil || was.sets[name] == nil && is.sets[name] == nil {
			gone.items[name], fresh.items[name] = differing(name, was, is)
		}
	}
	c.stays.inherit(id, [2]policyPart{was, is}, gone, fresh)
	chains := compareChains(was.chains, is.chains)
	gone.chains, fresh.chains = chains.gone, chains.fresh
	c.stays.turned = append(c.stays.turned, chains.turned...)
	rules := ruled{after: slices.Concat(chains.turned, chains.fresh)}
	for _, ch := range slices.Concat(chains.turned, chains.gone) {
		rules.before = append(rules.before, ch.Name)
	}
	c.stays.ruled = append(c.stays.ruled, rules)
	c.gone.add(gone)
	c.fresh.add(fresh)
}

func (s *staying) init() {
	if s.sets == nil {
		s.sets, s.heirs, s.counts, s.rules = map[string]*set{}, map[ofPolicy]elementAt{}, beginnings{}, map[string][][]expr.Any{}
	}
}

func sameRule(a, b []expr.Any) bool {
	x, errX := text(a)
	y, errY := text(b)
	return errX == nil && errY == nil && x == y
}

// differing are the elements of a set that go and those that come. One that is another entry's
// by now is another one.
func differing(name string, was, is policyPart) (gone, fresh map[string]item) {
	gone, fresh = map[string]item{}, map[string]item{}
	by, now := was.by[name], is.by[name]
	for key, i := range was.items[name] {
		if is.items[name][key] != i || by[key] != now[key] {
			gone[key] = i
		}
	}
	for key, i := range is.items[name] {
		if was.items[name][key] != i || by[key] != now[key] {
			fresh[key] = i
		}
	}
	return gone, fresh
}

// inherit notes which elements go of entries that stay, and which get what these have counted:
// one that comes or, where none does, one that is made anew for it.
func (s *staying) inherit(id string, from [2]policyPart, gone, fresh policyPart) {
	was, is := from[0], from[1]
	lost := map[countedEntry]bool{}
	note := func(name, key string) {
		if e, counted := was.by[name][key]; counted {
			s.lost = append(s.lost, lostElement{elementAt{name, key}, ofPolicy{id, e}})
			lost[e] = true
		}
	}
	for name := range gone.sets {
		for key := range was.items[name] {
			note(name, key)
		}
	}
	for name, items := range gone.items {
		for key := range items {
			note(name, key)
		}
	}
	if len(lost) == 0 {
		return
	}
	stays := map[countedEntry]elementAt{}
	for name, entries := range is.by {
		for key, e := range entries {
			if !lost[e] {
				continue
			}
			if _, comes := fresh.items[name][key]; comes {
				s.heirs[ofPolicy{id, e}] = elementAt{name, key}
			} else {
				stays[e] = elementAt{name, key}
			}
		}
	}
	for e, at := range stays {
		if _, has := s.heirs[ofPolicy{id, e}]; has {
			continue
		}
		s.heirs[ofPolicy{id, e}] = at
		note(at.set, at.key)
		gone.items[at.set][at.key], fresh.items[at.set][at.key] = was.items[at.set][at.key], is.items[at.set][at.key]
	}
	s.lost = slices.DeleteFunc(s.lost, func(l lostElement) bool { _, has := s.heirs[l.of]; return !has })
}

// rulesOf are those of a chain, with what they begin with.
func (s *staying) rulesOf(c chain) [][]expr.Any {
	if begun, there := s.rules[c.Name]; there {
		return begun
	}
	return c.rules
}

// without are items of a set but, of those that come, the ones that begin with a count.
func (s *staying) without(set string, items map[string]item, come bool) map[string]item {
	if !come || len(s.counts) == 0 {
		return items
	}
	rest := map[string]item{}
	for key, i := range items {
		if s.counts[elementAt{set, key}] == nil {
			rest[key] = i
		}
	}
	return rest
}
