package nftables

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// String is a transaction as the commands of nft that would do the same, for the log,
// which asks for it with debugging only. The rules of a table that is made are left out:
// they are always the same, but for the ranges of ports.
func (tx transaction) String() string {
	var b strings.Builder
	name := "inet " + tx.table
	if tx.remove {
		fmt.Fprintf(&b, "delete table %s\n", name)
	}
	if tx.create || tx.own {
		fmt.Fprintf(&b, "add table %s\n", name)
	}
	if tx.moves() && !tx.create && !tx.remove {
		b.WriteString(tx.high.commands(name))
	}
	b.WriteString(tx.logComment())
	all := setsByName()
	for _, step := range []struct {
		verb  string
		items contents
	}{{"delete", tx.gone}, {"add", tx.fresh}} {
		for _, name := range slices.Sorted(maps.Keys(step.items)) {
			if name == rangesName || name == logName {
				continue // they are rules
			}
			for _, i := range sorted(step.items[name]) {
				fmt.Fprintf(&b, "%s element inet %s %s { %s }\n", step.verb, tx.table, name, all[name].show(i))
			}
		}
	}
	return b.String()
}

// before is the key before another one.
func before(key string) string {
	b := []byte(key)
	for n := len(b) - 1; n >= 0; n-- {
		b[n]--
		if b[n] != 0xff {
			break
		}
	}
	return string(b)
}
