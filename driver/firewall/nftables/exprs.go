package nftables

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// The pieces that rules are made of, each as nft itself writes it, so that
// "nft list" shows them in its own words. They work on register 1 unless they
// say another one. Registers 1 to 4 hold 16 bytes each, and the numbers from 8
// on are the words of the same memory.

// Bits of enum ip_conntrack_status: IPS_SEEN_REPLY, packets have gone both ways, as with
// state established; and IPS_DST_NAT, the flow was translated by its destination.
const (
	ctSeenReply = 1 << 1
	ctDestNAT   = 1 << 5
)

var loopbackIPv6 = append(make([]byte, 15), 1)

// rule joins pieces; jumps and verdicts come last.
func rule(parts ...[]expr.Any) []expr.Any { return slices.Concat(parts...) }

// word is a number as the kernel keeps it in a register.
func word(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

func meta(key expr.MetaKey, register uint32) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: register}}
}

func is(data ...byte) []expr.Any {
	return []expr.Any{&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data}}
}

func masked(mask, xor uint32) expr.Any {
	return &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: word(mask), Xor: word(xor)}
}

// ifGroup matches bridges of gangway by their interface group, which package
// link gives them.
func ifGroup(key expr.MetaKey) []expr.Any {
	return rule(meta(key, 1), is(word(spec.LinkGroup)...))
}

// not compares with the start of what is in the register, or with all of a name.
func not(start string) []expr.Any {
	return []expr.Any{&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte(start)}}
}

// metaIIFKind and metaOIFKind load the kind of link, of linux/netfilter/nf_tables.h
// (Linux 5.0); the library has no names for them.
const (
	metaIIFKind expr.MetaKey = 26
	metaOIFKind expr.MetaKey = 27
)

// strayIn and strayOut match bridges of gangway by their names, as who has come to
// another interface group has no other mark of gangway's. Only a bridge's name is
// looked up, so that other packets of others pass with one comparison.
func strayIn() []expr.Any  { return bridge(metaIIFKind, iifname) }
func strayOut() []expr.Any { return bridge(metaOIFKind, oifname) }

func bridge(kind expr.MetaKey, name field) []expr.Any {
	return rule(meta(kind, 1), is([]byte(ifname("bridge"))...), inet().in(bridgesSet, name))
}

func family4() []expr.Any { return rule(meta(expr.MetaKeyNFPROTO, 1), is(unix.NFPROTO_IPV4)) }
func family6() []expr.Any { return rule(meta(expr.MetaKeyNFPROTO, 1), is(unix.NFPROTO_IPV6)) }

func payloadAt(base expr.PayloadBase, offset, size, register uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: register, Base: base, Offset: offset, Len: size}}
}

func network(offset, size uint32) []expr.Any {
	return payloadAt(expr.PayloadBaseNetworkHeader, offset, size, 1)
}

// register is the number of a word, counted from 8, that the kernel lists.
func register(word uint32) uint32 {
	if word%4 == 0 {
		return word/4 - 1
	}
	return word
}

func saddr6() []expr.Any { return network(8, 16) }

func daddr6(a []byte) []expr.Any { return rule(network(24, 16), is(a...)) }

// linkLocal6 matches what comes from fe80::/10, linkLocal6At what has such an address at an
// offset of the header.
func linkLocal6() []expr.Any { return linkLocal6At(8) }

func linkLocal6At(offset uint32) []expr.Any {
	return inSubnet(offset, netip.MustParsePrefix("fe80::/10"))
}

// inSubnet and notInSubnet match by the address at an offset of the header, which is of the subnet's
// family.
func inSubnet(offset uint32, s netip.Prefix) []expr.Any { return toSubnet(offset, s, expr.CmpOpEq) }

func notInSubnet(offset uint32, s netip.Prefix) []expr.Any {
	return toSubnet(offset, s, expr.CmpOpNeq)
}

func toSubnet(offset uint32, s netip.Prefix, op expr.CmpOp) []expr.Any {
	prefix := s.Masked().Addr().AsSlice()
	size := uint32(len(prefix)) //nolint:gosec // 4 or 16
	return rule(network(offset, size), []expr.Any{
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: size, Mask: net.CIDRMask(s.Bits(), s.Addr().BitLen()), Xor: make([]byte, size)},
		&expr.Cmp{Op: op, Register: 1, Data: prefix},
	})
}

// loopback4 matches 127.0.0.0/8 as the address at an offset of the header: 12
// is the source, 16 the destination. A prefix of whole bytes is loaded as such.
func loopback4(offset uint32) []expr.Any { return rule(network(offset, 1), is(127)) }

// local matches destinations that are addresses of the host.
func local() []expr.Any {
	return rule([]expr.Any{&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true}}, is(word(unix.RTN_LOCAL)...))
}

// reversePath matches packets whose source the host would answer by the link that
// they came by.
func reversePath() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: 1, FlagSADDR: true, FlagIIF: true, ResultOIF: true},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: word(0)},
	}
}

// ctReply matches packets that go the way of a flow's answers.
func ctReply() []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeyDIRECTION, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{1}}, // IP_CT_DIR_REPLY
	}
}

// ctKnown matches packets of tracked flows, and errors about them.
func ctKnown() []expr.Any {
	return ctBits(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
}

// ctBits matches flows that have one of the bits.
func ctBits(key expr.CtKey, bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: key, Register: 1}, masked(bits, 0),
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: word(0)},
	}
}

// snat takes the address in register 1, and a port of a range unless it is none.
func snat(family uint32, to spec.Span) []expr.Any {
	n := &expr.NAT{Type: expr.NATTypeSourceNAT, Family: family, RegAddrMin: 1, RegAddrMax: 1}
	if to == (spec.Span{}) {
		return []expr.Any{n}
	}
	n.RegProtoMin, n.RegProtoMax, n.Specified, n.FullyRandom = 2, 3, true, true
	return append(loadSpan(to, 2), n)
}

// masquerade takes the address of the link that a packet leaves by, and a port of a range
// unless it is none.
func masquerade(to spec.Span) []expr.Any {
	if to == (spec.Span{}) {
		return []expr.Any{&expr.Masq{}}
	}
	return append(loadSpan(to, 1), &expr.Masq{ToPorts: true, RegProtoMin: 1, RegProtoMax: 2}) // with withMasqueradeFlags
}

func verdict(kind expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: kind}} }

// jump leads to a chain for good.
func jump(to string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: to}}
}

// call leads to a chain and back.
func call(to string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: to}}
}

// markAs sets gangway's bits of the mark.
func markAs(m firewall.Mark, bits uint32) []expr.Any {
	return rule(meta(expr.MetaKeyMARK, 1), []expr.Any{
		masked(^m.Mask(), bits),
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1},
	})
}

// markIs compares gangway's bits of the mark.
func markIs(m firewall.Mark, op expr.CmpOp, bits uint32) []expr.Any {
	return rule(meta(expr.MetaKeyMARK, 1), []expr.Any{
		masked(m.Mask(), 0),
		&expr.Cmp{Op: op, Register: 1, Data: word(bits)},
	})
}

// permitted ends the way of packets that gangway has accepted, and clears its bits of the
// mark, which it loads once for both.
func permitted(m firewall.Mark) []expr.Any {
	return rule(meta(expr.MetaKeyMARK, 1), []expr.Any{
		&expr.Bitwise{SourceRegister: 1, DestRegister: 2, Len: 4, Mask: word(m.Mask()), Xor: word(0)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 2, Data: word(m.Accept)},
		masked(^m.Mask(), 0),
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1},
	}, verdict(expr.VerdictAccept))
}

// markHas compares some of gangway's bits of the mark with 0.
func markHas(op expr.CmpOp, bits uint32) []expr.Any {
	return rule(meta(expr.MetaKeyMARK, 1), []expr.Any{
		masked(bits, 0),
		&expr.Cmp{Op: op, Register: 1, Data: word(0)},
	})
}
