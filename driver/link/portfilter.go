package link

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/link/portfilter"
	"github.com/gangway-net/gangway/driver/spec"
)

// Where the filter is: the first one that a frame meets. Being the only one of
// its priority, it has the number 1.
const (
	filterPriority = 1
	filterHandle   = 1
	ingress        = netlink.HANDLE_MIN_INGRESS
)

// probeName is the link that ProbePortFilter makes and removes.
const probeName = "gangway-probe"

// ProbePortFilter finds out whether the kernel can filter what containers send (tc's
// sch_ingress and cls_bpf). Where it cannot, the error says why, and from then on
// EnsureVeth makes pairs without a filter. It takes a link to try that on: nothing
// lists what kinds of filters a kernel has, and any other link is in use.
func (h *Handle) ProbePortFilter(ctx context.Context) error {
	err := h.tryPortFilter(ctx)
	h.noPortFilter.Store(err != nil)
	return err
}

func (h *Handle) tryPortFilter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b := spec.Bridge{Name: probeName, NetworkID: probeName}
	left, err := h.find(b.Name)
	if err != nil {
		return err
	}
	if left != nil && unfinished(left, b) {
		if err = h.remove(left); err != nil {
			return err
		}
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = b.Name
	attrs.Group = spec.LinkGroup
	link := &netlink.Bridge{LinkAttrs: attrs}
	if err = h.nl.LinkAdd(link); err != nil {
		return fmt.Errorf("create link %s to try a filter on: %w", b.Name, err)
	}
	err = h.setFilter(link, encode([]bpf.RawInstruction{{Op: unix.BPF_RET | unix.BPF_K}}))
	return errors.Join(err, h.remove(link))
}

// filterOf returns the program for the pair as the kernel takes it; none where the
// kernel has no filter.
func (h *Handle) filterOf(v spec.Veth, bridge netlink.Link) ([]byte, error) {
	if h.noPortFilter.Load() {
		return nil, nil
	}
	port := portfilter.Port{MAC: v.MAC, Addresses: v.Addresses, Reserved: v.Reserved, HostOnly: v.Isolated}
	if v.Isolated {
		port.Bridge = bridge.Attrs().HardwareAddr
	}
	code, err := portfilter.Program(port)
	if err != nil {
		return nil, fmt.Errorf("write the filter of veth %s: %w", v.Host, err)
	}
	return encode(code), nil
}

// encode turns instructions into an array of struct sock_filter.
func encode(code []bpf.RawInstruction) []byte {
	b := make([]byte, 0, len(code)*unix.SizeofSockFilter)
	for _, i := range code {
		b = binary.NativeEndian.AppendUint16(b, i.Op)
		b = append(b, i.Jt, i.Jf)
		b = binary.NativeEndian.AppendUint32(b, i.K)
	}
	return b
}

// mendFilter has the kernel filter what the container sends, if it does not yet,
// and says whether it did not.
func (h *Handle) mendFilter(host, bridge netlink.Link, v spec.Veth) (changed bool, err error) {
	want, off, err := h.compareFilter(host, bridge, v)
	if err != nil || !off {
		return false, err
	}
	return true, h.setFilter(host, want)
}

// compareFilter returns the program that the pair has to have, and whether it has
// another one or none.
func (h *Handle) compareFilter(host, bridge netlink.Link, v spec.Veth) (want []byte, off bool, err error) {
	want, err = h.filterOf(v, bridge)
	if err != nil || len(want) == 0 {
		return nil, false, err
	}
	have, err := h.readFilter(host)
	return want, !bytes.Equal(have, want), err
}

// filterNew has the kernel filter what a new pair's container will send. The
// bridge is read again for its hardware address: one that was never set to any
// takes the lowest of its ports', and the pair has just become one.
func (h *Handle) filterNew(host, bridge netlink.Link, v spec.Veth) error {
	if v.Isolated {
		now, err := h.byIndex(bridge.Attrs().Index)
		if err != nil {
			return err
		}
		if now == nil {
			return fmt.Errorf("attach veth %s to bridge %s: the bridge has just been removed", v.Host, v.HostBridge())
		}
		bridge = now
	}
	program, err := h.filterOf(v, bridge)
	if err != nil || len(program) == 0 {
		return err
	}
	return h.setFilter(host, program)
}

// setFilter makes the program the first filter of what comes in by the link. While
// the kernel adds the qdisc to a link that is up, it drops what goes out by the
// link (qdisc_graft calls dev_deactivate), mostly for less than a millisecond: new
// pairs get theirs before. A filter that needs no qdisc (tcx) would need an eBPF
// program as well, for kernels from 6.6 only.
//
// The qdisc is ingress rather than clsact, which would have the kernel look for
// filters of each packet that leaves the host by any link, too. One that somebody
// else has put there serves as well.
func (h *Handle) setFilter(host netlink.Link, program []byte) error {
	name := host.Attrs().Name
	if err := h.ingress(host); err != nil {
		return fmt.Errorf("filter what comes in by %s (tc qdisc ingress): %w", name, err)
	}
	err := h.filterRequest(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE, host, program)
	if errors.Is(err, unix.EINVAL) {
		// The priority holds filters of another kind or protocol.
		if err = h.filterRequest(unix.RTM_DELTFILTER, 0, host, nil); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("remove the filters of priority %d of %s: %w", filterPriority, name, err)
		}
		err = h.filterRequest(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE, host, program)
	}
	return wrap(err, "filter what comes in by %s (tc filter bpf)", name)
}

// readFilter returns the program of the filter that the link has, nil for none.
func (h *Handle) readFilter(host netlink.Link) ([]byte, error) {
	req := h.newFilterRequest(unix.RTM_GETTFILTER, 0, host, filterPriority)
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWTFILTER)
	// Without the qdisc the request is invalid, without the filter there is no such
	// entry.
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) || err == nil && len(answers) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the filter of veth %s: %w", host.Attrs().Name, err)
	}
	data, header := answers[0], nl.SizeofTcMsg
	for _, kind := range []uint16{nl.TCA_OPTIONS, nl.TCA_BPF_OPS} {
		if data, err = attribute(data, header, kind); err != nil {
			return nil, fmt.Errorf("read the filter of veth %s: %w", host.Attrs().Name, err)
		}
		header = 0
	}
	return data, nil
}

// newFilterRequest starts a request about the filter of a priority, or about its qdisc.
func (h *Handle) newFilterRequest(kind, flags int, host netlink.Link, priority uint16) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(kind, flags)
	req.Sockets = h.raw
	msg := &nl.TcMsg{Family: nl.FAMILY_ALL, Ifindex: int32(host.Attrs().Index)}
	const allProtocols = unix.ETH_P_ALL
	switch kind {
	case unix.RTM_NEWQDISC:
		msg.Handle, msg.Parent = netlink.MakeHandle(0xffff, 0), netlink.HANDLE_INGRESS
	case unix.RTM_DELTFILTER:
		// All of the priority, whatever their protocol.
		msg.Parent, msg.Info = ingress, netlink.MakeHandle(priority, 0)
	default:
		msg.Parent, msg.Handle = ingress, filterHandle
		msg.Info = netlink.MakeHandle(priority, nl.Swap16(allProtocols))
	}
	req.AddData(msg)
	return req
}

// filterRequest changes the filter, or its qdisc.
func (h *Handle) filterRequest(kind, flags int, host netlink.Link, program []byte) error {
	req := h.newFilterRequest(kind, flags|unix.NLM_F_ACK, host, filterPriority)
	switch kind {
	case unix.RTM_NEWQDISC:
		req.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("ingress")))
	case unix.RTM_NEWTFILTER:
		req.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("bpf")))
		options := nl.NewRtAttr(nl.TCA_OPTIONS, nil)
		options.AddRtAttr(nl.TCA_BPF_OPS_LEN, nl.Uint16Attr(uint16(len(program)/unix.SizeofSockFilter)))
		options.AddRtAttr(nl.TCA_BPF_OPS, program)
		options.AddRtAttr(nl.TCA_BPF_FLAGS, nl.Uint32Attr(nl.TCA_BPF_FLAG_ACT_DIRECT))
		req.AddData(options)
	}
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}
