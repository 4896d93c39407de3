package nftrace

import (
	"encoding/binary"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// batch is a transaction of nf_tables. It is written here since github.com/google/nftables
// sends no flags of tables, and so none that has an owner; its expressions are used.
type batch struct {
	family   byte
	messages []netlink.Message
}

// hook is where a chain of type filter is asked.
type hook struct {
	chain    string
	number   uint32
	priority int32
}

func (b *batch) begin() { b.bound(unix.NFNL_MSG_BATCH_BEGIN) }
func (b *batch) end()   { b.bound(unix.NFNL_MSG_BATCH_END) }

func (b *batch) bound(kind netlink.HeaderType) {
	b.messages = append(b.messages, netlink.Message{
		Header: netlink.Header{Type: kind, Flags: netlink.Request},
		Data:   binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, unix.NFNL_SUBSYS_NFTABLES),
	})
}

func (b *batch) add(kind netlink.HeaderType, flags netlink.HeaderFlags, attributes ...netlink.Attribute) {
	b.messages = append(b.messages, netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | kind, Flags: netlink.Request | netlink.Create | flags},
		Data:   append([]byte{b.family, unix.NFNETLINK_V0, 0, 0}, encode(attributes...)...),
	})
}

// table makes a table that belongs to the sender, with its chains.
func (b *batch) table(name string, hooks ...hook) {
	b.add(unix.NFT_MSG_NEWTABLE, 0, text(unix.NFTA_TABLE_NAME, name), number(unix.NFTA_TABLE_FLAGS, flagOwner))
	for _, h := range hooks {
		b.chain(name, h)
	}
}

func (b *batch) chain(table string, h hook) {
	b.add(unix.NFT_MSG_NEWCHAIN, 0, text(unix.NFTA_CHAIN_TABLE, table), text(unix.NFTA_CHAIN_NAME, h.chain), text(unix.NFTA_CHAIN_TYPE, "filter"),
		nested(unix.NFTA_CHAIN_HOOK, number(unix.NFTA_HOOK_HOOKNUM, h.number), number(unix.NFTA_HOOK_PRIORITY, uint32(h.priority)))) //nolint:gosec // the kernel's type has a sign
}

func (b *batch) rule(table, chain string, expressions []expr.Any) error {
	var list []netlink.Attribute
	for _, e := range expressions {
		data, err := expr.Marshal(b.family, e)
		if err != nil {
			return err
		}
		list = append(list, netlink.Attribute{Type: unix.NLA_F_NESTED | unix.NFTA_LIST_ELEM, Data: data})
	}
	b.add(unix.NFT_MSG_NEWRULE, netlink.Append, text(unix.NFTA_RULE_TABLE, table), text(unix.NFTA_RULE_CHAIN, chain), nested(unix.NFTA_RULE_EXPRESSIONS, list...))
	return nil
}

func text(kind uint16, value string) netlink.Attribute {
	return netlink.Attribute{Type: kind, Data: append([]byte(value), 0)}
}

func number(kind uint16, value uint32) netlink.Attribute {
	return netlink.Attribute{Type: kind, Data: binary.BigEndian.AppendUint32(nil, value)}
}

func nested(kind uint16, list ...netlink.Attribute) netlink.Attribute {
	return netlink.Attribute{Type: unix.NLA_F_NESTED | kind, Data: encode(list...)}
}

// encode encodes attributes, whose sizes are known to fit.
func encode(list ...netlink.Attribute) []byte {
	raw, err := netlink.MarshalAttributes(list)
	if err != nil {
		panic(err) // an attribute of more than 64 KB
	}
	return raw
}
