package nftables

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// perMessage is how many elements one message takes at most: the kernel
	// counts the bytes of their list in 16 bits, and the largest element has
	// some 200.
	perMessage = 256
	// sendBuffer bounds a transaction, in bytes. The kernel takes it in one
	// piece; all ports of all protocols, shifted, need a third of it.
	sendBuffer = 64 << 20
	// receiveBuffer takes the answers to a transaction, one for each message.
	receiveBuffer = 8 << 20
)

// kernel is a connection to nf_tables in the namespace of the thread that uses
// it first. It is kept open: closing one makes the kernel wait until what was
// deleted is freed, for milliseconds.
type kernel struct {
	conn *nft.Conn
	// link asks what the library has no call for.
	link *netlink.Conn
	// sets are the definitions, made once.
	sets []set
}

// open connects, if it is not yet done.
func (k *kernel) open() error {
	if k.conn != nil {
		return nil
	}
	conn, err := nft.New(nft.AsLasting(), nft.WithSockOptions(func(c *netlink.Conn) error {
		return errors.Join(
			c.SetWriteBuffer(sendBuffer), c.SetReadBuffer(receiveBuffer),
			// A refusal need not bring back the whole transaction.
			c.SetOption(netlink.CapAcknowledge, true))
	}))
	if err != nil {
		return fmt.Errorf("connect to nf_tables: %w", err)
	}
	link, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return errors.Join(fmt.Errorf("connect to nf_tables: %w", err), conn.CloseLasting())
	}
	k.conn, k.link, k.sets = conn, link, sets(table(tableName))
	return nil
}

// close ends the connection. After an error there may be answers in it that
// belong to nothing any more.
func (k *kernel) close() {
	if k.conn == nil {
		return
	}
	_ = k.conn.CloseLasting()
	_ = k.link.Close()
	*k = kernel{}
}

// generation returns the number that every change of nf_tables in the
// namespace increases by one.
func (k *kernel) generation() (uint32, error) {
	if err := k.open(); err != nil {
		return 0, err
	}
	answer, err := k.link.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN, Flags: netlink.Request},
		Data:   make([]byte, 4),
	})
	if err == nil {
		for _, m := range answer {
			if id, ok := generationOf(m.Data); ok {
				return id, nil
			}
		}
		err = errors.New("no number in the answer")
	}
	k.close()
	return 0, fmt.Errorf("ask nf_tables for its generation: %w", err)
}

// generationOf reads the number from a message's attributes.
func generationOf(data []byte) (uint32, bool) {
	if len(data) < 4 {
		return 0, false
	}
	ad, err := netlink.NewAttributeDecoder(data[4:])
	if err != nil {
		return 0, false
	}
	ad.ByteOrder = binary.BigEndian
	for ad.Next() {
		if ad.Type() == unix.NFTA_GEN_ID {
			id := ad.Uint32()
			return id, ad.Err() == nil
		}
	}
	return 0, false
}

// usesIPTables says whether iptables in its nf_tables variant has a FORWARD
// chain in a family.
func (k *kernel) usesIPTables(family nft.TableFamily) bool {
	if k.open() != nil {
		return false
	}
	_, err := k.conn.ListChain(&nft.Table{Name: "filter", Family: family}, "FORWARD")
	return err == nil
}

// transaction is one change of the table.
type transaction struct {
	// remove deletes the table, create makes it, in this order.
	remove, create bool
	// table is the name; the probe has one of its own.
	table string
	// gone and fresh are the items to delete and to add, in this order.
	gone, fresh contents
}

// commit puts a transaction into the kernel, all of it or nothing.
func (k *kernel) commit(tx transaction) error {
	if err := k.open(); err != nil {
		return err
	}
	if err := tx.write(k.conn, k.sets); err != nil {
		k.close()
		return err
	}
	if err := k.conn.Flush(); err != nil {
		k.close()
		return explain(err)
	}
	return nil
}

// write collects the messages of a transaction; all are the sets of its table.
func (tx transaction) write(c *nft.Conn, all []set) error {
	t := table(tx.table)
	if tx.remove {
		c.DelTable(t)
	}
	if tx.create {
		c.AddTable(t)
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

// explain adds the next step to what the kernel said.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: gangway needs root or CAP_NET_ADMIN", err)
	case errors.Is(err, unix.EMSGSIZE):
		return fmt.Errorf("%w: the change is larger than the socket's send buffer, which takes CAP_NET_ADMIN in the host's user namespace to raise", err)
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return err
}

// ErrUnsupported says that the kernel cannot do what the package needs.
var ErrUnsupported = errors.New("the kernel lacks what gangway needs of nf_tables " +
	"(5.6 or newer, with NAT and fib in inet tables): load the modules nf_tables, nft_chain_nat and nft_fib_inet, or set GANGWAY_FIREWALL=iptables")

// probe puts a table with everything in it into the kernel and removes it in
// the same transaction, so that nobody ever sees it.
func (k *kernel) probe() error {
	err := k.open()
	if err == nil {
		tx := transaction{table: tableName + "-probe", create: true, fresh: compile(sample())}
		if err = tx.write(k.conn, sets(table(tx.table))); err == nil {
			k.conn.DelTable(table(tx.table))
			err = k.conn.Flush()
		}
	}
	if err == nil {
		return nil
	}
	k.close()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("try nf_tables: %w", explain(err))
	}
	return fmt.Errorf("try nf_tables: %w: %w", ErrUnsupported, err)
}
