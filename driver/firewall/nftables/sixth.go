package nftables

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	nft "github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// SixthByteIgnored says whether the kernel takes an IPv6 address for another one that differs
// in its sixth byte alone, where it looks addresses up together with something else. Kernels
// with nft_set_pipapo do so from 5.7 on, on processors with AVX2, up to "nft_set_pipapo: fix
// incorrect avx2 match of 5th field octet" (6.15, and stable kernels since April 2025).
//
// It is tried, as distributions take such corrections over: a table of this process looks two
// addresses up, for a datagram that goes to a socket of its own on loopback, and is removed. What
// the kernel tells of a set does not go by that way, so no list of elements would show it.
func SixthByteIgnored(ctx context.Context) (ignored bool, err error) {
	own, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp4", "127.0.0.1:0")
	if err != nil {
		return false, fmt.Errorf("try look-ups of IPv6 addresses: %w", err)
	}
	defer func() { _ = own.Close() }()
	c, err := nft.New()
	if err != nil {
		return false, fmt.Errorf("try look-ups of IPv6 addresses: %w", err)
	}
	to := own.LocalAddr().(*net.UDPAddr).AddrPort()
	found, err := lookUp(c, to, func() error {
		_, failed := own.WriteTo([]byte{0}, net.UDPAddrFromAddrPort(to))
		return failed
	})
	if err != nil {
		return false, fmt.Errorf("try look-ups of IPv6 addresses: %w", err)
	}
	return found, nil
}

// lookUp looks up another address than that of a set when a datagram goes to a port.
func lookUp(c *nft.Conn, to netip.AddrPort, send func() error) (found bool, err error) {
	const name = tableName + "-lookup-probe"
	in := table(name)
	chain := c.AddChain(&nft.Chain{Name: "output", Table: c.AddTable(in), Type: nft.ChainTypeFilter, Hooknum: nft.ChainHookOutput, Priority: nft.ChainPriorityFilter})
	is, other := netip.MustParseAddr("2001:db8:1ff::1"), netip.MustParseAddr("2001:db8:100::1")
	set := &nft.Set{
		Table: in, Name: "addresses", Interval: true, Concatenation: true,
		KeyType: nft.MustConcatSetType(nft.TypeIP6Addr, nft.TypeInetProto, nft.TypeInetService),
	}
	key := lookUpKey(is, to.Port())
	if err = c.AddSet(set, []nft.SetElement{{Key: key, KeyEnd: key}}); err != nil {
		return false, err
	}
	for _, of := range []netip.Addr{is, other} {
		c.AddRule(&nft.Rule{Table: in, Chain: chain, Exprs: append(datagramTo(to), lookUpOf(set, of, to.Port())...)})
	}
	if err = c.Flush(); err != nil {
		return false, err
	}
	defer func() {
		c.DelTable(in)
		err = errors.Join(err, c.Flush())
	}()
	if err = send(); err != nil {
		return false, err
	}
	rules, err := c.GetRules(in, chain)
	if err != nil {
		return false, err
	}
	if len(rules) != 2 || packetsOf(rules[0]) != 1 {
		return false, errors.New("the datagram was not counted")
	}
	return packetsOf(rules[1]) > 0, nil
}

// datagramTo matches UDP to a port on loopback.
func datagramTo(to netip.AddrPort) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_UDP}},
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.NFPROTO_IPV4}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: to.Addr().AsSlice()},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(to.Port())},
	}
}

// lookUpOf looks an address up, whatever the packet's is, and counts if it is found.
func lookUpOf(set *nft.Set, of netip.Addr, port uint16) []expr.Any {
	key := lookUpKey(of, port)
	return []expr.Any{
		&expr.Immediate{Register: unix.NFT_REG_1, Data: key[:16]},
		&expr.Immediate{Register: unix.NFT_REG32_04, Data: key[16:20]},
		&expr.Immediate{Register: unix.NFT_REG32_05, Data: key[20:]},
		&expr.Lookup{SourceRegister: unix.NFT_REG_1, SetName: set.Name, SetID: set.ID},
		&expr.Counter{},
	}
}

// lookUpKey is an address, UDP and a port, each in whole registers of four bytes.
func lookUpKey(of netip.Addr, port uint16) []byte {
	return append(append(of.AsSlice(), unix.IPPROTO_UDP, 0, 0, 0), byte(port>>8), byte(port), 0, 0)
}

func packetsOf(r *nft.Rule) uint64 {
	for _, e := range r.Exprs {
		if c, ok := e.(*expr.Counter); ok {
			return c.Packets
		}
	}
	return 0
}
