package nftables

import (
	"fmt"
	"maps"
	"slices"

	"github.com/gangway-net/gangway/driver/firewall"
)

// change is what one transaction does to the items.
type change struct{ gone, fresh contents }

func (c change) empty() bool { return c.gone.len()+c.fresh.len() == 0 }

// inverse takes the change back.
func (c change) inverse() change { return change{gone: c.fresh, fresh: c.gone} }

// delta returns what a delta changes of the items: nothing for what is removed
// and added in one, nor for what is there or gone already. Its cost depends on
// the delta alone.
func (c contents) delta(d firewall.Delta) change {
	gone, fresh := contents{}, contents{}
	add := compile(d.Add)
	each(d.Remove, func(set string, i item) {
		if is, ok := c[set][i.key]; ok && is == i {
			if next, stays := add[set][i.key]; !stays || next != i {
				gone.put(set, i)
			}
		}
	})
	for set, items := range add {
		for key, i := range items {
			is, ok := c[set][key]
			if ok && is == i {
				continue
			}
			if ok {
				gone.put(set, is)
			}
			fresh.put(set, i)
		}
	}
	return change{gone, fresh}
}

// change puts a change into effect.
func (c contents) change(by change) {
	for set, items := range by.gone {
		for key := range items {
			delete(c[set], key)
		}
	}
	for set, items := range by.fresh {
		for _, i := range items {
			c.put(set, i)
		}
	}
}

func (c contents) clone() contents {
	all := contents{}
	for set, items := range c {
		all[set] = maps.Clone(items)
	}
	return all
}

// networks returns how many networks the items are of.
func (c contents) networks() int { return len(c[withinMap]) }

// holds says whether the items are exactly those of a ruleset, without making
// them all.
func (c contents) holds(full firewall.Ruleset) bool {
	same, n := true, 0
	each(full, func(set string, i item) {
		is, ok := c[set][i.key]
		same = same && ok && is == i
		n++
	})
	return same && n == c.len()
}

// diff returns what turns the items into others.
func (c contents) diff(want contents) change {
	d := change{contents{}, contents{}}
	for set, items := range c {
		for key, i := range items {
			if next, ok := want[set][key]; !ok || next != i {
				d.gone.put(set, i)
			}
		}
	}
	for set, items := range want {
		for key, i := range items {
			if is, ok := c[set][key]; !ok || is != i {
				d.fresh.put(set, i)
			}
		}
	}
	return d
}

// transaction makes a change of the items in the kernel. The table comes with
// the first item and goes with the last one.
func (c contents) transaction(by change) transaction {
	is := c.len()
	tx := transaction{table: tableName, ofTable: ofTable{create: is == 0}, gone: by.gone, fresh: by.fresh, high: c.rangesAfter(by), log: c.logsAfter(by)}
	if is > 0 && is+by.fresh.len() == by.gone.len() {
		return transaction{table: tableName, ofTable: ofTable{remove: true}}
	}
	return tx
}

// repair makes the kernel hold exactly the wanted items, and says what differed.
// It is one transaction, in which a table that is damaged, or cannot get the
// owner that it should have, is made anew: connections do not notice, they are
// kept by conntrack. That nobody owned the table is no damage, and not told as
// one.
func (b *Backend) repair(l listing, want contents) ([]string, error) {
	b.known = nil
	lines := slices.Clone(l.broken)
	for _, set := range slices.Sorted(maps.Keys(l.strange)) {
		lines = append(lines, fmt.Sprintf("set %s had %d elements of a strange kind", set, l.strange[set]))
	}
	anew := transaction{table: tableName, ofTable: ofTable{remove: l.exists, create: want.len() > 0}, fresh: want, high: want.ranges(), log: want.logs()}
	d := l.items.diff(want)
	tx := anew
	switch {
	case !l.exists && want.len() == 0:
		b.known = want
		return nil, nil
	case !l.exists:
		lines = []string{"table inet " + tableName + " was missing"}
	case want.len() == 0:
		lines = []string{"table inet " + tableName + " was left over"}
	case d.empty() && !l.damaged() && !l.orphan:
		b.known = want
		return nil, nil
	default:
		lines = append(lines, d.lines()...)
		if !l.damaged() {
			tx = transaction{table: tableName, gone: d.gone, fresh: d.fresh, high: want.ranges(), log: want.logs()}
		}
	}
	if err := b.write(l, tx, anew); err != nil {
		return nil, fmt.Errorf("write table inet %s: %w", tableName, err)
	}
	b.known = want
	return lines, nil
}

// write commits what repairs a table, or makes all of it anew.
func (b *Backend) write(l listing, tx, anew transaction) error {
	err := b.commit(tx)
	if err != nil && l.exists && !l.damaged() {
		// Sets can be in a state that single elements do not get out of.
		err = b.commit(anew)
	}
	if err == nil && l.plain && anew.create {
		b.log.Info("table inet " + tableName + " belongs to gangway alone from now on: flushes by others leave it out")
	}
	return err
}

// lines says what a change repairs, set by set.
func (c change) lines() []string {
	names := map[string]bool{}
	for _, side := range []contents{c.gone, c.fresh} {
		for set, items := range side {
			names[set] = names[set] || len(items) > 0
		}
	}
	var lines []string
	for _, set := range slices.Sorted(maps.Keys(names)) {
		switch {
		case !names[set]:
		case set == rangesName:
			lines = append(lines, "chains "+highChain+"4 and "+highChain+"6 had another range of ports")
		case set == logName:
			lines = append(lines, "the chains that refuse logged, or did not")
		default:
			lines = append(lines, fmt.Sprintf("set %s lacked %d elements, had %d others", set, len(c.fresh[set]), len(c.gone[set])))
		}
	}
	return lines
}
