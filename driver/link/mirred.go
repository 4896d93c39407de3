package link

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// mirred is an action of a filter: what the filter takes leaves by another link, or a copy of
// it does.
type mirred struct {
	to       int
	redirect bool
}

// Of linux/tc_act/tc_mirred.h and linux/pkt_cls.h.
const (
	egressRedirect, egressMirror = 1, 2
	actionPipe, actionStolen     = 3, 4
)

// sizeofMirred is that of struct tc_mirred: five numbers that all actions have, what is done,
// and the link. The type of package nl has two bytes more than the kernel's.
const sizeofMirred, mirredAction, mirredDone, mirredLink = 28, 8, 20, 24

func (m mirred) encode() []byte {
	action, done := uint32(actionPipe), uint32(egressMirror)
	if m.redirect {
		action, done = actionStolen, egressRedirect
	}
	b := make([]byte, sizeofMirred)
	for at, n := range map[int]uint32{mirredAction: action, mirredDone: done, mirredLink: uint32(m.to)} { //nolint:gosec // an index is positive
		binary.NativeEndian.PutUint32(b[at:], n)
	}
	return b
}

func parseMirred(b []byte) mirred {
	return mirred{int(binary.NativeEndian.Uint32(b[mirredLink:])), binary.NativeEndian.Uint32(b[mirredDone:]) == egressRedirect}
}

// setActions has the filter of a priority take everything that comes in by a link, and act on
// it, in the place of what is there.
func (h *Handle) setActions(from netlink.Link, priority uint16, actions []mirred) error {
	name := from.Attrs().Name
	if err := h.ingress(from); err != nil {
		return fmt.Errorf("lead what comes in by %s to another link (tc qdisc ingress): %w", name, err)
	}
	req := h.newFilterRequest(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE|unix.NLM_F_ACK, from, priority)
	req.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("bpf")))
	options := nl.NewRtAttr(nl.TCA_OPTIONS, nil)
	program := everything()
	options.AddRtAttr(nl.TCA_BPF_OPS_LEN, nl.Uint16Attr(uint16(len(program)/unix.SizeofSockFilter))) //nolint:gosec // one
	options.AddRtAttr(nl.TCA_BPF_OPS, program)
	list := options.AddRtAttr(nl.TCA_BPF_ACT, nil)
	for i, a := range actions {
		one := list.AddRtAttr(i+1, nil)
		one.AddRtAttr(nl.TCA_ACT_KIND, nl.ZeroTerminated("mirred"))
		one.AddRtAttr(nl.TCA_ACT_OPTIONS, nil).AddRtAttr(nl.TCA_MIRRED_PARMS, a.encode())
	}
	req.AddData(options)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return wrap(err, "lead what comes in by %s to another link (tc filter bpf, action mirred)", name)
}

// readActions returns the actions of the filter that setActions has made; none if there is no
// such filter.
func (h *Handle) readActions(from netlink.Link, priority uint16) (all []mirred, err error) {
	answers, err := h.newFilterRequest(unix.RTM_GETTFILTER, 0, from, priority).Execute(unix.NETLINK_ROUTE, unix.RTM_NEWTFILTER)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) || err == nil && len(answers) == 0 {
		return nil, nil
	}
	var list []byte
	if err == nil {
		list, err = nested(answers[0], nl.SizeofTcMsg, nl.TCA_OPTIONS, nl.TCA_BPF_ACT)
	}
	if err == nil {
		err = attributes(list, 0, func(_ uint16, one []byte) {
			parms, _ := nested(one, 0, nl.TCA_ACT_OPTIONS, nl.TCA_MIRRED_PARMS)
			if len(parms) >= sizeofMirred {
				all = append(all, parseMirred(parms))
			}
		})
	}
	return all, wrap(err, "read where what comes in by %s is led to", from.Attrs().Name)
}

// removeFilters removes the filters of a priority of what comes in by a link.
func (h *Handle) removeFilters(from netlink.Link, priority uint16) error {
	_, err := h.newFilterRequest(unix.RTM_DELTFILTER, unix.NLM_F_ACK, from, priority).Execute(unix.NETLINK_ROUTE, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	return wrap(err, "remove the filters of priority %d of %s", priority, from.Attrs().Name)
}

// ingress has the kernel look for filters of what comes in by a link; it may do so already.
func (h *Handle) ingress(from netlink.Link) error {
	err := h.filterRequest(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_EXCL, from, nil)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}
