package conntrack

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Asked returns where a client has sent what came to a local address of the host: before its
// destination was translated.
func (t *Table) Asked(proto uint8, client, local netip.AddrPort) (netip.AddrPort, error) {
	r := t.request(msgGet, unix.NLM_F_ACK, familyOf(client.Addr())) // the answer alone does not end
	r.AddData(answering(proto, local, client))
	answers, err := r.Execute(unix.NETLINK_NETFILTER, 0)
	if err == nil && len(answers) != 1 {
		err = fmt.Errorf("%d answers about one flow", len(answers))
	}
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("ask where %s sent to: %w", client, explain(err))
	}
	f, err := parseFlow(answers[0])
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("ask where %s sent to: %w", client, err)
	}
	return netip.AddrPortFrom(f.dst, f.port), nil
}

// answering names a flow by its answers.
func answering(proto uint8, from, to netip.AddrPort) *nl.RtAttr {
	tuple := nl.NewRtAttr(unix.NLA_F_NESTED|attrReply, nil)
	source, dest := ip4Source, ip4Dest
	if from.Addr().Is6() {
		source, dest = ip6Source, ip6Dest
	}
	addrs := tuple.AddRtAttr(unix.NLA_F_NESTED|tupleIP, nil)
	addrs.AddRtAttr(source, from.Addr().AsSlice())
	addrs.AddRtAttr(dest, to.Addr().AsSlice())
	ports := tuple.AddRtAttr(unix.NLA_F_NESTED|tupleProto, nil)
	ports.AddRtAttr(protoNumber, []byte{proto})
	ports.AddRtAttr(protoSource, binary.BigEndian.AppendUint16(nil, from.Port()))
	ports.AddRtAttr(protoDest, binary.BigEndian.AppendUint16(nil, to.Port()))
	return tuple
}
