package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// proxyEntry is an address for which the kernel answers by a link (struct pneigh_entry).
type proxyEntry struct {
	link    int
	address netip.Addr
}

// ndMsg is the size of struct ndmsg.
const ndMsg = 12

// proxyEntries returns who has made each entry (rtm_protocol), of one link, or of all.
func (h *Handle) proxyEntries(ctx context.Context, index int) (map[proxyEntry]uint8, error) {
	return dump(ctx, "proxy neighbour entries", func() (map[proxyEntry]uint8, error) {
		req := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, unix.NLM_F_DUMP)
		req.Sockets = h.raw
		req.AddData(&netlink.Ndmsg{Family: unix.AF_INET6, Flags: unix.NTF_PROXY})
		if index != 0 {
			req.AddData(nl.NewRtAttr(netlink.NDA_IFINDEX, nl.Uint32Attr(uint32(index))))
		}
		answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
		if err != nil {
			return nil, err
		}
		all := make(map[proxyEntry]uint8, len(answers))
		for _, m := range answers {
			if e, protocol, ok := parseProxyEntry(m); ok && (index == 0 || e.link == index) {
				all[e] = protocol
			}
		}
		return all, nil
	})
}

// proxyEntry says whether there is an entry, and who has made it.
func (h *Handle) proxyEntry(e proxyEntry) (protocol uint8, there bool, err error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, 0)
	req.Sockets = h.raw
	req.AddData(&netlink.Ndmsg{Family: unix.AF_INET6, Index: uint32(e.link), Flags: unix.NTF_PROXY})
	req.AddData(nl.NewRtAttr(netlink.NDA_DST, e.address.AsSlice()))
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
	if errors.Is(err, unix.ENOENT) || notFound(err) {
		return 0, false, nil
	}
	if err != nil || len(answers) == 0 {
		return 0, false, wrap(err, "look for a proxy neighbour entry")
	}
	_, protocol, there = parseProxyEntry(answers[0])
	return protocol, there, nil
}

func parseProxyEntry(m []byte) (e proxyEntry, protocol uint8, ok bool) {
	err := attributes(m, ndMsg, func(kind uint16, value []byte) {
		switch kind {
		case netlink.NDA_DST:
			e.address, ok = netip.AddrFromSlice(value)
		case netlink.NDA_PROTOCOL:
			if len(value) == 1 {
				protocol = value[0]
			}
		}
	})
	if err != nil || !ok || m[0] != unix.AF_INET6 {
		return e, 0, false
	}
	e.link = int(binary.NativeEndian.Uint32(m[4:]))
	return e, protocol, true
}

func (h *Handle) addProxyEntry(e proxyEntry) error {
	return h.tellProxyEntry(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, e)
}

func (h *Handle) deleteProxyEntry(e proxyEntry) error {
	err := h.tellProxyEntry(unix.RTM_DELNEIGH, 0, e)
	if errors.Is(err, unix.ENOENT) || notFound(err) {
		return nil
	}
	return wrap(err, "remove the proxy neighbour entry of %s on link number %d", e.address, e.link)
}

func (h *Handle) tellProxyEntry(kind, flags int, e proxyEntry) error {
	return h.change(func() error {
		req := nl.NewNetlinkRequest(kind, flags|unix.NLM_F_ACK)
		req.Sockets = h.raw
		req.AddData(&netlink.Ndmsg{Family: unix.AF_INET6, Index: uint32(e.link), State: unix.NUD_PERMANENT, Flags: unix.NTF_PROXY})
		req.AddData(nl.NewRtAttr(netlink.NDA_DST, e.address.AsSlice()))
		if kind == unix.RTM_NEWNEIGH {
			req.AddData(nl.NewRtAttr(netlink.NDA_PROTOCOL, []byte{spec.RouteProtocol}))
		}
		_, err := req.Execute(unix.NETLINK_ROUTE, 0)
		return err
	})
}

// announceProxied tells everybody on the link where an address is from now on: routers would send to whoever had
// it before, as on another host, for half a minute and more. A link that is down cannot tell.
func (h *Handle) announceProxied(link netlink.Link, a netip.Addr) error {
	mac := link.Attrs().HardwareAddr
	if len(mac) != macLen {
		return nil
	}
	frame := unsolicitedAdvertisement(a, mac)
	to := &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index, Halen: macLen}
	copy(to.Addr[:], frame)
	if err := unix.Sendto(h.packets, frame, 0, to); err != nil && !errors.Is(err, unix.ENETDOWN) && !errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("announce %s on link %s: %w", a, link.Attrs().Name, err)
	}
	return nil
}
