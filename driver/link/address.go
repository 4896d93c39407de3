package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"go4.org/netipx"
	"golang.org/x/sys/unix"
)

// address is one address of a link.
type address struct {
	netip.Prefix
	// peer is the other side's address, the same one unless it is point to point.
	peer  netip.Addr
	link  int
	scope uint8
	flags uint32
}

// global says whether the address is more than link-local.
func (a address) global() bool {
	return a.scope == unix.RT_SCOPE_UNIVERSE && !a.Addr().IsLinkLocalUnicast()
}

// addresses returns the addresses of one link, or of all if link is nil, of one
// family or of both (AF_UNSPEC). netlink.Handle's AddrList has the kernel dump
// those of every link always, which makes a verb cost more the more networks there
// are.
func (h *Handle) addresses(ctx context.Context, link netlink.Link, family int) ([]address, error) {
	index, what := uint32(0), "addresses"
	if link != nil {
		index, what = uint32(link.Attrs().Index), "addresses of "+link.Attrs().Name
	}
	return dump(ctx, what, func() ([]address, error) {
		req := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
		req.Sockets = h.raw
		msg := nl.NewIfAddrmsg(family)
		msg.Index = index
		req.AddData(msg)
		answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWADDR)
		if err != nil {
			return nil, err
		}
		var all []address
		for _, m := range answers {
			if got := nl.DeserializeIfAddrmsg(m).Index; index != 0 && got != index {
				continue
			}
			a, err := parseAddress(m)
			if err != nil {
				return nil, err
			}
			all = append(all, a)
		}
		return all, nil
	})
}

// parseAddress reads an RTM_NEWADDR message. The address is IFA_LOCAL where
// that is there (IPv4, point to point), else IFA_ADDRESS.
func parseAddress(m []byte) (address, error) {
	if len(m) < unix.SizeofIfAddrmsg {
		return address{}, fmt.Errorf("address message of %d bytes, fewer than its header's %d", len(m), unix.SizeofIfAddrmsg)
	}
	msg := nl.DeserializeIfAddrmsg(m)
	a := address{link: int(msg.Index), scope: msg.Scope, flags: uint32(msg.Flags)}
	var local netip.Addr
	err := attributes(m, unix.SizeofIfAddrmsg, func(kind uint16, value []byte) {
		switch kind {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(value)
		case unix.IFA_ADDRESS:
			a.peer, _ = netip.AddrFromSlice(value)
		case unix.IFA_FLAGS:
			if len(value) >= 4 {
				a.flags = nl.NativeEndian().Uint32(value)
			}
		}
	})
	if err != nil {
		return address{}, fmt.Errorf("address message: %w", err)
	}
	if !local.IsValid() {
		local = a.peer
	}
	a.Prefix = netip.PrefixFrom(local, int(msg.Prefixlen))
	if !a.IsValid() {
		return address{}, fmt.Errorf("address message with %s/%d", local, msg.Prefixlen)
	}
	return a, nil
}

// addAddress adds a gateway address. An IPv6 address skips duplicate address
// detection, so that it answers at once, even as long as the bridge has no
// port; an IPv4 address gets no broadcast address, as with the built-in driver.
func (h *Handle) addAddress(link netlink.Link, p netip.Prefix) error {
	a := toNetlink(p)
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	if err := h.nl.AddrAdd(link, a); err != nil {
		return fmt.Errorf("add address %s to %s: %w", p, link.Attrs().Name, err)
	}
	return nil
}

// removeAddress removes an address; it is no error if it is gone already.
func (h *Handle) removeAddress(link netlink.Link, p netip.Prefix) error {
	err := h.nl.AddrDel(link, toNetlink(p))
	if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("remove address %s from %s: %w", p, link.Attrs().Name, err)
	}
	return nil
}

func toNetlink(p netip.Prefix) *netlink.Addr {
	return &netlink.Addr{IPNet: netipx.PrefixIPNet(p), Broadcast: net.IPv4zero}
}
