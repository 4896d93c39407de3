package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// What the host has on an uplink moves to the bridge, and back. There is no list of it that could
// be lost: whatever is on the link is to be on the bridge as long as there is the network, and
// whatever is on the bridge on the link afterwards, also what somebody has put there
// meanwhile. A move that a crash has cut short is gone on with from whichever state it has left.
//
// Nothing is taken away on one side before all of it is on the other, and a route comes beside the one
// that it takes the place of. So there is no moment without the addresses or a way: a flow of
// the host goes on, and with it the session of whoever makes the network. A port sends by itself, but hears
// no answers of ARP: what is known of neighbours comes along, so that whoever is ended in
// the middle leaves a host that its neighbours still reach.

// resemble makes the bridge what the uplink is to neighbours and to the host: its hardware address, by
// which the LAN knows the host, its MTU, and its settings of IPv6.
func (j *joining) resemble(context.Context) error {
	h, link, bridge := j.h, j.link.Attrs(), j.bridge.Attrs()
	if !bytes.Equal(link.HardwareAddr, bridge.HardwareAddr) {
		if err := h.change(func() error { return h.nl.LinkSetHardwareAddr(j.bridge, link.HardwareAddr) }); err != nil {
			return fmt.Errorf("give bridge %s the hardware address of uplink %s: %w", bridge.Name, link.Name, err)
		}
		j.fixed = append(j.fixed, fmt.Sprintf("bridge %s: hardware address was %s: set to %s, that of uplink %s", bridge.Name, bridge.HardwareAddr, link.HardwareAddr, link.Name))
	}
	// Set once it is the bridge's own, and no port makes it smaller.
	if bridge.MTU != link.MTU || bridge.MasterIndex == 0 && link.MasterIndex != bridge.Index {
		if err := h.change(func() error { return h.nl.LinkSetMTU(j.bridge, link.MTU) }); err != nil {
			return fmt.Errorf("set the MTU of bridge %s to %d: %w", bridge.Name, link.MTU, err)
		}
	}
	if link.MasterIndex == bridge.Index {
		return nil
	}
	return j.settings6()
}

// settings6 gives the bridge the uplink's settings of IPv6. Whether an address is somebody
// else's the uplink has found out.
func (j *joining) settings6() error {
	const conf = "net/ipv6/conf/"
	from, to := conf+j.link.Attrs().Name+"/", conf+j.bridge.Attrs().Name+"/"
	if !j.h.sys.has(from) || !j.h.sys.has(to) {
		return nil
	}
	for _, name := range []string{"accept_ra", "autoconf", "use_tempaddr", "accept_dad", "disable_ipv6"} {
		want, err := j.h.sys.get(from + name)
		if name == "accept_dad" {
			want = "0"
		}
		if err == nil {
			err = j.h.change(func() error { return j.h.sys.set(to+name, want) })
		}
		if err != nil {
			return fmt.Errorf("bridge %s: %w", j.bridge.Attrs().Name, err)
		}
	}
	return nil
}

// move puts on the bridge what is on the uplink.
func (j *joining) move(ctx context.Context) (err error) {
	var moved []string
	j.left, moved, err = j.h.copyHost(ctx, j.link, j.bridge)
	for _, what := range moved {
		j.fixed = append(j.fixed, fmt.Sprintf("%s was on uplink %s: moved to bridge %s", what, j.port.Link, j.port.Bridge))
	}
	return err
}

// clear takes away from the uplink what is on the bridge by now.
func (j *joining) clear(context.Context) error {
	if err := j.h.clearRoutes(j.link, j.left); err != nil {
		return err
	}
	return j.h.clearAddresses(j.link, j.left)
}

// moveBack puts on the uplink what is on the network's bridge, and takes it away there. A
// bridge that has gone has nothing.
func (h *Handle) moveBack(ctx context.Context, link netlink.Link, networkID string) error {
	bridge, err := h.bridgeOf(ctx, networkID)
	if err != nil || bridge == nil {
		return err
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		if err = h.change(func() error { return h.nl.LinkSetUp(link) }); err != nil {
			return fmt.Errorf("set link %s up: %w", link.Attrs().Name, err)
		}
	}
	left, _, err := h.copyHost(ctx, bridge, link)
	if err != nil {
		return err
	}
	// As a port the link sends by itself, and hears by the bridge; a bridge without it sends to nobody.
	if err = h.clearRoutes(bridge, left); err != nil {
		return err
	}
	if err = h.change(func() error { return h.releasePort(link, networkID) }); err != nil {
		return err
	}
	return h.clearAddresses(bridge, left)
}

// bridgeOf returns the bridge that gangway made for a network, whatever its name; nil for none.
func (h *Handle) bridgeOf(ctx context.Context, networkID string) (netlink.Link, error) {
	all, err := h.links(ctx)
	if i := slices.IndexFunc(all, func(l netlink.Link) bool { return l.Type() == kindBridge && owner(l) == networkID }); i >= 0 {
		return all[i], nil
	}
	return nil, err
}

// returnMoved moves back what is on a bridge that is about to go.
func (h *Handle) returnMoved(ctx context.Context, bridge netlink.Link) error {
	id := owner(bridge)
	all, err := h.links(ctx)
	if err != nil {
		return err
	}
	for _, l := range all {
		if slices.Contains(loans(l)[id], loanMove) {
			return h.giveBack(ctx, l, id)
		}
	}
	return nil
}

// hosted is what somebody has given the host on a link: not its link-local addresses of IPv6, which
// each link makes for itself, nor what gangway routes there.
type hosted struct{ addresses, routes []message }

// copyHost puts on one link what the host has on another, and returns that, and in words what of
// it was new.
func (h *Handle) copyHost(ctx context.Context, from, to netlink.Link) (all hosted, news []string, err error) {
	if all, err = h.hostOn(ctx, from); err != nil {
		return all, nil, err
	}
	names := [2]string{from.Attrs().Name, to.Attrs().Name}
	for _, a := range all.addresses {
		if err = h.tell(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, a.on(from, to)); err != nil {
			return all, news, fmt.Errorf("give link %s the %s of link %s: %w", names[1], a, names[0], err)
		}
		news = append(news, a.String())
	}
	// A route may go by one that comes later.
	for routes := all.routes; len(routes) > 0; {
		var left []message
		for _, r := range routes {
			// A new one comes behind the old, and takes its place as that goes.
			err = h.tell(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, r.on(from, to))
			switch {
			case err == nil:
				news = append(news, r.String())
			case errors.Is(err, unix.EEXIST): // it came with the address
			default:
				left = append(left, r)
			}
		}
		if len(left) == len(routes) {
			return all, news, fmt.Errorf("have the %s of link %s lead by %s: %w", left[len(left)-1], names[0], names[1], err)
		}
		routes = left
	}
	return all, news, h.copyNeighbours(ctx, from, to)
}

// copyNeighbours tells a link what another knows of neighbours, as far as it knows nothing itself.
func (h *Handle) copyNeighbours(ctx context.Context, from, to netlink.Link) error {
	const known = unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE | unix.NUD_PERMANENT
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		all, err := dump(ctx, "neighbours", func() ([]netlink.Neigh, error) { return h.nl.NeighList(from.Attrs().Index, family) })
		if err != nil {
			return err
		}
		for _, n := range all {
			if n.State&known == 0 || len(n.HardwareAddr) == 0 {
				continue
			}
			if n.LinkIndex = to.Attrs().Index; n.State != unix.NUD_PERMANENT {
				n.State = unix.NUD_REACHABLE
			}
			err := h.change(func() error { return h.nl.NeighAdd(&n) })
			if err != nil && !errors.Is(err, unix.EEXIST) {
				return fmt.Errorf("tell link %s of the neighbour %s of %s: %w", to.Attrs().Name, n.IP, from.Attrs().Name, err)
			}
		}
	}
	return nil
}

// clearRoutes takes away from a link the routes that lead by another by now.
func (h *Handle) clearRoutes(link netlink.Link, all hosted) error {
	for _, r := range all.routes {
		if err := h.tell(unix.RTM_DELROUTE, 0, r); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("remove the %s from link %s: %w", r, link.Attrs().Name, err)
		}
	}
	return nil
}

// clearAddresses takes away from a link the addresses that another has by now.
func (h *Handle) clearAddresses(link netlink.Link, all hosted) error {
	for _, a := range slices.Backward(all.addresses) {
		if err := h.tell(unix.RTM_DELADDR, 0, a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("remove the %s from link %s: %w", a, link.Attrs().Name, err)
		}
	}
	return nil
}

// hostOn lists it.
func (h *Handle) hostOn(ctx context.Context, link netlink.Link) (all hosted, err error) {
	index := uint32(link.Attrs().Index)
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		addresses, err := h.messages(ctx, unix.RTM_GETADDR, family, index)
		if err != nil {
			return all, err
		}
		for _, m := range addresses {
			a, failed := parseAddress(m.data)
			if failed != nil {
				return all, failed
			}
			if a.link == link.Attrs().Index && (a.Addr().Is4() || a.global()) {
				all.addresses = append(all.addresses, m)
			}
		}
		routes, err := h.messages(ctx, unix.RTM_GETROUTE, family, index)
		if err != nil {
			return all, err
		}
		for _, m := range routes {
			legs, err := m.by(index)
			if err != nil {
				return all, err
			}
			all.routes = append(all.routes, legs...)
		}
	}
	return all, nil
}
