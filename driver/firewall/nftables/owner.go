package nftables

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The flags of tables that package unix lacks, from linux/netfilter/nf_tables.h.
const (
	// flagOwner makes a table the connection's that made it (Linux 5.12): a
	// flush of all rules by others leaves it out, and every other change of it
	// by others fails with EPERM.
	flagOwner = 0x2
	// flagPersist keeps a table whose owner is gone, as an orphan (Linux 6.9).
	// A connection may own it by making it once more, with the same flags;
	// until then anybody may change it and delete it.
	flagPersist = 0x4
	// attrOwner is the owner's netlink port.
	attrOwner = 0x7
)

// releaseTime is how long claim waits for another owner to let go: a process that
// was killed closes its connections last, and one that starts a command shares
// them with it for a moment.
const releaseTime = time.Second

// probe puts a table with everything in it into the kernel and removes it in
// the same transaction, so that nobody ever sees it. It decides whether tables
// have an owner: where the kernel can keep them without one as well, and shared
// does not say otherwise. A table that went with its owner would leave networks
// open whenever the daemon ends; that of an older kernel belongs to all.
func (k *kernel) probe(shared bool) error {
	switch err := tryFlags(shared, k.try); {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("try nf_tables: %w", explain(err))
	default:
		return fmt.Errorf("try nf_tables: %w: %w", ErrUnsupported, err)
	}
}

// tryFlags tries the flags of tables that have an owner, unless they are to be shared, and
// then none, where the kernel does not know them.
func tryFlags(shared bool, try func(flags uint32) error) error {
	if !shared {
		if err := try(flagOwner | flagPersist); !errors.Is(err, errNoOwner) {
			return err
		}
	}
	return try(0)
}

// errNoOwner says that the kernel may not know the flags of a table.
var errNoOwner = errors.New("no such flags of tables")

// try gives tables these flags, and finds out whether the kernel takes one. To
// flags that it does not know it says EOPNOTSUPP, or EINVAL if it is old.
func (k *kernel) try(flags uint32) error {
	k.flags = flags
	if err := k.open(); err != nil {
		return err
	}
	const name = tableName + "-probe"
	tx := transaction{table: name, ofTable: ofTable{create: true, trial: true}, fresh: sample(), mark: k.mark}
	err := k.wire.commit(name, flags, tx.writer(sets(table(name))))
	if flags != 0 && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL)) {
		return fmt.Errorf("%w: %w", errNoOwner, err)
	}
	return err
}

// state is what the kernel says about a table.
type state struct {
	exists bool
	flags  uint32
	// owner is the netlink port of the connection that owns it, mine whether
	// that is the one that asked.
	owner uint32
	mine  bool
}

// others says whether another connection owns the table.
func (s state) others() bool { return s.flags&flagOwner != 0 && !s.mine }

// look asks for the state of the table of that name.
func (w *wire) look(name string) (state, error) {
	answers, err := w.link.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETTABLE, Flags: netlink.Request},
		Data: append(w.head(),
			nlAttributes(netlink.Attribute{Type: unix.NFTA_TABLE_NAME, Data: []byte(name + "\x00")})...),
	})
	switch {
	case errors.Is(err, unix.ENOENT):
		return state{}, nil
	case err != nil:
		w.close()
		return state{}, err
	case len(answers) != 1 || len(answers[0].Data) < 4:
		return state{}, fmt.Errorf("%d answers about one table", len(answers))
	}
	s := state{exists: true}
	ad, err := netlink.NewAttributeDecoder(answers[0].Data[4:])
	if err != nil {
		return state{}, err
	}
	ad.ByteOrder = binary.BigEndian
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_TABLE_FLAGS:
			s.flags = ad.Uint32()
		case attrOwner:
			s.owner = ad.Uint32()
		}
	}
	s.mine = s.flags&flagOwner != 0 && s.owner == answers[0].Header.PID // an answer goes to who asked
	return s, ad.Err()
}

// errOwned says that somebody else owns the table.
var errOwned = errors.New("another process owns it")

// claim returns the state of a table as soon as no other connection owns it.
func (w *wire) claim(ctx context.Context, name string) (state, error) {
	patience, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	for {
		s, err := w.look(name)
		if err != nil || !s.others() {
			return s, err
		}
		select {
		case <-patience.Done():
			if err := ctx.Err(); err != nil {
				return state{}, err
			}
			return s, fmt.Errorf("%w and nobody else can change it: end the process that `ss -f netlink -p` shows with the port %d", errOwned, s.owner)
		case <-time.After(releaseTime / 50):
		}
	}
}

// judge says what is to be done about the flags of a table that is there.
func (k *kernel) judge(s state, l *listing) {
	switch {
	case s.mine && s.flags == k.flags, s.flags == 0 && k.flags == 0:
	case s.flags == flagPersist && k.flags != 0:
		l.orphan = true
	case s.flags == 0:
		l.plain = true
	default:
		l.fault("table inet %s was dormant or somebody else's", tableName)
	}
}

// safe says whether what this process left in the kernel is safe from others
// as far as it can be.
func (k *kernel) safe(c contents) bool { return k.owns || k.flags == 0 || c.len() == 0 }
