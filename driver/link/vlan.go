package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// An uplink that is a VLAN on a trunk, and missing, is made. It goes with the network: that it was
// made is noted on it (loanMade). One that somebody made is used, and stays. The
// trunk stays its owner's, with addresses or without: only that it was set up is noted on it.

const kindVLAN = "vlan"

// made says that gangway made an uplink for the network.
func made(link netlink.Link, networkID string) bool {
	return slices.Contains(loans(link)[networkID], loanMade)
}

// unfinishedVLAN recognises what a crash leaves between making a VLAN and noting that: as with
// bridges, it is in gangway's interface group from its first moment until it is noted.
func unfinishedVLAN(link netlink.Link) bool {
	a := link.Attrs()
	return link.Type() == kindVLAN && a.Group == spec.LinkGroup && a.Alias == "" && a.MasterIndex == 0 && a.Flags&net.FlagUp == 0
}

// ensureVLAN makes the uplink if it is a VLAN and missing, sees to it that the trunk of one
// that gangway made is up, and returns the uplink; nil for none.
func (h *Handle) ensureVLAN(p spec.LANPort) (link netlink.Link, fixed []string, err error) {
	link, err = h.find(p.Link)
	if err != nil || p.VLAN == 0 {
		return link, nil, err
	}
	if link == nil {
		if link, err = h.createVLAN(p); err != nil {
			return nil, nil, err
		}
		fixed = append(fixed, "VLAN link "+p.Link+" was missing: created")
	}
	if unfinishedVLAN(link) {
		err = h.note(link, p.NetworkID)
		if err == nil {
			link, err = h.find(p.Link)
		}
	}
	if err != nil || link == nil || !made(link, p.NetworkID) {
		return link, fixed, err
	}
	raised, err := h.raiseTrunk(link, p.NetworkID)
	return link, append(fixed, raised...), err
}

// note notes on a VLAN that it was made for the network.
func (h *Handle) note(link netlink.Link, networkID string) error {
	if _, err := h.lend(link, networkID, loanMade); err != nil {
		return err
	}
	return h.change(func() error {
		return wrap(h.nl.LinkSetGroup(link, 0), "reset the group of VLAN link %s", link.Attrs().Name)
	})
}

// createVLAN makes a VLAN, in gangway's interface group.
func (h *Handle) createVLAN(p spec.LANPort) (netlink.Link, error) {
	trunk, err := h.find(p.Trunk)
	switch {
	case err != nil:
		return nil, err
	case trunk == nil || trunk.Attrs().Name != p.Trunk:
		return nil, fmt.Errorf("uplink %s: there is no link of that name, nor a link %s to make VLAN %d on: name one of `ip link`, or create it", p.Link, p.Trunk, p.VLAN)
	}
	if why := unfitTrunk(trunk, sysfsNet); why != "" {
		return nil, fmt.Errorf("uplink %s: link %s, on which VLAN %d is to be made, %s", p.Link, p.Trunk, p.VLAN, why)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex, attrs.Group = p.Link, trunk.Attrs().Index, spec.LinkGroup
	err = h.change(func() error {
		return h.nl.LinkAdd(&netlink.Vlan{LinkAttrs: attrs, VlanId: p.VLAN, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q})
	})
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		return nil, fmt.Errorf("uplink %s: the kernel makes no VLANs: its module 8021q is missing (modprobe 8021q); load it, or name a link that is there: %w", p.Link, err)
	case errors.Is(err, unix.EEXIST):
		return nil, fmt.Errorf("uplink %s: link %s has VLAN %d already, on a link of another name (`ip -d link show type vlan`): name that one: %w", p.Link, p.Trunk, p.VLAN, err)
	case err != nil:
		return nil, fmt.Errorf("make VLAN %d on link %s: %w", p.VLAN, p.Trunk, err)
	}
	return h.find(p.Link)
}

// unfitTrunk says why no VLAN that containers can use can be on a link; "" for nothing.
func unfitTrunk(trunk netlink.Link, sysfs string) string {
	a := trunk.Attrs()
	switch {
	case oneAddress(trunk, sysfs):
		return takesOneAddress
	case owner(trunk) != "":
		return "is gangway's own: name a link that leads to a LAN"
	case a.Flags&net.FlagLoopback != 0, a.EncapType != "ether":
		return fmt.Sprintf("has no hardware addresses of Ethernet (%s, %s): name a link that leads to a LAN", trunk.Type(), a.EncapType)
	}
	return ""
}

// trunkOf returns the link that a VLAN is on; nil for none in this namespace.
func (h *Handle) trunkOf(link netlink.Link) (netlink.Link, error) {
	a := link.Attrs()
	if link.Type() != kindVLAN || a.NetNsID >= 0 || a.ParentIndex <= 0 {
		return nil, nil
	}
	return h.byIndex(a.ParentIndex)
}

// raiseTrunk sets the trunk up, without which no VLAN on it is. If it was down before any
// network set it up, each that uses it notes that, and the last one sets it down again.
func (h *Handle) raiseTrunk(link netlink.Link, networkID string) (fixed []string, err error) {
	trunk, err := h.trunkOf(link)
	if err != nil || trunk == nil {
		return nil, err
	}
	lent := loans(trunk)
	down := trunk.Attrs().Flags&net.FlagUp == 0
	for _, of := range lent {
		down = down || slices.Contains(of, loanTrunk)
	}
	if down {
		if _, err = h.lend(trunk, networkID, loanTrunk); err != nil {
			return nil, err
		}
	}
	if trunk.Attrs().Flags&net.FlagUp != 0 {
		return nil, nil
	}
	name := trunk.Attrs().Name
	err = h.change(func() error { return wrap(h.nl.LinkSetUp(trunk), "set link %s up", name) })
	return []string{"link " + name + " was down: set up"}, err
}

// leaveTrunk gives back what was changed of the trunk of a VLAN that has gone.
func (h *Handle) leaveTrunk(ctx context.Context, p spec.LANPort) error {
	if p.VLAN == 0 {
		return nil
	}
	trunk, err := h.find(p.Trunk)
	if err != nil || trunk == nil || len(loans(trunk)[p.NetworkID]) == 0 {
		return err
	}
	return h.giveBack(ctx, trunk, p.NetworkID)
}
