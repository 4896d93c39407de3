package nftables

import (
	"context"
	"fmt"
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

// leftOver says of tables that they were there, and nobody needs them.
func leftOver(family string, names []string) []string {
	var all []string
	for _, name := range names {
		all = append(all, fmt.Sprintf("table %s %s was left over", family, name))
	}
	return all
}
