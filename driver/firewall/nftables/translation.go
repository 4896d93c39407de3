package nftables

import (
	"net/netip"
	"slices"

	nft "github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/firewall"
)

// The sets of subnets that are others outside, and of what is reached there.
const (
	outsideMap      = "outside"      // subnets, and what they are outside
	translatedSet   = "translated"   // these subnets, whether that is known or not
	untranslatedSet = "untranslated" // those of which it is not known
	inwardMap       = "inward"       // single ports
	inwardRangeMap  = "inward_range"
)

// toFirst and toLast are the bounds of the addresses that a map leads to.
var (
	toFirst = field{kind: address, side: sender}
	toLast  = field{kind: address, side: receiver}
)

// translationRows are of IPv6 alone.
func translationRows() []row {
	ports := []field{l4proto, daddr, dport}
	return []row{
		{name: outsideMap, perFamily: true, sixOnly: true, key: []field{saddr}, data: []field{toFirst, toLast}, kind: interval},
		{name: translatedSet, perFamily: true, sixOnly: true, key: []field{saddr}, kind: interval},
		{name: untranslatedSet, perFamily: true, sixOnly: true, key: []field{saddr}, kind: interval},
		{name: inwardMap, perFamily: true, sixOnly: true, key: ports, data: []field{toAddr}},
		{name: inwardRangeMap, perFamily: true, sixOnly: true, key: ports, data: []field{toAddr}, kind: interval},
	}
}

func translationElements(r firewall.Ruleset, put putter) {
	for _, t := range r.Translations {
		h, note := headerOf(t.Inside.Addr()), "net="+short(t.NetworkID)
		put.subnet(h.find(translatedSet), t.Inside, values{}, note)
		if !t.Outside.IsValid() {
			put.subnet(h.find(untranslatedSet), t.Inside, values{}, note)
			continue
		}
		set := h.find(outsideMap)
		first, end := values{addr: [3]netip.Addr{sender: t.Inside.Masked().Addr()}}, values{addr: [3]netip.Addr{sender: last(t.Inside)}}
		i := set.interval(&first, &end, note)
		i.data = set.leads.encode(&values{addr: [3]netip.Addr{sender: t.Outside.Masked().Addr(), receiver: last(t.Outside)}})
		put(set.Name, i)
	}
	for _, i := range r.Inward {
		h := headerOf(i.Outside)
		put.ports(portSets{h.find(inwardMap), h.find(inwardRangeMap)}, receiver, values{
			proto: i.Proto, addr: [3]netip.Addr{receiver: i.Outside, target: i.Inside}, port: [3]uint16{receiver: i.First},
		}, i.Last, endpointNote(i.NetworkID, i.EndpointID))
	}
}

// translationChains look up what is reached outside.
func translationChains() []chain {
	h := headers()[1]
	return []chain{regular(inwardMap+h.name, rule(h.own(), h.dnat(inwardMap)), rule(h.own(), h.dnat(inwardRangeMap)))}
}

// outward gives a subnet's packets the addresses that they have outside: each the one with the same host part
// (Linux 5.8).
func (h header) outward() []expr.Any {
	return append(h.valueOf(outsideMap), &expr.NAT{
		Type: expr.NATTypeSourceNAT, Family: uint32(h.proto), RegAddrMin: 1, RegAddrMax: 2, Prefix: true,
	})
}

// untranslated matches what begins a flow in a subnet of which nobody knows what it is outside.
func untranslated() []expr.Any {
	h := headers()[1]
	return rule(h.own(), h.in(untranslatedSet), []expr.Any{
		&expr.Ct{Key: expr.CtKeyDIRECTION, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{0}}, // IP_CT_DIR_ORIGINAL
	})
}

// untracked matches what has no tracked flow in a subnet that is another one outside, and is translated by nobody: an RST that
// no connection has, a wrong checksum, neighbour discovery. It has no direction either.
func untracked() []expr.Any {
	h := headers()[1]
	return rule(h.own(), ctBits(expr.CtKeySTATE, expr.CtStateBitINVALID|expr.CtStateBitUNTRACKED), h.in(translatedSet))
}

// newSet makes a set.
const newSet = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWSET

// withDataIntervals adds to the message of a map that leads to intervals, whose data are twice as long as their type, what
// the library (v0.3.0) leaves out: the note by which nft knows. The kernel does not need it; nft shows no table without it.
func withDataIntervals(set []byte) ([]byte, error) {
	const header = 4 // struct nfgenmsg
	list, err := netlink.UnmarshalAttributes(set[header:])
	if err != nil {
		return nil, err
	}
	var kind, size uint32
	for i, a := range list {
		switch a.Type {
		case unix.NFTA_SET_DATA_TYPE:
			kind = binaryutil.BigEndian.Uint32(a.Data)
		case unix.NFTA_SET_DATA_LEN:
			size = binaryutil.BigEndian.Uint32(a.Data)
		case unix.NFTA_SET_USERDATA: // behind both
			if kind == nft.TypeIP6Addr.GetNFTMagic() && size == 2*nft.TypeIP6Addr.Bytes {
				list[i].Data = userdata.AppendUint32(slices.Clone(a.Data), userdata.NFTNL_UDATA_SET_DATA_INTERVAL, 1)
			}
		}
		list[i].Length = 0 // of what was there; it is counted anew
	}
	attributes, err := netlink.MarshalAttributes(list)
	return append(slices.Clone(set[:header]), attributes...), err
}
