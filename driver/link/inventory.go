package link

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// Veths returns what the kernel knows of gangway's veth pairs, by endpoint id.
// It takes one dump of the links, and one question for each peer that is in
// another network namespace.
func (h *Handle) Veths(ctx context.Context) (map[string]spec.VethInfo, error) {
	all, err := h.links(ctx)
	if err != nil {
		return nil, err
	}
	names, bridges := make(map[int]string, len(all)), map[int]netlink.Link{}
	for _, link := range all {
		names[link.Attrs().Index] = link.Attrs().Name
		if link.Type() == kindBridge {
			bridges[link.Attrs().Index] = link
		}
	}
	veths := map[string]spec.VethInfo{}
	for _, link := range all {
		id := owner(link)
		if _, number := spec.NetworkOf(id); id == "" || number > 0 || link.Type() != kindVeth {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		a := link.Attrs()
		info := spec.VethInfo{Host: a.Name, HostIndex: a.Index, PeerIndex: a.ParentIndex, Moved: a.NetNsID >= 0}
		info.Bridge = names[a.MasterIndex]
		if bridge := bridges[a.MasterIndex]; bridge != nil {
			info.NetworkID, info.Further = user(bridge)
		}
		if info.Moved {
			info.Peer = h.nameIn(a.NetNsID, a.ParentIndex)
		} else {
			info.Peer = names[a.ParentIndex]
		}
		veths[id] = info
	}
	return veths, nil
}

// user is the network that a bridge was made for, or, of an adopted one, changed for; further is its
// number, if it is a further one.
func user(bridge netlink.Link) (networkID string, further int) {
	id := owner(bridge)
	for lender := range adopters(bridge) {
		if id != "" {
			return "", 0 // of several
		}
		id = lender
	}
	return spec.NetworkOf(id)
}

// nameIn asks for the name of a link in another network namespace, which the
// kernel has given the id nsid (IFLA_TARGET_NETNSID, Linux 4.16 and on). It is
// empty if the kernel does not tell: the name is for people to read, and a
// container that has just ended is no error.
func (h *Handle) nameIn(nsid, index int) string {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	req.Sockets = h.raw
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFLA_TARGET_NETNSID, nl.Uint32Attr(uint32(nsid))))
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil || len(answers) == 0 {
		return ""
	}
	var name string
	var there bool
	err = attributes(answers[0], unix.SizeofIfInfomsg, func(kind uint16, value []byte) {
		switch kind {
		case unix.IFLA_IFNAME:
			name = unix.ByteSliceToString(value)
		case unix.IFLA_TARGET_NETNSID:
			there = true
		}
	})
	if err != nil || int(nl.DeserializeIfInfomsg(answers[0]).Index) != index {
		return ""
	}
	if !there {
		// An older kernel has ignored the attribute, and described the link
		// of that number in this namespace.
		return ""
	}
	return name
}

// Prune removes links that gangway created for networks and endpoints that are
// not among the given ones, and gives back adopted bridges of such networks. To one
// of theirs that somebody renamed it gives its name back, or, if there is another by
// now, removes it. It returns one line for each, and goes on past errors. The lists
// must be complete: they name every network's bridge, adopted ones included.
func (h *Handle) Prune(ctx context.Context, bridges []spec.Bridge, veths []spec.Veth) ([]string, error) {
	known := idsOf(bridges, veths)
	all, err := h.links(ctx)
	if err != nil {
		return nil, err
	}
	var removed []string
	var errs []error
	for _, link := range all {
		if err := ctx.Err(); err != nil {
			return removed, errors.Join(append(errs, err)...)
		}
		lines, err := h.pruneLink(ctx, link, known)
		removed = append(removed, lines...)
		errs = append(errs, err)
	}
	return removed, errors.Join(errs...)
}

// ids are the networks and endpoints that there are, by the kind of their links, with
// the names that those have to have; an adopted bridge has any. Other kinds than
// bridge, veth and ifb are never gangway's, whatever their alias says. A bridge whose network is an
// owner with a number is a further one, and stands for what joins it to the first.
type ids map[string]map[string]string

func idsOf(bridges []spec.Bridge, veths []spec.Veth) ids {
	known := ids{kindBridge: {}, kindVeth: {}, kindIfb: {}}
	for _, b := range bridges {
		known[kindBridge][b.NetworkID] = ""
		if !b.Adopted {
			known[kindBridge][b.NetworkID] = b.Name
		}
		if id, number := spec.NetworkOf(b.NetworkID); number > 0 {
			further := spec.FurtherBridge{NetworkID: id, Number: number, Name: b.Name}
			known[kindVeth][further.Owner()], known[kindVeth][further.FarOwner()] = further.Near(), further.Far()
		}
	}
	for _, v := range veths {
		known[kindVeth][v.EndpointID] = v.Host
		if v.Ifb != "" {
			known[kindIfb][v.EndpointID] = v.Ifb
		}
	}
	return known
}

// renamed returns the name that a link has to have, if that is another than it has.
func (known ids) renamed(link netlink.Link) string {
	if name := known[link.Type()][owner(link)]; name != link.Attrs().Name {
		return name
	}
	return ""
}

// orphan says what of a link belongs to nobody, under its name: the link itself, or
// changes to it for some networks.
func (known ids) orphan(link netlink.Link) (whole bool, lent []string) {
	of := known[link.Type()]
	if id := owner(link); id != "" {
		_, there := of[id]
		return of != nil && (!there || known.renamed(link) != ""), nil
	}
	for id := range loans(link) {
		if _, there := known[kindBridge][id]; !there {
			lent = append(lent, id)
		}
	}
	return false, lent
}

func (h *Handle) pruneLink(ctx context.Context, link netlink.Link, known ids) (removed []string, err error) {
	kind, name := link.Type(), link.Attrs().Name
	if own := known.renamed(link); own != "" {
		return h.restoreName(link, own)
	}
	whole, lent := known.orphan(link)
	if whole {
		if kind == kindBridge {
			err = h.returnMoved(ctx, link)
			if id, number := spec.NetworkOf(owner(link)); err == nil && number > 0 {
				err = h.moveForeign(ctx, link, known[kindBridge][id])
			}
		}
		if err == nil {
			err = h.change(func() error { return h.remove(link) })
		}
		if err != nil {
			return nil, err
		}
		if err := h.unsteer(ctx, name); err != nil {
			return nil, err
		}
		return []string{kind + " " + name + " of the unknown " + owned(link) + " " + owner(link) + ": removed"}, nil
	}
	var errs []error
	for _, id := range lent {
		if err := h.giveBack(ctx, link, id); err != nil {
			errs = append(errs, err)
			continue
		}
		removed = append(removed, "changes to "+kind+" "+name+" for the unknown network "+id+": taken back")
	}
	return removed, errors.Join(errs...)
}

// restoreName calls a link of gangway as it has to be called. Of two for one network
// or endpoint that which a container uses stays, else that which has the name.
func (h *Handle) restoreName(link netlink.Link, name string) (restored []string, err error) {
	kind, is := link.Type(), link.Attrs().Name
	second, err := h.find(name)
	if err != nil {
		return nil, err
	}
	switch used := link.Attrs().NetNsID >= 0; {
	case second == nil:
	case !owns(second, name, owner(link)) || second.Type() != kind:
		return nil, fmt.Errorf("call %s %s %s again: a %s of that name exists and is not gangway's; remove or rename it", kind, is, name, second.Type())
	case used && second.Attrs().NetNsID < 0:
		if err = h.remove(second); err != nil {
			return nil, err
		}
	default:
		return []string{"a second " + kind + " " + is + " of the " + owned(link) + " " + owner(link) + ": removed"}, h.remove(link)
	}
	err = h.nl.LinkSetName(link, name)
	if errors.Is(err, unix.EBUSY) {
		// Before Linux 6.2 it has to be down; it is set up when it is compared next.
		if err = h.nl.LinkSetDown(link); err == nil {
			err = h.nl.LinkSetName(link, name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("call %s %s %s again: %w", kind, is, name, err)
	}
	return []string{kind + " " + name + " was called " + is + ": renamed"}, nil
}

// owned names what a link belongs to.
func owned(link netlink.Link) string {
	if _, number := spec.NetworkOf(owner(link)); number > 0 || link.Type() == kindBridge {
		return "network"
	}
	return "endpoint"
}
