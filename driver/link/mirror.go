package link

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/bpf"

	"github.com/gangway-net/gangway/driver/bpfprog"
	"github.com/gangway-net/gangway/driver/spec"
)

// A bridge sends what is for an address that it knows to one port, so who watches gets copies. They
// are made where a frame comes to the bridge, one of each: at the ports of containers, behind
// their filters, and where the host's own frames go to the bridge. What is for everybody comes
// to who watches anyway, as does what is for himself. Rejected: a bridge that learns no
// addresses, which would hand each container what is for all others.

// mirrorPriority is that of the filters that copy: behind the port's filter, and before that
// by which frames are kept to a rate.
const mirrorPriority = redirectPriority - 1

// EnsureMirror has a container get copies, or mends that, and says so in a line. Where one of
// the links is gone there is nothing to be copied: it goes from the plan.
func (h *Handle) EnsureMirror(ctx context.Context, m spec.Mirror) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	from, f, err := h.mirrorOf(m)
	if err != nil || from == nil {
		return nil, err
	}
	is, err := h.leads(from, f)
	if err != nil || is {
		return nil, err
	}
	if err = h.lead(from, f); err != nil {
		return nil, err
	}
	return []string{m.To + ": there was no copy of what comes by " + m.From + ": copied"}, nil
}

// DeleteMirror ends the copies. What is gone already is no error.
func (h *Handle) DeleteMirror(ctx context.Context, m spec.Mirror) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	from, err := h.find(m.From)
	if err != nil || from == nil {
		return err
	}
	return h.leadNot(from, leading{egress: m.Bridge, priority: mirrorPriority, handle: watcher(m)})
}

// unmirrored says whether EnsureMirror would mend anything.
func (h *Handle) unmirrored(_ context.Context, m spec.Mirror, _ asked) (bool, error) {
	from, f, err := h.mirrorOf(m)
	if err != nil || from == nil {
		return false, err
	}
	is, err := h.leads(from, f)
	return !is, err
}

// mirrorOf returns the link that is watched, and the filter that it has to have; no link where
// one of the two is gone.
func (h *Handle) mirrorOf(m spec.Mirror) (from netlink.Link, f leading, err error) {
	to, err := h.find(m.To)
	if err != nil || !owns(to, m.To, m.EndpointID) {
		return nil, f, err
	}
	if from, err = h.find(m.From); err != nil || from == nil {
		return nil, f, err
	}
	code, err := forOthers(m.MAC)
	if err != nil {
		return nil, f, fmt.Errorf("write the filter that copies for %s: %w", m.To, err)
	}
	return from, leading{egress: m.Bridge, priority: mirrorPriority, handle: watcher(m), program: encode(code), to: to.Attrs().Index, copies: true}, nil
}

// watcher is the number of the filter that copies for who watches: one that says for whom, since
// the link may be gone whose number it could be.
func watcher(m spec.Mirror) uint32 { return crc32.ChecksumIEEE([]byte(m.EndpointID)) | 1 }

// forOthers takes frames that are for one receiver, and another one than that of an address.
func forOthers(mac net.HardwareAddr) ([]bpf.RawInstruction, error) {
	if len(mac) != macLen {
		return nil, fmt.Errorf("the hardware address %s does not have 6 bytes", mac)
	}
	const everybodys, others bpfprog.Place = "for several", "for others"
	var p bpfprog.Program
	p.Load(0, 1)
	p.When(bpf.JumpBitsSet, 1, everybodys, bpfprog.Next)
	p.Load(0, 4)
	p.Equal(binary.BigEndian.Uint32(mac), bpfprog.Next, others)
	p.Load(4, 2)
	p.Equal(uint32(binary.BigEndian.Uint16(mac[4:])), everybodys, others)
	p.Mark(others)
	p.Return(0xffff_ffff)
	p.Mark(everybodys)
	p.Return(0)
	return p.Code()
}
