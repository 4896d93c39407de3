package conntrack

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/nlattr"
)

// Messages and attributes of ctnetlink, linux/netfilter/nfnetlink_conntrack.h
// and nf_conntrack_common.h.
const (
	msgGet    = unix.NFNL_SUBSYS_CTNETLINK<<8 | 1
	msgDelete = unix.NFNL_SUBSYS_CTNETLINK<<8 | 2

	attrOrig       = 1
	attrReply      = 2
	attrStatus     = 3
	attrID         = 12
	attrZone       = 18
	attrFilter     = 25
	attrStatusMask = 26

	tupleIP    = 1
	tupleProto = 2

	ip4Source, ip4Dest = 1, 2
	ip6Source, ip6Dest = 3, 4

	protoNumber = 1
	protoSource = 2
	protoDest   = 3

	filterOrig  = 1
	filterReply = 2

	// What a filter compares (CTA_FILTER_FLAG).
	onSource = 1 << 0
	onProto  = 1 << 3

	// statusDNAT is IPS_DST_NAT.
	statusDNAT = 1 << 5

	sizeofGenmsg = 4
)

// flow is a tracked flow as far as it matters here.
type flow struct {
	family uint8
	proto  uint8
	// src and dst are what it was sent from and to, from is who answers.
	src, dst, from netip.Addr
	// port is the one it was sent to, and fromPort the one that answers come
	// from; 0 where the protocol has none.
	port, fromPort uint16
	// back and backPort are where answers go: what it was sent from, after translation.
	back     netip.Addr
	backPort uint16
	// name holds the attributes that tell it from all others.
	name []byte
}

// parseFlow reads a message of a dump. What flow keeps of it is a copy.
func parseFlow(m []byte) (flow, error) {
	if len(m) < sizeofGenmsg {
		return flow{}, fmt.Errorf("message of %d bytes", len(m))
	}
	f := flow{family: m[0]}
	for a, err := range nlattr.All(m[sizeofGenmsg:]) {
		if err != nil {
			return flow{}, err
		}
		switch a.Kind {
		case attrOrig:
			f.name = append(f.name, a.Whole...)
			var sent tuple
			sent, err = parseTuple(a.Value)
			f.src, f.dst, f.proto, f.port = sent.src, sent.dst, sent.proto, sent.dport
		case attrReply:
			var answer tuple
			answer, err = parseTuple(a.Value)
			f.from, f.fromPort, f.back, f.backPort = answer.src, answer.sport, answer.dst, answer.dport
		case attrZone, attrID:
			f.name = append(f.name, a.Whole...)
		}
		if err != nil {
			return flow{}, err
		}
	}
	if !f.dst.IsValid() || !f.from.IsValid() {
		return flow{}, fmt.Errorf("a flow without both of its directions")
	}
	return f, nil
}

// tuple is one direction of a flow.
type tuple struct {
	src, dst     netip.Addr
	proto        uint8
	sport, dport uint16
}

func parseTuple(b []byte) (t tuple, err error) {
	for part, err := range nlattr.All(b) {
		switch {
		case err != nil:
			return t, err
		case part.Kind == tupleIP:
			err = t.parseAddresses(part.Value)
		case part.Kind == tupleProto:
			err = t.parseProto(part.Value)
		}
		if err != nil {
			return t, err
		}
	}
	return t, nil
}

func (t *tuple) parseAddresses(b []byte) error {
	for a, err := range nlattr.All(b) {
		if err != nil {
			return err
		}
		switch a.Kind {
		case ip4Source, ip6Source:
			t.src, _ = netip.AddrFromSlice(a.Value)
		case ip4Dest, ip6Dest:
			t.dst, _ = netip.AddrFromSlice(a.Value)
		}
	}
	return nil
}

func (t *tuple) parseProto(b []byte) error {
	for a, err := range nlattr.All(b) {
		switch {
		case err != nil:
			return err
		case a.Kind == protoNumber && len(a.Value) == 1:
			t.proto = a.Value[0]
		case a.Kind == protoSource && len(a.Value) == 2:
			t.sport = binary.BigEndian.Uint16(a.Value)
		case a.Kind == protoDest && len(a.Value) == 2:
			t.dport = binary.BigEndian.Uint16(a.Value)
		}
	}
	return nil
}

// request is a ctnetlink message with no attributes yet.
func (t *Table) request(message, flags int, family uint8) *nl.NetlinkRequest {
	r := nl.NewNetlinkRequest(message, flags)
	r.Sockets = t.raw
	r.AddData(&nl.Nfgenmsg{NfgenFamily: family})
	return r
}

// selection is a kernel-side filter: IPv4 flows in which that address sends in
// one direction and, if set, of that protocol and with all of these status bits.
type selection struct {
	addr netip.Addr
	// direction is attrOrig or attrReply.
	direction int
	proto     uint8
	status    uint32
}

func (s selection) attributes() []*nl.RtAttr {
	tuple := nl.NewRtAttr(unix.NLA_F_NESTED|s.direction, nil)
	tuple.AddRtAttr(unix.NLA_F_NESTED|tupleIP, nil).AddRtAttr(ip4Source, s.addr.AsSlice())
	compare := onSource
	if s.proto != 0 {
		compare |= onProto
		tuple.AddRtAttr(unix.NLA_F_NESTED|tupleProto, nil).AddRtAttr(protoNumber, []byte{s.proto})
	}
	flags := filterOrig
	if s.direction == attrReply {
		flags = filterReply
	}
	filter := nl.NewRtAttr(unix.NLA_F_NESTED|attrFilter, nil)
	filter.AddRtAttr(flags, nl.Uint32Attr(uint32(compare)))
	all := []*nl.RtAttr{tuple, filter}
	if s.status != 0 {
		status := binary.BigEndian.AppendUint32(nil, s.status)
		all = append(all, nl.NewRtAttr(attrStatus, status), nl.NewRtAttr(attrStatusMask, status))
	}
	return all
}
