package nftables

import (
	"encoding/binary"
	"errors"
	"fmt"

	nft "github.com/google/nftables"
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
	// receiveBuffer takes the answers to a transaction, one for each message
	// that is refused.
	receiveBuffer = 8 << 20
)

// kernel is a connection to nf_tables in the namespace of the thread that uses
// it first. It is kept open: closing one makes the kernel wait until what was
// deleted is freed, for milliseconds, and ends its ownership of the table.
type kernel struct {
	// conn reads, through the library.
	conn *nft.Conn
	// link writes, owns the table, and asks what the library has no call for.
	link     *netlink.Conn
	composer *composer
	// sets are the definitions, made once.
	sets []set
	// flags are those of the table, as the probe found; see owner.go.
	flags uint32
	// owns says that link owns the table.
	owns bool
}

// open connects, if it is not yet done.
func (k *kernel) open() error {
	if k.link == nil {
		link, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
		if err != nil {
			return fmt.Errorf("connect to nf_tables: %w", err)
		}
		if err = errors.Join(
			link.SetWriteBuffer(sendBuffer), link.SetReadBuffer(receiveBuffer),
			// A refusal need not bring back the whole transaction.
			link.SetOption(netlink.CapAcknowledge, true)); err != nil {
			return errors.Join(fmt.Errorf("connect to nf_tables: %w", err), link.Close())
		}
		k.link, k.sets, k.owns = link, sets(table(tableName)), false
	}
	if k.conn == nil {
		conn, err := nft.New(nft.AsLasting())
		if err != nil {
			return fmt.Errorf("connect to nf_tables: %w", err)
		}
		k.conn = conn
	}
	return nil
}

// close ends the connection: afterwards nobody owns the table.
func (k *kernel) close() {
	k.stopReading()
	if k.link != nil {
		_ = k.link.Close()
	}
	k.link, k.owns = nil, false
}

// stopReading ends what reads. After an error there may be answers in it that
// belong to nothing any more.
func (k *kernel) stopReading() {
	if k.conn != nil {
		_ = k.conn.CloseLasting()
	}
	k.conn = nil
}

// generation returns the number that every change of nf_tables in the
// namespace increases by one.
func (k *kernel) generation() (uint32, error) {
	if err := k.open(); err != nil {
		return 0, err
	}
	answer, err := k.link.Execute(askGeneration())
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

// usesIPTables says whether iptables in its nf_tables variant has a FORWARD
// chain in a family.
func (k *kernel) usesIPTables(family nft.TableFamily) bool {
	if k.open() != nil {
		return false
	}
	_, err := k.conn.ListChain(&nft.Table{Name: "filter", Family: family}, "FORWARD")
	return err == nil
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
