package nftables

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// newRule makes a rule.
const newRule = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWRULE

// The flags of masquerading with a choice of ports, of linux/netfilter/nf_nat.h. The
// kernel heeds the bounds only if it is told that there are some.
const (
	natPortsGiven    = 1 << 1 // NF_NAT_RANGE_PROTO_SPECIFIED
	natPortsAtRandom = 1 << 4 // NF_NAT_RANGE_PROTO_RANDOM_FULLY
)

// withMasqueradeFlags adds to the message of a rule what the library leaves out where it
// bounds the ports of masquerading: all flags. Without the one the bounds mean nothing;
// without the other who sends could choose by his own port which one he gets.
func withMasqueradeFlags(rule []byte) ([]byte, error) {
	return withExpressions(rule, "masq", func(list []netlink.Attribute) []netlink.Attribute {
		if len(list) == 0 {
			return list
		}
		return append(list, netlink.Attribute{
			Type: unix.NFTA_MASQ_FLAGS, Data: binary.BigEndian.AppendUint32(nil, natPortsGiven|natPortsAtRandom),
		})
	})
}

// withExpressions changes the attributes of all expressions of one kind in the message of a
// rule.
func withExpressions(rule []byte, name string, change func([]netlink.Attribute) []netlink.Attribute) ([]byte, error) {
	const header = 4 // struct nfgenmsg
	if len(rule) < header {
		return nil, fmt.Errorf("a rule of %d bytes", len(rule))
	}
	attributes, err := eachAttribute(rule[header:], unix.NFTA_RULE_EXPRESSIONS, func(list []byte) ([]byte, error) {
		return eachAttribute(list, unix.NFTA_LIST_ELEM, func(expression []byte) ([]byte, error) {
			return changed(expression, name, change)
		})
	})
	return append(slices.Clone(rule[:header]), attributes...), err
}

// eachAttribute replaces the values of all attributes of one kind.
func eachAttribute(b []byte, kind uint16, by func([]byte) ([]byte, error)) ([]byte, error) {
	list, err := netlink.UnmarshalAttributes(b)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].Type&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER) != kind {
			continue
		}
		if list[i].Data, err = by(list[i].Data); err != nil {
			return nil, err
		}
		list[i].Length = 0 // of what was there; it is counted anew
	}
	return netlink.MarshalAttributes(list)
}

// changed changes one expression of a rule, if it is of that kind.
func changed(expression []byte, name string, change func([]netlink.Attribute) []netlink.Attribute) ([]byte, error) {
	list, err := netlink.UnmarshalAttributes(expression)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(list, func(a netlink.Attribute) bool {
		return a.Type == unix.NFTA_EXPR_NAME && unix.ByteSliceToString(a.Data) == name
	}) {
		return expression, nil
	}
	return eachAttribute(expression, unix.NFTA_EXPR_DATA, func(data []byte) ([]byte, error) {
		list, err := netlink.UnmarshalAttributes(data)
		if err != nil {
			return nil, err
		}
		return netlink.MarshalAttributes(change(list))
	})
}
