package nftables

import (
	"encoding/binary"
	"io"

	nft "github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The library (v0.3.0) takes the direction of a tracked flow for a number of four bytes. To
// the kernel it is one byte: it warns of the longer one, and what it lists the library cannot
// read.

// withDirections makes directions short in the message of a rule.
func withDirections(rule []byte) ([]byte, error) {
	return withExpressions(rule, "ct", func(list []netlink.Attribute) []netlink.Attribute {
		for i, a := range list {
			if a.Type == unix.NFTA_CT_DIRECTION && len(a.Data) == 4 {
				list[i].Data, list[i].Length = a.Data[3:], 0
			}
		}
		return list
	})
}

// withLongDirections makes them as the library reads them.
func withLongDirections(rule []byte) ([]byte, error) {
	return withExpressions(rule, "ct", func(list []netlink.Attribute) []netlink.Attribute {
		for i, a := range list {
			if a.Type == unix.NFTA_CT_DIRECTION && len(a.Data) == 1 {
				list[i].Data, list[i].Length = binary.BigEndian.AppendUint32(nil, uint32(a.Data[0])), 0
			}
		}
		return list
	})
}

// rulesOf returns the rules of a chain, which may ask for directions.
func (w *wire) rulesOf(c *nft.Chain) ([]*nft.Rule, error) {
	conn, err := nft.New(nft.WithTestDial(func(asked []netlink.Message) (all []netlink.Message, err error) {
		for _, m := range asked {
			m.Header.Sequence, m.Header.PID = 0, 0 // those of this connection
			answers, err := w.link.Execute(m)
			if err != nil {
				return nil, err
			}
			for _, a := range answers {
				a.Header.Flags &^= netlink.Multi
				if a.Data, err = withLongDirections(a.Data); err != nil {
					return nil, err
				}
				all = append(all, a)
			}
		}
		if len(all) == 0 {
			return nil, io.EOF // as of none
		}
		return all, nil
	}))
	if err != nil {
		return nil, err
	}
	return conn.GetRules(c.Table, c)
}
