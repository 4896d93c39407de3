package link

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/bpfprog"
	"github.com/gangway-net/gangway/driver/spec"
)

// A further bridge passes frames on, and is nothing else:
//
//   - A filter takes all that it would hand to the host (see closed). It has an address of hardware, and
//     no other, but a host answers for all its addresses by each of its links.
//   - What is for the host comes to it by the first bridge. A filter at the near end of the joining
//     pair leads packets for the first bridge's own address into it (see toFirst), past its ports.
//     With br_netfilter a packet to a published port would else be translated while it is on
//     its way from port to port, and would have to leave by the port that it came by when it is for
//     a container on the same further bridge. Hairpin mode would let it, and send everything else that is
//     for everybody back as well.
//   - So the first bridge does not learn from such packets where their sender is. It is told: see
//     spec.Forwarded.
//
// There is no loop, since a further bridge has one way to the first and none to others.

// EnsureFurtherBridge makes a further bridge and joins it to the first one, or mends that, and returns a line
// for each thing that was not as it should be. What it makes and cannot finish is removed again. A name
// that is taken by another link is an error.
func (h *Handle) EnsureFurtherBridge(ctx context.Context, b spec.FurtherBridge) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if h.noPortFilter.Load() {
		return nil, fmt.Errorf("bridge %s: the kernel lacks the filter that keeps the host off it (tc's sch_ingress and cls_bpf)", b.Name)
	}
	first, err := h.find(b.First)
	if err != nil {
		return nil, err
	}
	if first == nil || first.Attrs().Name != b.First || first.Type() != kindBridge {
		return nil, fmt.Errorf("join bridge %s to bridge %s: there is no bridge of that name", b.Name, b.First)
	}
	e := &extension{h: h, spec: b, first: first}
	for _, step := range []func() error{e.bridge, e.closed, e.up, e.pair, e.nearEnd, e.farEnd} {
		if err = ctx.Err(); err == nil {
			err = step()
		}
		if err != nil {
			return nil, errors.Join(err, e.removeNew())
		}
	}
	return e.fixed, nil
}

// DeleteFurtherBridge removes a further bridge and what joins it. Links of somebody else under the
// names stay, and so does who is on it: ports of others are the first bridge's from then on.
func (h *Handle) DeleteFurtherBridge(ctx context.Context, b spec.FurtherBridge) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	link, err := h.find(b.Name)
	if err != nil {
		return err
	}
	if link != nil && !owns(link, b.Name, b.Owner()) && !unfinishedFurther(link, b) {
		link = nil
	}
	if err = h.moveForeign(ctx, link, b.First); err != nil {
		return err
	}
	near, err := h.find(b.Near())
	if err == nil && owns(near, b.Near(), b.Owner()) {
		err = h.remove(near)
	}
	if link != nil {
		err = errors.Join(err, h.remove(link))
	}
	return err
}

// moveForeign makes the ports of others on a further bridge, if there is one, ports of the first bridge: they would be on
// none without it. Rejected: to keep the bridge for them, as nobody but the kernel knows that they are
// there. A network that goes leaves them without a bridge.
func (h *Handle) moveForeign(ctx context.Context, further netlink.Link, to string) error {
	if further == nil {
		return nil
	}
	ports, err := h.foreignPorts(ctx, further)
	if err != nil || len(ports) == 0 {
		return err
	}
	first, err := h.find(to)
	if err != nil || first == nil || first.Type() != kindBridge {
		return err
	}
	for _, index := range ports {
		port, err := h.byIndex(index)
		if err == nil && port != nil {
			err = h.attach(port, first)
		}
		if err != nil && !notFound(err) {
			return fmt.Errorf("move a port of others from bridge %s, which goes, to bridge %s: %w", further.Attrs().Name, to, err)
		}
	}
	return nil
}

// unfinishedFurther recognises what a crash leaves between making a further bridge and giving it its alias.
func unfinishedFurther(link netlink.Link, b spec.FurtherBridge) bool {
	a := link.Attrs()
	return a.Name == b.Name && link.Type() == kindBridge && a.Alias == "" && a.Group == spec.FurtherGroup && a.Flags&net.FlagUp == 0
}

// extension brings one further bridge to its spec and keeps account of what it did.
type extension struct {
	h    *Handle
	spec spec.FurtherBridge
	// first is the network's first bridge, link the further one, near and far the ends of the pair.
	first, link, near, far netlink.Link
	fixed                  []string
	// made are the links that were not there before.
	made []netlink.Link
}

func (e *extension) note(link netlink.Link, format string, args ...any) {
	e.fixed = append(e.fixed, link.Type()+" "+link.Attrs().Name+fmt.Sprintf(format, args...))
}

func (e *extension) removeNew() (err error) {
	for _, link := range e.made {
		err = errors.Join(err, e.h.remove(link))
	}
	return err
}

// bridge makes the bridge, down.
func (e *extension) bridge() (err error) {
	b := e.spec
	if err = checkName(b.Name); err != nil {
		return fmt.Errorf("bridge %q: %w", b.Name, err)
	}
	if e.link, err = e.h.find(b.Name); err != nil {
		return err
	}
	switch {
	case e.link == nil:
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.Group, attrs.HardwareAddr = b.Name, spec.FurtherGroup, randomMAC()
		e.link = &netlink.Bridge{LinkAttrs: attrs}
		if err = e.h.nl.LinkAdd(e.link); err != nil {
			return fmt.Errorf("create bridge %s: %w", b.Name, err)
		}
		e.made = append(e.made, e.link)
		e.note(e.link, " was missing: created")
	case !owns(e.link, b.Name, b.Owner()) && !unfinishedFurther(e.link, b):
		return fmt.Errorf("bridge %s: a %s of that name exists and is not the network's; remove or rename it", b.Name, e.link.Type())
	case e.link.Type() != kindBridge:
		return fmt.Errorf("bridge %s: the link of that name is a %s; remove or rename it", b.Name, e.link.Type())
	}
	if err = e.alias(e.link, b.Owner()); err != nil {
		return err
	}
	if a := e.link.Attrs(); a.Group != spec.FurtherGroup {
		e.note(e.link, ": interface group was %d: set to %d", a.Group, spec.FurtherGroup)
		return wrap(e.h.nl.LinkSetGroup(e.link, int(spec.FurtherGroup)), "set the group of bridge %s", a.Name)
	}
	return nil
}

// closed has nothing come to the host by the further bridge, in whatever name and by whatever
// protocol.
func (e *extension) closed() error {
	if err := e.withoutIPv6(e.link); err != nil {
		return err
	}
	want := encode([]bpf.RawInstruction{{Op: unix.BPF_RET | unix.BPF_K, K: actionStolen}})
	have, err := e.h.readFilter(e.link)
	if err != nil || bytes.Equal(have, want) {
		return err
	}
	if !e.isNew(e.link) {
		e.note(e.link, ": the filter that keeps the host off was missing or another: set")
	}
	return e.h.setFilter(e.link, want)
}

// withoutIPv6 keeps a link from having a link-local address, by which a container could reach the host.
func (e *extension) withoutIPv6(link netlink.Link) error {
	changed, err := e.h.disableIPv6(link.Attrs().Name)
	if changed && !e.isNew(link) {
		e.note(link, ": IPv6 was on: disabled")
	}
	return err
}

func (e *extension) up() error { return e.setUp(e.link) }

func (e *extension) setUp(link netlink.Link) error {
	a := link.Attrs()
	if a.Flags&net.FlagUp != 0 {
		return nil
	}
	if !e.isNew(link) {
		e.note(link, " was down: set up")
	}
	return wrap(e.h.nl.LinkSetUp(link), "set link %s up", a.Name)
}

func (e *extension) isNew(link netlink.Link) bool {
	for _, made := range e.made {
		if made == link {
			return true
		}
	}
	return link == e.far && e.isNew(e.near)
}

// pair finds the two ends, or makes them.
func (e *extension) pair() (err error) {
	b := e.spec
	if e.near, err = e.h.find(b.Near()); err != nil {
		return err
	}
	if e.near != nil {
		if e.far, err = e.h.localPeer(e.near); err != nil {
			return err
		}
		v := spec.Veth{Host: b.Near(), Peer: b.Far()}
		unfinished, err := e.h.unfinishedVeth(e.near, v)
		if err != nil {
			return err
		}
		switch {
		case e.near.Type() != kindVeth || !owns(e.near, b.Near(), b.Owner()) && !unfinished:
			return fmt.Errorf("join bridge %s to bridge %s: a %s %s exists (alias %q) and is not the network's; remove or rename it",
				b.Name, b.First, e.near.Type(), b.Near(), e.near.Attrs().Alias)
		case !unfinished && e.far != nil && e.far.Attrs().Name == b.Far():
			return nil
		}
		if err = e.h.remove(e.near); err != nil {
			return err
		}
	}
	return e.newPair()
}

func (e *extension) newPair() (err error) {
	b, attrs := e.spec, netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = b.Near(), b.MTU, e.first.Attrs().HardwareAddr
	if b.MTU == 0 {
		attrs.MTU = e.first.Attrs().MTU
	}
	pair := netlink.NewVeth(attrs)
	pair.PeerName = b.Far()
	if err = e.h.nl.LinkAdd(pair); err != nil {
		return fmt.Errorf("create veth %s with peer %s: %w", b.Near(), b.Far(), err)
	}
	e.near, e.made = pair, append(e.made, pair)
	e.note(pair, " was missing: created")
	if e.far, err = e.h.find(b.Far()); err == nil && e.far == nil {
		err = fmt.Errorf("veth %s has just been removed", b.Far())
	}
	return err
}

// nearEnd makes the near end a port of the first bridge. It has the bridge's own address, so that the kernel
// takes what is for that as the host's.
func (e *extension) nearEnd() error {
	mac := e.first.Attrs().HardwareAddr
	if a := e.near.Attrs(); !bytes.Equal(a.HardwareAddr, mac) {
		e.note(e.near, ": hardware address was %s: set to %s, that of bridge %s", a.HardwareAddr, mac, e.spec.First)
		if err := e.h.nl.LinkSetHardwareAddr(e.near, mac); err != nil {
			return fmt.Errorf("set the hardware address of veth %s: %w", a.Name, err)
		}
	}
	f, err := toFirst(e.first)
	if err != nil {
		return err
	}
	is, err := e.h.leads(e.near, f)
	if err != nil {
		return err
	}
	if !is {
		if !e.isNew(e.near) {
			e.note(e.near, ": the filter that leads to bridge %s was missing or another: set", e.spec.First)
		}
		if err = e.h.lead(e.near, f); err != nil {
			return err
		}
	}
	return e.end(e.near, e.first, e.spec.Owner(), portFlags{broadcast: !e.spec.Isolated, multicast: !e.spec.Isolated})
}

func (e *extension) farEnd() error {
	if err := e.end(e.far, e.link, e.spec.FarOwner(), portFlags{broadcast: true, multicast: true}); err != nil {
		return err
	}
	return e.hostBehind()
}

// hostBehind has the further bridge know for good that the host is behind the far end. On the first bridge
// nobody can claim the host's hardware address, which is the bridge's own; here somebody without a port filter
// could, and would have all that the others send the host. It is set again each time: to ask
// whether it is there takes a list of all that all bridges know. Before Linux 4.20 the entry moves like any other.
func (e *extension) hostBehind() error {
	mac := e.first.Attrs().HardwareAddr
	err := e.h.nl.NeighSet(&netlink.Neigh{
		LinkIndex: e.far.Attrs().Index, Family: unix.AF_BRIDGE, State: netlink.NUD_NOARP, Flags: netlink.NTF_MASTER | netlink.NTF_STICKY, HardwareAddr: mac,
	})
	return wrap(err, "have bridge %s know that %s is behind port %s", e.spec.Name, mac, e.spec.Far())
}

// end makes an end of the pair a port of a bridge.
func (e *extension) end(link, bridge netlink.Link, owner string, flags portFlags) error {
	a := link.Attrs()
	if err := e.alias(link, owner); err != nil {
		return err
	}
	if mtu := e.spec.MTU; mtu != 0 && (a.MTU < mtu || a.MTU > mtu && !e.spec.Follows) {
		e.note(link, ": MTU was %d: set to %d", a.MTU, mtu)
		if err := e.h.nl.LinkSetMTU(link, mtu); err != nil {
			return fmt.Errorf("set the MTU of %s to %d: %w", a.Name, mtu, err)
		}
	}
	if err := e.withoutIPv6(link); err != nil {
		return err
	}
	attached := a.MasterIndex == bridge.Attrs().Index
	if !attached {
		if !e.isNew(link) {
			e.note(link, " was not on bridge %s: attached", bridge.Attrs().Name)
		}
		if err := e.h.attach(link, bridge); err != nil {
			return err
		}
	}
	lines, err := e.h.mendPort(link, flags)
	if err != nil {
		return err
	}
	for _, l := range lines {
		if attached { // a new port has no flags yet
			e.note(link, ": %s", l)
		}
	}
	return e.setUp(link)
}

func (e *extension) alias(link netlink.Link, owner string) error {
	a, alias := link.Attrs(), spec.OwnerAlias+owner
	if a.Alias == alias {
		return nil
	}
	if !e.isNew(link) {
		e.note(link, ": alias was %s: set to %s", strconv.Quote(a.Alias), alias)
	}
	return wrap(e.h.nl.LinkSetAlias(link, alias), "set the alias of link %s", a.Name)
}

// toFirst leads packets for a bridge's own address into the bridge, as if they had come to it.
func toFirst(first netlink.Link) (f leading, err error) {
	mac := first.Attrs().HardwareAddr
	if len(mac) != macLen {
		return f, fmt.Errorf("bridge %s has no hardware address of 6 bytes", first.Attrs().Name)
	}
	const ours, others bpfprog.Place = "for the host", "for others"
	var p bpfprog.Program
	p.Load(0, 4)
	p.Equal(binary.BigEndian.Uint32(mac), bpfprog.Next, others)
	p.Load(4, 2)
	p.Equal(uint32(binary.BigEndian.Uint16(mac[4:])), bpfprog.Next, others)
	p.Load(12, 2)
	p.Equal(unix.ETH_P_IP, ours, bpfprog.Next)
	p.Equal(unix.ETH_P_IPV6, ours, others)
	p.Mark(ours)
	p.Return(0xffff_ffff)
	p.Mark(others)
	p.Return(0)
	code, err := p.Code()
	return leading{priority: redirectPriority, handle: filterHandle, program: encode(code), to: first.Attrs().Index, into: true}, err
}
