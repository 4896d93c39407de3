package nftables

import (
	"context"
	"fmt"
	"slices"
)

// formerNames are the names by which earlier versions made a table, by today's name.
//
// Such a table had an owner, and went with the process that made it. What is found comes
// from a file: somebody has saved all rules and loads them again (nft -f). It is nobody's
// then, and a fail-closed table would drop packets for ever. So these names are looked for
// at each check, and what has one is removed; a name is never taken off this list.
func formerNames() map[string][]string {
	return map[string][]string{
		failClosedName: {tableName + "-valve"},
		limitName:      {tableName + "-pace"},
	}
}

// former returns the names among those of a table's earlier versions that are there and
// nobody's. If the table is to be made, it waits until a process that ends has let go of
// them.
func (w *wire) former(ctx context.Context, name string, made bool) ([]string, error) {
	var all []string
	for _, old := range formerNames()[name] {
		is, err := w.look(old)
		if err == nil && is.others() && made {
			is, err = w.claim(ctx, old)
		}
		if err != nil {
			return nil, fmt.Errorf("look for table %s: %w", old, err)
		}
		if is.exists && !is.others() {
			all = append(all, old)
		}
	}
	return all, nil
}

// making says which tables are removed where one is made, or is to be there no more: those
// of former names, and the one of its own name, unless that is another process's. It has a
// line for each that was not this process's.
func making(family, name string, is state, old []string) (gone, repaired []string) {
	for _, n := range old {
		repaired = append(repaired, fmt.Sprintf("table %s %s was left over", family, n))
	}
	if !is.exists || is.others() {
		return old, repaired
	}
	if !is.mine { // nobody owned it: it was loaded from a file
		repaired = append(repaired, fmt.Sprintf("table %s %s was not gangway's", family, name))
	}
	return append(slices.Clone(old), name), repaired
}
