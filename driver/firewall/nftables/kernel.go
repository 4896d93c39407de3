package nftables

import (
	"errors"
	"fmt"

	nft "github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/firewall"
)

// perMessage is how many elements one message takes at most: the kernel counts
// the bytes of their list in 16 bits, and the largest element has some 200.
const perMessage = 256

// kernel is a connection to the table, in the namespace of the thread that uses
// it first.
type kernel struct {
	// mark is what the rules use.
	mark firewall.Mark
	// wire writes, and owns the table.
	wire wire
	// conn reads, through the library.
	conn *nft.Conn
	// sets are the definitions, made once.
	sets []set
	// flags are those of the table, as the probe found; see owner.go.
	flags uint32
	// owns says that wire owns the table.
	owns bool
}

// open connects, if it is not yet done.
func (k *kernel) open() error {
	fresh, err := k.wire.open()
	if err != nil {
		return err
	}
	if fresh {
		k.sets, k.owns = sets(table(tableName)), false
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
	k.wire.close()
	k.owns = false
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
	return k.wire.generation()
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
