package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/driver/undo"
)

// An uplink is a port of the network's bridge, and stays its owner's: what is changed is noted on it
// as on a bridge that is adopted (see loan). It keeps its own hardware address and MTU.

// EnsureLANPort puts an uplink into the bridge, or mends that, and returns one line for each
// thing that was not as it should be. One that cannot be used is given back as it was.
func (h *Handle) EnsureLANPort(ctx context.Context, p spec.LANPort) (fixed []string, err error) {
	if err = ctx.Err(); err != nil {
		return nil, err
	}
	link, bridge, err := h.lanPort(p)
	if err != nil {
		return nil, err
	}
	port, up := link.Attrs().MasterIndex == bridge.Attrs().Index, link.Attrs().Flags&net.FlagUp != 0
	if port && up {
		return nil, nil
	}
	if !port {
		if err = h.checkUplink(ctx, link, p); err != nil {
			return nil, err
		}
	}
	added, err := h.borrow(link, p.NetworkID)
	if err == nil && !port {
		err = h.join(link, bridge)
		fixed = append(fixed, "link "+p.Link+" was no port of bridge "+p.Bridge+": put into it")
	}
	if err == nil && !up {
		err = wrap(h.nl.LinkSetUp(link), "set link %s up", p.Link)
		fixed = append(fixed, "link "+p.Link+" was down: set up")
	}
	if err != nil {
		if added {
			err = errors.Join(err, h.returnNew(ctx, link, p.NetworkID))
		}
		return nil, err
	}
	return fixed, nil
}

// borrow notes on an uplink what it was before the network used it, and says whether that is new. What
// somebody does to it later is no part of that.
func (h *Handle) borrow(link netlink.Link, networkID string) (added bool, err error) {
	if slices.Contains(loans(link)[networkID], loanPort) {
		return false, nil
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		if added, err = h.lend(link, networkID, loanUp); err != nil {
			return added, err
		}
	}
	port, err := h.lend(link, networkID, loanPort)
	return added || port, err
}

// returnNew gives back an uplink that could not be used, whatever becomes of the call.
func (h *Handle) returnNew(ctx context.Context, link netlink.Link, networkID string) error {
	ctx, cancel := undo.Context(ctx)
	defer cancel()
	link, err := h.byIndex(link.Attrs().Index)
	if err != nil || link == nil {
		return err
	}
	return h.giveBack(ctx, link, networkID)
}

// DeleteLANPort takes an uplink out of the bridge, and gives back what else was changed. What is gone
// already is no error.
func (h *Handle) DeleteLANPort(ctx context.Context, p spec.LANPort) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	link, err := h.find(p.Link)
	if err != nil || link == nil {
		return err
	}
	return h.giveBack(ctx, link, p.NetworkID)
}

// unjoined says whether EnsureLANPort would mend anything, or has to say why it cannot.
func (h *Handle) unjoined(p spec.LANPort) (bool, error) {
	bridge, err := h.find(p.Bridge)
	if err != nil || !owns(bridge, p.Bridge, p.NetworkID) {
		return false, err // the bridge comes first
	}
	link, err := h.find(p.Link)
	if err != nil || link == nil {
		return err == nil, err
	}
	a := link.Attrs()
	return a.MasterIndex != bridge.Attrs().Index || a.Flags&net.FlagUp == 0, nil
}

// lanPort returns an uplink and its bridge.
func (h *Handle) lanPort(p spec.LANPort) (link, bridge netlink.Link, err error) {
	if bridge, err = h.find(p.Bridge); err != nil {
		return nil, nil, err
	}
	if !owns(bridge, p.Bridge, p.NetworkID) {
		return nil, nil, fmt.Errorf("put link %s into bridge %s: the bridge is not there", p.Link, p.Bridge)
	}
	link, err = h.find(p.Link)
	switch {
	case err != nil:
		return nil, nil, err
	case link == nil:
		return nil, nil, fmt.Errorf("uplink %s: there is no link of that name: name one of `ip link`, or create it", p.Link)
	case link.Attrs().Name != p.Link:
		return nil, nil, fmt.Errorf("uplink %s: that is an alternative name of link %s; name the link itself", p.Link, link.Attrs().Name)
	}
	return link, bridge, nil
}

// checkUplink says whether a link that is not in the bridge yet can be put there.
func (h *Handle) checkUplink(ctx context.Context, link netlink.Link, p spec.LANPort) error {
	a := link.Attrs()
	if why := unfit(link, sysfsNet); why != "" {
		return fmt.Errorf("uplink %s %s", p.Link, why)
	}
	for id := range loans(link) {
		if id != p.NetworkID {
			return fmt.Errorf("uplink %s is used by the network %s; name another link", p.Link, id)
		}
	}
	if a.MTU < p.MTU {
		return fmt.Errorf("uplink %s takes packets of %d bytes, and containers would send %d: give the network com.docker.network.driver.mtu=%d, or raise the link's", p.Link, a.MTU, p.MTU, a.MTU)
	}
	have, err := h.addresses(ctx, link, unix.AF_UNSPEC)
	if err != nil {
		return err
	}
	for _, other := range have {
		if other.Addr().Is4() || other.global() {
			return fmt.Errorf("uplink %s has the address %s, by which the host would not be reached any more: name a link that the host does not use itself, or take the address away (`ip address del %s dev %s`)", p.Link, other.Prefix, other.Prefix, p.Link)
		}
	}
	defaults, err := h.defaultLinks(ctx)
	if err != nil {
		return err
	}
	if defaults[a.Index] {
		return fmt.Errorf("uplink %s: the host's default route leads by it: name a link that the host does not use itself", p.Link)
	}
	return nil
}

// join makes an uplink a port.
func (h *Handle) join(link, bridge netlink.Link) error {
	err := h.nl.LinkSetMaster(link, bridge)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ELOOP) {
		return fmt.Errorf("put uplink %s (%s) into bridge %s: its driver cannot be a port of a bridge; name another link: %w",
			link.Attrs().Name, link.Type(), bridge.Attrs().Name, err)
	}
	return wrap(err, "put uplink %s into bridge %s", link.Attrs().Name, bridge.Attrs().Name)
}

// releasePort takes an uplink out of the network's bridge; one that somebody has put elsewhere stays.
func (h *Handle) releasePort(link netlink.Link, networkID string) error {
	index := link.Attrs().MasterIndex
	if index == 0 {
		return nil
	}
	bridge, err := h.byIndex(index)
	if err != nil || bridge == nil || owner(bridge) != networkID {
		return err
	}
	return wrap(h.nl.LinkSetNoMaster(link), "take uplink %s out of bridge %s", link.Attrs().Name, bridge.Attrs().Name)
}

// sysfsNet is where the kernel shows links.
const sysfsNet = "/sys/class/net"

// unfit says why a link can be no uplink, whoever uses it; "" for nothing. A bridge sends with the
// hardware addresses of all that are behind it, so a link has to take any.
func unfit(link netlink.Link, sysfs string) string {
	a := link.Attrs()
	oneAddress := "takes one hardware address only, and each container has its own: name a wired link"
	switch kind := link.Type(); {
	case a.Flags&net.FlagLoopback != 0:
		return "is loopback: name a link that leads to a LAN"
	case kind == kindBridge:
		return "is a bridge: give its name as com.docker.network.bridge.name instead, with com.docker.network.bridge.inhibit_ipv4=true"
	case owner(link) != "":
		return "is gangway's own: name a link that leads to a LAN"
	case a.MasterIndex != 0:
		return fmt.Sprintf("is a port of another link already (number %d): take it out (`ip link set %s nomaster`), or name that one", a.MasterIndex, a.Name)
	case slices.Contains([]string{"macvlan", "macvtap", "ipvlan", "ipvtap"}, kind), wireless(a.Name, sysfs):
		return oneAddress
	case a.EncapType != "ether":
		return fmt.Sprintf("has no hardware addresses of Ethernet (%s, %s): name a link that leads to a LAN", kind, a.EncapType)
	}
	return ""
}

// wireless says whether a link is a wireless one: an access point passes on no frames but with the address that
// joined it.
func wireless(name, sysfs string) bool {
	_, err := os.Stat(filepath.Join(sysfs, name, "phy80211"))
	return err == nil
}
