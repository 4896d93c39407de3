package nftables

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"

	nft "github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// sendBuffer bounds a transaction, in bytes. The kernel takes it in one
	// piece; all ports of all protocols, shifted, need a third of it.
	sendBuffer = 64 << 20
	// receiveBuffer takes the answers to a transaction, one for each message
	// that is refused.
	receiveBuffer = 8 << 20
)

// wire is a connection that writes to nf_tables, owns tables, and asks what the
// library has no call for, in the namespace of the thread that uses it first. It
// is kept open: closing one makes the kernel wait until what was deleted is
// freed, for milliseconds, and ends its ownership of tables.
type wire struct {
	// family is that of its tables; inet, if it is 0.
	family   byte
	link     *netlink.Conn
	composer *composer
	// ended is the generation behind the last transaction.
	ended uint32
}

// head is struct nfgenmsg, with which every message about tables begins.
func (w *wire) head() []byte {
	family := byte(unix.NFPROTO_INET)
	if w.family != 0 {
		family = w.family
	}
	return []byte{family, unix.NFNETLINK_V0, 0, 0}
}

// open connects, if it is not yet done; fresh says that it was not, so that the
// connection owns nothing. A kernel without nf_tables is an error: it refuses the question
// for the generation as well, by which send knows the end of a transaction.
func (w *wire) open() (fresh bool, err error) {
	if w.link != nil {
		return false, nil
	}
	link, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return false, fmt.Errorf("connect to nf_tables: %w", err)
	}
	if err = errors.Join(
		link.SetWriteBuffer(sendBuffer), link.SetReadBuffer(receiveBuffer),
		// A refusal need not bring back the whole transaction.
		link.SetOption(netlink.CapAcknowledge, true)); err != nil {
		return false, errors.Join(fmt.Errorf("connect to nf_tables: %w", err), link.Close())
	}
	w.link = link
	if _, err = w.generation(); err != nil {
		return false, err
	}
	return true, nil
}

// close ends the connection: afterwards it owns no table.
func (w *wire) close() {
	if w.link != nil {
		_ = w.link.Close()
	}
	w.link = nil
}

// generation returns the number that every change of nf_tables in the
// namespace increases by one. An error ends the connection.
func (w *wire) generation() (uint32, error) {
	answer, err := w.link.Execute(askGeneration())
	if err == nil {
		for _, m := range answer {
			if id, ok := generationOf(m.Data); ok {
				return id, nil
			}
		}
		err = errors.New("no number in the answer")
	}
	w.close()
	return 0, fmt.Errorf("ask nf_tables for its generation: %w", err)
}

func askGeneration() netlink.Message {
	return netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN, Flags: netlink.Request},
		Data:   make([]byte, 4),
	}
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

// commit puts what write collects into the kernel as one transaction, all of it
// or nothing. Tables that it makes, or makes the connection own, are the one of
// that name and get the flags. more comes at its end.
func (w *wire) commit(name string, flags uint32, write func(*nft.Conn) error, more ...netlink.Message) error {
	batch, err := w.compose(name, flags, write)
	if err != nil {
		return err
	}
	end := len(batch) - 1
	return w.send(slices.Concat(batch[:end], more, batch[end:]))
}

// composer makes the messages of transactions. The library (v0.3.0) keeps to itself
// what it has made until it sends it; the dial function, which is meant for tests, is its
// one way to get at that. Three things keep its own connection from serving:
//   - it sends 0 for the flags of every table, so that none has an owner;
//   - it sends no flags with the bounds of ports of masquerading, see
//     withMasqueradeFlags, and a direction of tracked flows in four bytes, see
//     withDirections;
//   - it asks for an answer to each message, and reads them one by one.
//
// AsLasting keeps its connection open and WithSockOptions shows it, before anything is
// sent; neither changes messages. To make all of them here would repeat its encoding of
// sets, elements and expressions. If it sent Table.Flags and the flags of expr.Masq with
// ToPorts, and handed over its messages, or took a netlink.Conn to send them by, the
// dial function could go.
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

// compose makes a transaction's messages.
func (w *wire) compose(name string, flags uint32, write func(*nft.Conn) error) ([]netlink.Message, error) {
	if w.composer == nil {
		var err error
		if w.composer, err = newComposer(); err != nil {
			return nil, err
		}
	}
	c := w.composer
	err := write(c.conn)
	if err == nil {
		err = c.conn.Flush()
	}
	if err != nil {
		w.composer = nil // what is in it belongs to nothing
		return nil, fmt.Errorf("make the messages of a transaction: %w", err)
	}
	batch := c.batch
	c.batch = nil
	for i := range batch {
		h := &batch[i].Header
		h.Sequence, h.PID = 0, 0 // those of the connection that sends it
		h.Flags &^= netlink.Acknowledge
		switch h.Type {
		case newTable:
			batch[i].Data = w.tableMessage(name, flags)
		case newSet:
			if batch[i].Data, err = withDataIntervals(batch[i].Data); err != nil {
				return nil, fmt.Errorf("make the message of a set: %w", err)
			}
		case newRule:
			for _, correct := range []func([]byte) ([]byte, error){withMasqueradeFlags, withDirections} {
				if batch[i].Data, err = correct(batch[i].Data); err != nil {
					return nil, fmt.Errorf("make the message of a rule: %w", err)
				}
			}
		}
		h.Length = 0 // of what the library made; it is counted anew
	}
	return batch, nil
}

// newTable makes a table, or makes the sender its owner.
const newTable = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWTABLE

// tableMessage is what newTable says: name and flags.
func (w *wire) tableMessage(name string, flags uint32) []byte {
	return append(w.head(), nlAttributes(
		netlink.Attribute{Type: unix.NFTA_TABLE_NAME, Data: []byte(name + "\x00")},
		netlink.Attribute{Type: unix.NFTA_TABLE_FLAGS, Data: binary.BigEndian.AppendUint32(nil, flags)})...)
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
func (w *wire) send(batch []netlink.Message) error {
	if _, err := w.link.SendMessages(batch); err != nil {
		return err
	}
	end, err := w.link.Send(askGeneration())
	var refused error
	for err == nil {
		var answers []netlink.Message
		answers, err = w.link.Receive()
		if err != nil && !fromSocket(err) {
			if refused == nil {
				refused = err
			}
			err = nil
		}
		for _, m := range answers {
			if m.Header.Sequence == end.Header.Sequence {
				w.ended, _ = generationOf(m.Data)
				return refused
			}
		}
	}
	w.close()
	return fmt.Errorf("hear how a transaction ended: %w", err)
}

// fromSocket tells an error of the connection from one that the kernel sent in
// a message.
func fromSocket(err error) bool {
	var call *os.SyscallError
	var op *netlink.OpError
	return errors.As(err, &call) || !errors.As(err, &op)
}
