package nftables

import (
	"fmt"
	"slices"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/gangway-net/gangway/driver/firewall"
)

// transaction is one change of the table.
type transaction struct {
	ofTable
	// mark is what the rules of a table that is made use.
	mark firewall.Mark
	// table is the name; the probe has one of its own.
	table string
	// gone and fresh are the items to delete and to add, in this order.
	gone, fresh contents
	// high are the ranges of ports after it.
	high ranges
	// log says whether what is refused is logged after it.
	log bool
}

// ofTable is what happens to the table itself.
type ofTable struct {
	// remove deletes it, create makes it, in this order; trial deletes it at the end.
	remove, create, trial bool
	// own makes the connection the owner of a table that has none.
	own bool
}

// commit puts a transaction into the kernel, all of it or nothing. A table that
// is there and should be this connection's becomes so by it.
func (k *kernel) commit(tx transaction) error {
	if err := k.open(); err != nil {
		return err
	}
	tx.mark = k.mark
	tx.own = !tx.create && !tx.remove && k.flags != 0 && !k.owns
	if err := k.wire.commit(tx.table, k.flags, tx.writer(k.sets)); err != nil {
		return explain(err)
	}
	k.owns = k.flags != 0 && (tx.create || !tx.remove)
	return nil
}

// writer collects the messages of a transaction; all are the sets of its table.
func (tx transaction) writer(all []set) func(*nft.Conn) error {
	return func(c *nft.Conn) error { return tx.write(c, all) }
}

func (tx transaction) write(c *nft.Conn, all []set) error {
	t := table(tx.table)
	if tx.remove {
		c.DelTable(t)
	}
	if tx.create || tx.own {
		c.AddTable(t)
	}
	if tx.create {
		list := chains(t, tx.mark, tx.high, tx.log)
		for i := range list {
			c.AddChain(&list[i].Chain)
		}
		for i := range all {
			if err := c.AddSet(&all[i].Set, nil); err != nil {
				return fmt.Errorf("set %s: %w", all[i].Name, err)
			}
		}
		for i := range list {
			for _, r := range list[i].rules {
				c.AddRule(&nft.Rule{Table: t, Chain: &list[i].Chain, Exprs: r})
			}
		}
	}
	tx.moveRanges(c, t)
	tx.changeLog(c, t)
	for _, step := range []struct {
		items contents
		send  func(*nft.Set, []nft.SetElement) error
	}{{tx.gone, c.SetDeleteElements}, {tx.fresh, c.SetAddElements}} {
		for i := range all {
			if err := inParts(step.send, &all[i].Set, encode(&all[i], step.items[all[i].Name])); err != nil {
				return err
			}
		}
	}
	if tx.trial {
		c.DelTable(t)
	}
	return nil
}

// inParts sends elements of a set in messages that are not too long.
func inParts(send func(*nft.Set, []nft.SetElement) error, s *nft.Set, all []nft.SetElement) error {
	for part := range slices.Chunk(all, perMessage) {
		if err := send(s, part); err != nil {
			return fmt.Errorf("elements of %s: %w", s.Name, err)
		}
	}
	return nil
}

// encode turns items into elements of a set, sorted, so that the kernel sees
// the two of an interval one after the other.
func encode(s *set, items map[string]item) []nft.SetElement {
	if len(items) == 0 {
		return nil
	}
	all := make([]nft.SetElement, 0, len(items))
	for _, i := range sorted(items) {
		e := nft.SetElement{Key: []byte(i.key), Comment: i.note}
		switch {
		case s.verdict:
			e.VerdictData = &expr.Verdict{Kind: expr.VerdictGoto, Chain: i.data}
		case i.data != "":
			e.Val = []byte(i.data)
		}
		if s.concatenated() {
			e.KeyEnd = []byte(i.end)
		}
		all = append(all, e)
		if s.span() && i.end != "" {
			all = append(all, nft.SetElement{Key: []byte(i.end), IntervalEnd: true})
		}
	}
	return all
}
