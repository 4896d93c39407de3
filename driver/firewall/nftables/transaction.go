package nftables

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// transaction is one change of the table.
type transaction struct {
	// remove deletes the table, create makes it, in this order.
	remove, create bool
	// adopt makes the connection the owner of a table that has none.
	adopt bool
	// table is the name; the probe has one of its own.
	table string
	// gone and fresh are the items to delete and to add, in this order.
	gone, fresh contents
	// trial deletes the table at the end.
	trial bool
}

// commit puts a transaction into the kernel, all of it or nothing. A table that
// is there and should be this connection's becomes so by it.
func (k *kernel) commit(tx transaction) error {
	if err := k.open(); err != nil {
		return err
	}
	tx.adopt = !tx.create && !tx.remove && k.flags != 0 && !k.owns
	messages, err := k.compose(tx, k.sets)
	if err != nil {
		return err
	}
	if err := k.send(messages); err != nil {
		return explain(err)
	}
	k.owns = k.flags != 0 && (tx.create || !tx.remove)
	return nil
}

// composer makes the messages of transactions. The library keeps to itself what
// it has made until it sends it, and sends 0 for the flags of every table; the
// dial function is its one way to get at them. To make all of them here would
// repeat its encoding of sets and elements.
type composer struct {
	conn  *nft.Conn
	batch []netlink.Message
}

func newComposer() (*composer, error) {
	c := &composer{}
	done := []netlink.Message{{Header: netlink.Header{Type: netlink.Error}, Data: make([]byte, 4)}}
	var err error
	c.conn, err = nft.New(nft.AsLasting(), nft.WithTestDial(func(sent []netlink.Message) ([]netlink.Message, error) {
		c.batch = append(c.batch, sent...)
		return done, nil
	}))
	return c, err
}

// compose makes a transaction's messages; all are the sets of its table.
func (k *kernel) compose(tx transaction, all []set) ([]netlink.Message, error) {
	if k.composer == nil {
		var err error
		if k.composer, err = newComposer(); err != nil {
			return nil, err
		}
	}
	c := k.composer
	err := tx.write(c.conn, all)
	if err == nil {
		err = c.conn.Flush()
	}
	if err != nil {
		k.composer = nil // what is in it belongs to nothing
		return nil, fmt.Errorf("make the messages of a transaction: %w", err)
	}
	batch := c.batch
	c.batch = nil
	for i := range batch {
		h := &batch[i].Header
		h.Sequence, h.PID = 0, 0 // those of the connection that sends it
		h.Flags &^= netlink.Acknowledge
		if h.Type == newTable {
			batch[i].Data = k.tableMessage(tx.table)
		}
	}
	return batch, nil
}

// newTable makes a table, or makes the sender its owner.
const newTable = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWTABLE

// tableMessage is what newTable says: struct nfgenmsg, name and flags.
func (k *kernel) tableMessage(name string) []byte {
	return append([]byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}, nlAttributes(
		netlink.Attribute{Type: unix.NFTA_TABLE_NAME, Data: []byte(name + "\x00")},
		netlink.Attribute{Type: unix.NFTA_TABLE_FLAGS, Data: binary.BigEndian.AppendUint32(nil, k.flags)})...)
}

// nlAttributes encodes attributes, whose sizes are known to fit.
func nlAttributes(list ...netlink.Attribute) []byte {
	b, err := netlink.MarshalAttributes(list)
	if err != nil {
		panic(err) // a name of more than 64 KB
	}
	return b
}

// send hands a batch to the kernel in one piece, and returns what the kernel
// refused first. It asks for no acknowledgements, but for the generation behind
// the batch: the kernel answers in order, so nothing of the batch comes after
// that, and the connection goes on being good, whatever was refused.
func (k *kernel) send(batch []netlink.Message) error {
	if _, err := k.link.SendMessages(batch); err != nil {
		return err
	}
	end, err := k.link.Send(askGeneration())
	var refused error
	for err == nil {
		var answers []netlink.Message
		answers, err = k.link.Receive()
		if err != nil && !fromSocket(err) {
			if refused == nil {
				refused = err
			}
			err = nil
		}
		if slices.ContainsFunc(answers, func(m netlink.Message) bool { return m.Header.Sequence == end.Header.Sequence }) {
			return refused
		}
	}
	k.close()
	return fmt.Errorf("hear how a transaction ended: %w", err)
}

// fromSocket tells an error of the connection from one that the kernel sent in
// a message.
func fromSocket(err error) bool {
	var call *os.SyscallError
	var op *netlink.OpError
	return errors.As(err, &call) || !errors.As(err, &op)
}

// write collects the messages of a transaction; all are the sets of its table.
func (tx transaction) write(c *nft.Conn, all []set) error {
	t := table(tx.table)
	if tx.remove {
		c.DelTable(t)
	}
	if tx.create || tx.adopt {
		c.AddTable(t)
	}
	if tx.create {
		list := chains(t)
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
	for _, step := range []struct {
		items contents
		send  func(*nft.Set, []nft.SetElement) error
	}{{tx.gone, c.SetDeleteElements}, {tx.fresh, c.SetAddElements}} {
		for i := range all {
			for part := range slices.Chunk(encode(all[i], step.items[all[i].Name]), perMessage) {
				if err := step.send(&all[i].Set, part); err != nil {
					return fmt.Errorf("elements of %s: %w", all[i].Name, err)
				}
			}
		}
	}
	if tx.trial {
		c.DelTable(t)
	}
	return nil
}

// encode turns items into elements of a set, sorted, so that the kernel sees
// the two of an interval one after the other.
func encode(s set, items map[string]item) []nft.SetElement {
	if len(items) == 0 {
		return nil
	}
	all := make([]nft.SetElement, 0, len(items))
	for _, i := range sorted(items) {
		e := nft.SetElement{Key: []byte(i.key), Comment: i.note}
		switch {
		case s.DataType.Name == nft.TypeVerdict.Name:
			e.VerdictData = &expr.Verdict{Kind: expr.VerdictGoto, Chain: i.data}
		case i.data != "":
			e.Val = []byte(i.data)
		}
		if s.kind == concatSpan {
			e.KeyEnd = []byte(i.end)
		}
		all = append(all, e)
		if s.kind == span && i.end != "" {
			all = append(all, nft.SetElement{Key: []byte(i.end), IntervalEnd: true})
		}
	}
	return all
}
