package nftables

import (
	"encoding/binary"
	"fmt"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// addCounted is the message that adds elements of a set that begin with a count; the library
// (v0.3.0) reads the counters of elements, and sends none.
func (w *wire) addCounted(s *set, elements []nft.SetElement, counts beginnings) (netlink.Message, error) {
	value := func(b []byte) []byte { return nlAttributes(netlink.Attribute{Type: unix.NFTA_DATA_VALUE, Data: b}) }
	var list []netlink.Attribute
	for _, e := range elements {
		var of []netlink.Attribute
		if e.IntervalEnd {
			of = append(of, netlink.Attribute{Type: unix.NFTA_SET_ELEM_FLAGS, Data: binary.BigEndian.AppendUint32(nil, unix.NFT_SET_ELEM_INTERVAL_END)})
		}
		of = append(of, netlink.Attribute{Type: unix.NFTA_SET_ELEM_KEY | unix.NLA_F_NESTED, Data: value(e.Key)})
		if len(e.KeyEnd) > 0 {
			of = append(of, netlink.Attribute{Type: nft.NFTA_SET_ELEM_KEY_END | unix.NLA_F_NESTED, Data: value(e.KeyEnd)})
		}
		if n := counts[elementAt{s.Name, string(e.Key)}]; n != nil && !e.IntervalEnd {
			counter, err := expr.Marshal(unix.NFPROTO_INET, n)
			if err != nil {
				return netlink.Message{}, fmt.Errorf("add counted elements to set %s: %w", s.Name, err)
			}
			of = append(of, netlink.Attribute{Type: unix.NFTA_SET_ELEM_EXPR | unix.NLA_F_NESTED, Data: counter})
		}
		list = append(list, netlink.Attribute{Type: unix.NFTA_LIST_ELEM | unix.NLA_F_NESTED, Data: nlAttributes(of...)})
	}
	return netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWSETELEM, Flags: netlink.Request | netlink.Create},
		Data: append(w.head(), nlAttributes(
			netlink.Attribute{Type: unix.NFTA_SET_ELEM_LIST_TABLE, Data: []byte(s.Table.Name + "\x00")},
			netlink.Attribute{Type: unix.NFTA_SET_ELEM_LIST_SET, Data: []byte(s.Name + "\x00")},
			netlink.Attribute{Type: unix.NFTA_SET_ELEM_LIST_ELEMENTS | unix.NLA_F_NESTED, Data: nlAttributes(list...)})...),
	}, nil
}
