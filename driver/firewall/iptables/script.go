package iptables

import (
	"fmt"
	"slices"
	"strings"
)

// tables are the tables that gangway has rules in, in the order in which what
// packets may do opens up: a network accepts packets once their source is checked, and a
// port is translated once its network accepts it.
var tables = []string{"raw", "filter", "nat"}

// script collects what iptables-restore is to do, table by table.
type script struct {
	lines map[string][]string
	// repairs says in words what differs.
	repairs []string
	// adds says that something is added. What only removes goes the tables the
	// other way round: no port leads to a network that does not accept it.
	adds bool
	// opens says that what was dropped for want of a translation is so no more: it has to be
	// translated before.
	opens bool
	// stay holds the hooks that stay where they are.
	stay rules
}

func newScript() *script { return &script{lines: map[string][]string{}, stay: rules{}} }

func (s *script) add(table, format string, args ...any) {
	s.lines[table] = append(s.lines[table], fmt.Sprintf(format, args...))
}

func (s *script) repair(format string, args ...any) {
	s.repairs = append(s.repairs, fmt.Sprintf(format, args...))
}

// String is the input of iptables-restore, "" if there is nothing to do.
func (s *script) String() string {
	order := slices.Clone(tables)
	switch {
	case !s.adds:
		slices.Reverse(order)
	case s.opens:
		order = []string{"raw", "nat", "filter"}
	}
	var b strings.Builder
	for _, table := range order {
		if len(s.lines[table]) == 0 {
			continue
		}
		b.WriteString("*" + table + "\n")
		for _, l := range s.lines[table] {
			b.WriteString(l + "\n")
		}
		b.WriteString("COMMIT\n")
	}
	return b.String()
}

// converge returns what makes a listing hold exactly the wanted rules.
func converge(is listing, want rules) *script {
	s := newScript()
	for _, c := range want.chains() {
		if _, ok := is.own[c]; !ok {
			s.add(c.table, ":%s - [0:0]", c.name)
			s.adds = true
			s.repair("%s was missing", c)
		}
	}
	placed := s.unhook(is, want)
	for _, c := range want.chains() {
		missing, surplus := s.edit(c, is.own[c], want[c])
		if _, ok := is.own[c]; ok && missing+surplus > 0 {
			s.repair("%s lacked %d rules, had %d others", c, missing, surplus)
		} else if ok && !slices.Equal(is.own[c], want[c]) {
			s.repair("%s was in another order", c)
		}
	}
	s.insert(is, placed)
	s.drop(is, want)
	return s
}

// unhook removes the rules of others' chains that lead to gangway's, other
// than wanted hooks in their place, and returns the hooks to insert.
func (s *script) unhook(is listing, want rules) (insert []hook) {
	stay := map[hook]bool{}
	for _, h := range is.hooks {
		if _, wanted := want[h.to]; !wanted {
			continue
		}
		all := is.others[h.at]
		i := slices.Index(all, h.rule)
		wrong := "was missing"
		if i >= 0 {
			if wrong = h.misplaced(all[:i], all[i+1:], is.others[dockerUser]); slices.Contains(all[i+1:], h.rule) {
				wrong = "stood there twice"
			}
		}
		if wrong == "" {
			stay[hook{at: h.at, rule: h.rule}] = true
			continue
		}
		s.repair("%s, jump to %s %s", h.at, h.to.name, wrong)
		insert = append(insert, h)
	}
	for _, c := range is.others.chains() {
		for _, r := range is.others[c] {
			m := ownRule.FindStringSubmatch(r)
			if m == nil {
				continue
			}
			if stay[hook{at: c, rule: r}] {
				s.stay[c] = append(s.stay[c], r)
				continue
			}
			s.add(c.table, "-D %s %s", c.name, r)
			if _, wanted := want[chain{c.table, m[1]}]; !wanted {
				s.repair("%s, jump to %s was left over", c, m[1])
			}
		}
	}
	return insert
}

// insert puts hooks into their places. What unhook removed is gone by then.
func (s *script) insert(is listing, hooks []hook) {
	now := rules{}
	for _, h := range hooks {
		all, ok := now[h.at]
		if !ok {
			all = slices.DeleteFunc(slices.Clone(is.others[h.at]), func(r string) bool {
				return ownRule.MatchString(r) && !slices.Contains(s.stay[h.at], r)
			})
		}
		s.adds = true
		at := h.place(all)
		if at < len(all) {
			s.add(h.at.table, "-I %s %d %s", h.at.name, at+1, h.rule)
		} else {
			s.add(h.at.table, "-A %s %s", h.at.name, h.rule)
		}
		now[h.at] = slices.Insert(all, at, h.rule)
	}
}

// drop removes the chains that are not wanted. All are emptied first: they
// lead to one another.
func (s *script) drop(is listing, want rules) {
	for _, op := range []string{"-F", "-X"} {
		for _, c := range is.own.chains() {
			if _, wanted := want[c]; !wanted {
				s.add(c.table, "%s %s", op, c.name)
				if op == "-X" {
					s.repair("%s was left over", c)
				}
			}
		}
	}
}

// edit turns a chain's rules into others, and returns how many it adds and
// removes. Single rules are removed and inserted at their place; if that would
// be most of them, the chain is written anew.
func (s *script) edit(c chain, is, want []string) (added, removed int) {
	gone, fresh, ok := compare(is, want, fixed(c))
	s.opens = s.opens || c == untranslatedChain && len(gone) > 0
	if !ok || len(gone)+len(fresh) > len(want)/2+8 {
		if len(is) > 0 {
			s.add(c.table, "-F %s", c.name)
		}
		for _, r := range want {
			s.add(c.table, "-A %s %s", c.name, r)
		}
		s.adds = s.adds || len(want) > 0
		return len(fresh), len(gone)
	}
	for _, i := range gone {
		s.add(c.table, "-D %s %s", c.name, is[i])
	}
	have := len(is) - len(gone)
	for _, i := range fresh {
		s.adds = true
		if i < have {
			s.add(c.table, "-I %s %d %s", c.name, i+1, want[i])
		} else {
			s.add(c.table, "-A %s %s", c.name, want[i])
		}
		have++
	}
	return len(fresh), len(gone)
}

// compare returns the indexes of the rules in is that want lacks, and of those
// in want that is lacks. ok says that the rest is in want's order, without
// doubles, so that single edits are enough; a chain of fixed order is never
// edited, only written.
func compare(is, want []string, fixed bool) (gone, fresh []int, ok bool) {
	if slices.Equal(is, want) {
		return nil, nil, true
	}
	wanted := make(map[string]bool, len(want))
	for _, r := range want {
		wanted[r] = true
	}
	ok = !fixed
	last := ""
	seen := make(map[string]bool, len(is))
	for i, r := range is {
		if !wanted[r] || seen[r] {
			ok = ok && !seen[r]
			gone = append(gone, i)
			continue
		}
		seen[r] = true
		ok = ok && r > last
		last = r
	}
	for i, r := range want {
		if !seen[r] {
			fresh = append(fresh, i)
		}
	}
	return gone, fresh, ok
}

// step returns what turns one set of gangway's rules into another with the same
// chains; ok is false if chains come or go, which the listing must tell how.
func step(is, want rules) (s *script, ok bool) {
	s = newScript()
	if !slices.Equal(is.chains(), want.chains()) {
		return nil, false
	}
	for _, c := range want.chains() {
		s.edit(c, is[c], want[c])
	}
	return s, true
}

// chains returns the chains in a fixed order.
func (r rules) chains() []chain {
	all := make([]chain, 0, len(r))
	for c := range r {
		if c.table != "" {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b chain) int { return strings.Compare(a.String(), b.String()) })
	return all
}
