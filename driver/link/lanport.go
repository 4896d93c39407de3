package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
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
	bridge, err := h.find(p.Bridge)
	if err != nil {
		return nil, err
	}
	if !owns(bridge, p.Bridge, p.NetworkID) {
		return nil, fmt.Errorf("put link %s into bridge %s: the bridge is not there", p.Link, p.Bridge)
	}
	j := &joining{h: h, port: p, bridge: bridge}
	if err = j.run(ctx); err != nil {
		if j.added {
			err = errors.Join(err, h.returnNew(ctx, p))
		}
		return nil, err
	}
	return j.fixed, nil
}

// joining brings an uplink into its bridge and keeps account of what it did.
type joining struct {
	h            *Handle
	port         spec.LANPort
	link, bridge netlink.Link
	fixed        []string
	// added says that the link was not noted before.
	added bool
	// left is what is still on the uplink, though it is on the bridge by now.
	left hosted
}

// run takes the steps in their order. What they change is noted first, by which a crash is gone on
// with, or taken back.
func (j *joining) run(ctx context.Context) (err error) {
	h, p := j.h, j.port
	if j.link, j.fixed, err = h.ensureVLAN(p); err != nil {
		return err
	}
	j.added = len(j.fixed) > 0
	switch {
	case j.link == nil:
		return fmt.Errorf("uplink %s: there is no link of that name: name one of `ip link`, or create it", p.Link)
	case j.link.Attrs().Name != p.Link:
		return fmt.Errorf("uplink %s: that is an alternative name of link %s; name the link itself", p.Link, j.link.Attrs().Name)
	}
	joined := j.link.Attrs().MasterIndex == j.bridge.Attrs().Index
	if !joined {
		if err = h.checkUplink(ctx, j.link, p); err != nil {
			return err
		}
	}
	added, err := h.borrow(j.link, p)
	if j.added = j.added || added; err != nil {
		return err
	}
	var steps []func(context.Context) error
	if p.Move {
		steps = append(steps, j.resemble, j.move)
	}
	if !joined {
		steps = append(steps, j.join)
	}
	steps = append(steps, j.up)
	if p.Move {
		steps = append(steps, j.clear)
	}
	for _, step := range steps {
		if err = ctx.Err(); err == nil {
			err = step(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// up sets the link up.
func (j *joining) up(context.Context) error {
	if j.link.Attrs().Flags&net.FlagUp != 0 {
		return nil
	}
	err := j.h.change(func() error { return j.h.nl.LinkSetUp(j.link) })
	if errors.Is(err, unix.ENETDOWN) {
		return fmt.Errorf("set link %s up: the link below it is down, set that up (ip link set … up): %w", j.port.Link, err)
	}
	j.fixed = append(j.fixed, "link "+j.port.Link+" was down: set up")
	return wrap(err, "set link %s up", j.port.Link)
}

// borrow notes on an uplink what it was before the network used it, and says whether that is new. What
// somebody does to it later is no part of that.
func (h *Handle) borrow(link netlink.Link, p spec.LANPort) (added bool, err error) {
	lent := loans(link)[p.NetworkID]
	var want []loan
	if !slices.Contains(lent, loanPort) && link.Attrs().Flags&net.FlagUp == 0 {
		want = append(want, loanUp)
	}
	if p.Move {
		want = append(want, loanMove)
	}
	want = append(want, loanPort)
	for _, l := range want {
		news, err := h.lend(link, p.NetworkID, l)
		if added = added || news; err != nil {
			return added, err
		}
	}
	return added, nil
}

// returnNew gives back an uplink that could not be used, whatever becomes of the call.
func (h *Handle) returnNew(ctx context.Context, p spec.LANPort) error {
	ctx, cancel := undo.Context(ctx)
	defer cancel()
	return h.DeleteLANPort(ctx, p)
}

// DeleteLANPort takes an uplink out of the bridge, and gives back what else was changed. What is gone
// already is no error.
func (h *Handle) DeleteLANPort(ctx context.Context, p spec.LANPort) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	link, err := h.find(p.Link)
	if err != nil {
		return err
	}
	switch {
	case link == nil:
	case p.VLAN != 0 && link.Attrs().Name == p.Link && unfinishedVLAN(link):
		err = h.change(func() error { return h.remove(link) })
	default:
		err = h.giveBack(ctx, link, p.NetworkID)
	}
	return errors.Join(err, h.leaveTrunk(ctx, p))
}

// unjoined says whether EnsureLANPort would mend anything, or has to say why it cannot.
func (h *Handle) unjoined(ctx context.Context, p spec.LANPort, _ asked) (bool, error) {
	bridge, err := h.find(p.Bridge)
	if err != nil || !owns(bridge, p.Bridge, p.NetworkID) {
		return false, err // the bridge comes first
	}
	link, err := h.find(p.Link)
	if err != nil || link == nil {
		return err == nil, err
	}
	a := link.Attrs()
	if out := a.MasterIndex != bridge.Attrs().Index || a.Flags&net.FlagUp == 0; out || !p.Move {
		return out, nil
	}
	own, err := h.hostAddress(ctx, link)
	return own.IsValid() || a.MTU != bridge.Attrs().MTU || !bytes.Equal(a.HardwareAddr, bridge.Attrs().HardwareAddr), err
}

// hostAddress is an address by which the host is reached over a link; invalid for none.
func (h *Handle) hostAddress(ctx context.Context, link netlink.Link) (netip.Prefix, error) {
	have, err := h.addresses(ctx, link, unix.AF_UNSPEC)
	for _, a := range have {
		if a.Addr().Is4() || a.global() {
			return a.Prefix, err
		}
	}
	return netip.Prefix{}, err
}

// checkUplink says whether a link that is not in the bridge yet can be put there.
func (h *Handle) checkUplink(ctx context.Context, link netlink.Link, p spec.LANPort) error {
	a := link.Attrs()
	if why := unfit(link, sysfsNet); why != "" {
		return fmt.Errorf("uplink %s %s", p.Link, why)
	}
	if trunk, err := h.trunkOf(link); err != nil {
		return err
	} else if trunk != nil && oneAddress(trunk, sysfsNet) {
		return fmt.Errorf("uplink %s is on link %s, which %s", p.Link, trunk.Attrs().Name, takesOneAddress)
	}
	for id, lent := range loans(link) {
		if id != p.NetworkID && slices.Contains(lent, loanPort) {
			return fmt.Errorf("uplink %s is used by the network %s; name another link", p.Link, id)
		}
	}
	if a.MTU < p.MTU {
		return fmt.Errorf("uplink %s takes packets of %d bytes, and containers would send %d: give the network com.docker.network.driver.mtu=%d, or raise the link's", p.Link, a.MTU, p.MTU, a.MTU)
	}
	if p.Move {
		return nil
	}
	const move = "let what the host has there move to the bridge (-o gangway.uplink.move=true), name a link that the host does not use itself"
	own, err := h.hostAddress(ctx, link)
	if err != nil {
		return err
	}
	if own.IsValid() {
		return fmt.Errorf("uplink %s has the address %s, by which the host would not be reached any more: %s, or take the address away (`ip address del %s dev %s`)", p.Link, own, move, own, p.Link)
	}
	defaults, err := h.defaultLinks(ctx)
	if err != nil {
		return err
	}
	if defaults[a.Index] {
		return fmt.Errorf("uplink %s: the host's default route leads by it: %s", p.Link, move)
	}
	return nil
}

// join makes the link a port.
func (j *joining) join(context.Context) error {
	err := j.h.change(func() error { return j.h.nl.LinkSetMaster(j.link, j.bridge) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("put uplink %s (%s) into bridge %s: its driver cannot be a port of a bridge; name another link: %w",
			j.port.Link, j.link.Type(), j.port.Bridge, err)
	}
	j.fixed = append(j.fixed, "link "+j.port.Link+" was no port of bridge "+j.port.Bridge+": put into it")
	return wrap(err, "put uplink %s into bridge %s", j.port.Link, j.port.Bridge)
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
	switch kind := link.Type(); {
	case a.Flags&net.FlagLoopback != 0:
		return "is loopback: name a link that leads to a LAN"
	case kind == kindBridge:
		return "is a bridge: give its name as com.docker.network.bridge.name instead, with com.docker.network.bridge.inhibit_ipv4=true"
	case owner(link) != "":
		return "is gangway's own: name a link that leads to a LAN"
	case a.MasterIndex != 0:
		return fmt.Sprintf("is a port of another link already (number %d): take it out (`ip link set %s nomaster`), or name that one", a.MasterIndex, a.Name)
	case oneAddress(link, sysfs):
		return takesOneAddress
	case a.EncapType != "ether":
		return fmt.Sprintf("has no hardware addresses of Ethernet (%s, %s): name a link that leads to a LAN", kind, a.EncapType)
	}
	return ""
}

const takesOneAddress = "takes one hardware address only, and each container has its own: name a wired link"

// oneAddress says whether a link is known to take frames of one hardware address only. That of a
// virtual machine may as well, which no kernel tells.
func oneAddress(link netlink.Link, sysfs string) bool {
	return slices.Contains([]string{"macvlan", "macvtap", "ipvlan", "ipvtap"}, link.Type()) || wireless(link.Attrs().Name, sysfs)
}

// wireless says whether a link is a wireless one: an access point passes on no frames but with the address that
// joined it.
func wireless(name, sysfs string) bool {
	_, err := os.Stat(filepath.Join(sysfs, name, "phy80211"))
	return err == nil
}
