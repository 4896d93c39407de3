package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// leading is a filter that leads packets which come to a link, or copies of them, to another
// one, by which they leave or come in (tc's action mirred).
type leading struct {
	// egress says that it is for what leaves by the link, not for what comes in by it.
	egress   bool
	priority uint16
	// handle tells it from others of its priority.
	handle  uint32
	program []byte
	// to is the index of the other link.
	to int
	// copies says that the packets go on, by further filters.
	copies bool
	// into says that they come in by the other link.
	into bool
}

// Of linux/tc_act/tc_mirred.h and linux/pkt_cls.h.
const (
	egressRedirect, egressMirror, ingressRedirect = 1, 2, 3
	actionUnspec, actionStolen                    = 0xffff_ffff, 4
)

// sizeofMirred is that of struct tc_mirred: five numbers that all actions have, what is done,
// and the link. The type of package nl has two bytes more than the kernel's.
const sizeofMirred, mirredAction, mirredDone, mirredLink = 28, 8, 20, 24

// mirred are the numbers that matter of the action. A packet that is copied goes on to further
// filters, since the action decides nothing.
func (f leading) mirred() []byte {
	action, done := uint32(actionStolen), uint32(egressRedirect)
	switch {
	case f.copies:
		action, done = actionUnspec, egressMirror
	case f.into:
		done = ingressRedirect
	}
	b := make([]byte, sizeofMirred)
	for at, n := range map[int]uint32{mirredAction: action, mirredDone: done, mirredLink: uint32(f.to)} { //nolint:gosec // an index is positive
		binary.NativeEndian.PutUint32(b[at:], n)
	}
	return b
}

// lead puts the filter at a link, in the place of one that has its number.
func (h *Handle) lead(from netlink.Link, f leading) error {
	name := from.Attrs().Name
	if err := h.hook(from, f.egress); err != nil {
		return fmt.Errorf("lead what comes to %s to another link (tc qdisc): %w", name, err)
	}
	req := h.leadingRequest(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE|unix.NLM_F_ACK, from, f)
	req.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("bpf")))
	options := nl.NewRtAttr(nl.TCA_OPTIONS, nil)
	options.AddRtAttr(nl.TCA_BPF_OPS_LEN, nl.Uint16Attr(uint16(len(f.program)/unix.SizeofSockFilter))) //nolint:gosec // some
	options.AddRtAttr(nl.TCA_BPF_OPS, f.program)
	action := options.AddRtAttr(nl.TCA_BPF_ACT, nil).AddRtAttr(1, nil)
	action.AddRtAttr(nl.TCA_ACT_KIND, nl.ZeroTerminated("mirred"))
	action.AddRtAttr(nl.TCA_ACT_OPTIONS, nil).AddRtAttr(nl.TCA_MIRRED_PARMS, f.mirred())
	req.AddData(options)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return wrap(err, "lead what comes to %s to another link (tc filter bpf, action mirred)", name)
}

// leads says whether the filter is at the link.
func (h *Handle) leads(from netlink.Link, f leading) (bool, error) {
	answers, err := h.leadingRequest(unix.RTM_GETTFILTER, 0, from, f).Execute(unix.NETLINK_ROUTE, unix.RTM_NEWTFILTER)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) || err == nil && len(answers) == 0 {
		return false, nil
	}
	var program, parms []byte
	if err == nil {
		program, err = nested(answers[0], nl.SizeofTcMsg, nl.TCA_OPTIONS, nl.TCA_BPF_OPS)
	}
	if err == nil {
		parms, err = nested(answers[0], nl.SizeofTcMsg, nl.TCA_OPTIONS, nl.TCA_BPF_ACT, 1, nl.TCA_ACT_OPTIONS, nl.TCA_MIRRED_PARMS)
	}
	want := f.mirred()
	same := len(parms) >= sizeofMirred && bytes.Equal(parms[mirredAction:mirredAction+4], want[mirredAction:mirredAction+4]) &&
		bytes.Equal(parms[mirredDone:sizeofMirred], want[mirredDone:]) && bytes.Equal(program, f.program)
	return same, wrap(err, "read where what comes to %s is led to", from.Attrs().Name)
}

// leadNot takes the filter away.
func (h *Handle) leadNot(from netlink.Link, f leading) error {
	_, err := h.leadingRequest(unix.RTM_DELTFILTER, unix.NLM_F_ACK, from, f).Execute(unix.NETLINK_ROUTE, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) || notFound(err) {
		return nil
	}
	return wrap(err, "remove filter %d of priority %d of %s", f.handle, f.priority, from.Attrs().Name)
}

func (h *Handle) leadingRequest(kind, flags int, from netlink.Link, f leading) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(kind, flags)
	req.Sockets = h.raw
	msg := &nl.TcMsg{
		Family: nl.FAMILY_ALL, Ifindex: int32(from.Attrs().Index), Parent: ingress, Handle: f.handle, //nolint:gosec // an index
		Info: netlink.MakeHandle(f.priority, nl.Swap16(unix.ETH_P_ALL)),
	}
	if f.egress {
		msg.Parent = netlink.HANDLE_MIN_EGRESS
	}
	req.AddData(msg)
	return req
}

// hook has the kernel look for filters at a link; it may do so already.
func (h *Handle) hook(link netlink.Link, egress bool) error {
	if !egress {
		return h.ingress(link)
	}
	req := nl.NewNetlinkRequest(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	req.Sockets = h.raw
	req.AddData(&nl.TcMsg{
		Family: nl.FAMILY_ALL, Ifindex: int32(link.Attrs().Index), Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT, //nolint:gosec // an index
	})
	req.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("clsact")))
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// ingress has the kernel look for filters of what comes in by a link; it may do so already.
func (h *Handle) ingress(from netlink.Link) error {
	err := h.filterRequest(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_EXCL, from, nil)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}
