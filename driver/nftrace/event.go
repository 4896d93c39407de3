package nftrace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Kind says what a step is.
type Kind uint32

// The kinds of enum nft_trace_types.
const (
	// Policy is the end of a chain at a hook, Return that of another one, and Rule a rule
	// that matched.
	Policy Kind = unix.NFT_TRACETYPE_POLICY
	Return Kind = unix.NFT_TRACETYPE_RETURN
	Rule   Kind = unix.NFT_TRACETYPE_RULE
)

// Verdict is what a step decided: one of linux/netfilter.h, or of enum nft_verdicts.
type Verdict int32

// The verdicts that end a chain.
const (
	Drop   Verdict = 0
	Accept Verdict = 1
	Stolen Verdict = 2
	Queue  Verdict = 3
)

// Event is one step of one packet.
type Event struct {
	// Packet tells packets apart that are under way at the same time. One packet has
	// another number after each link that it is received by.
	Packet uint32
	// Family is that of the table.
	Family       byte
	Table, Chain string
	// Handle is the rule's; 0 for none.
	Handle  uint64
	Kind    Kind
	Verdict Verdict
	Mark    uint32
	// Out is the index of the link that the packet leaves by. It is told with the first
	// step at a hook, as Source and Destination are; 0 or invalid elsewhere.
	Out                 uint32
	Source, Destination netip.AddrPort
}

// families are the names of families as nft has them.
var families = map[byte]string{
	unix.NFPROTO_INET: "inet", unix.NFPROTO_IPV4: "ip", unix.NFPROTO_IPV6: "ip6",
	unix.NFPROTO_BRIDGE: "bridge", unix.NFPROTO_ARP: "arp", unix.NFPROTO_NETDEV: "netdev",
}

// Where names the chain as nft does: family, table, chain.
func (e Event) Where() string {
	family, known := families[e.Family]
	if !known {
		family = fmt.Sprintf("family-%d", e.Family)
	}
	return family + " " + e.Table + " " + e.Chain
}

// Matched says whether the step is a rule. The end of a chain at a hook is told twice, at
// first as a rule without a handle.
func (e Event) Matched() bool { return e.Kind == Rule && e.Handle != 0 }

// Drops says whether the step is the packet's last.
func (e Event) Drops() bool { return e.Kind != Return && e.Verdict == Drop }

// Parse reads the data of a message of type NFT_MSG_TRACE: enum nft_trace_attributes of
// linux/netfilter/nf_tables.h.
func Parse(data []byte) (e Event, err error) {
	if len(data) < 4 {
		return e, errors.New("read a report of nf_tables: it is cut short")
	}
	e.Family = data[0]
	ad, err := netlink.NewAttributeDecoder(data[4:])
	if err != nil {
		return e, fmt.Errorf("read a report of nf_tables: %w", err)
	}
	ad.ByteOrder = binary.BigEndian
	var network, transport []byte
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_TRACE_NETWORK_HEADER:
			network = ad.Bytes()
		case unix.NFTA_TRACE_TRANSPORT_HEADER:
			transport = ad.Bytes()
		default:
			e.attribute(ad)
		}
	}
	e.Source, e.Destination = headers(network, transport)
	if err = ad.Err(); err != nil {
		err = fmt.Errorf("read a report of nf_tables: %w", err)
	}
	return e, err
}

func (e *Event) attribute(ad *netlink.AttributeDecoder) {
	switch ad.Type() {
	case unix.NFTA_TRACE_TABLE:
		e.Table = ad.String()
	case unix.NFTA_TRACE_CHAIN:
		e.Chain = ad.String()
	case unix.NFTA_TRACE_RULE_HANDLE:
		e.Handle = ad.Uint64()
	case unix.NFTA_TRACE_TYPE:
		e.Kind = Kind(ad.Uint32())
	case unix.NFTA_TRACE_ID:
		e.Packet = ad.Uint32()
	case unix.NFTA_TRACE_MARK:
		e.Mark = ad.Uint32()
	case unix.NFTA_TRACE_OIF:
		e.Out = ad.Uint32()
	case unix.NFTA_TRACE_POLICY:
		e.Verdict = Verdict(ad.Uint32()) //nolint:gosec // the kernel's own type has a sign
	case unix.NFTA_TRACE_VERDICT:
		ad.Nested(func(v *netlink.AttributeDecoder) error {
			for v.Next() {
				if v.Type() == unix.NFTA_VERDICT_CODE {
					e.Verdict = Verdict(v.Uint32()) //nolint:gosec // as above
				}
			}
			return nil
		})
	}
}

// headers reads the addresses and ports of a packet, as far as they are told.
func headers(network, transport []byte) (from, to netip.AddrPort) {
	var source, destination netip.Addr
	switch {
	case len(network) >= 20 && network[0]>>4 == 4:
		source, _ = netip.AddrFromSlice(network[12:16])
		destination, _ = netip.AddrFromSlice(network[16:20])
	case len(network) >= 40 && network[0]>>4 == 6:
		source, _ = netip.AddrFromSlice(network[8:24])
		destination, _ = netip.AddrFromSlice(network[24:40])
	}
	if !source.IsValid() || len(transport) < 4 {
		return from, to
	}
	return netip.AddrPortFrom(source, binary.BigEndian.Uint16(transport)),
		netip.AddrPortFrom(destination, binary.BigEndian.Uint16(transport[2:]))
}
