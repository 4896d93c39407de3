package link

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/nlattr"
	"github.com/gangway-net/gangway/driver/spec"
)

// An address or a route that moves is sent back to the kernel in the words in which it was told, with
// another link: metrics, lifetimes, labels, protocols, and what kernels to come add. The
// library's structures have a part of it.

// message is an address or a route as the kernel tells it.
type message struct {
	// header is the size of what is before the attributes.
	header int
	data   []byte
}

// Of linux/rtnetlink.h and linux/if_addr.h, as far as package unix lacks them.
const (
	rtaExpires   = 23
	rtaNextHop   = 30 // RTA_NH_ID
	clockTicks   = 100
	onlyOnLink   = unix.RTNH_F_ONLINK
	nextHopSize  = 8 // struct rtnexthop
	cacheExpires = 8 // rta_expires in struct rta_cacheinfo
)

// messages lists the addresses or routes of a link, of one family.
func (h *Handle) messages(ctx context.Context, kind int, family uint8, index uint32) ([]message, error) {
	what, answer, header := "addresses", uint16(unix.RTM_NEWADDR), make([]byte, unix.SizeofIfAddrmsg)
	header[0] = family
	if kind == unix.RTM_GETROUTE {
		what, answer, header = "routes", unix.RTM_NEWROUTE, make([]byte, unix.SizeofRtMsg)
		header[0] = family
		header = append(header, nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(index)).Serialize()...)
	} else {
		binary.NativeEndian.PutUint32(header[4:], index)
	}
	return dump(ctx, what, func() ([]message, error) {
		req := nl.NewNetlinkRequest(kind, unix.NLM_F_DUMP)
		req.Sockets = h.raw
		req.AddRawData(header)
		answers, err := req.Execute(unix.NETLINK_ROUTE, answer)
		if err != nil {
			return nil, err
		}
		all := make([]message, 0, len(answers))
		for _, m := range answers {
			size := unix.SizeofIfAddrmsg
			if kind == unix.RTM_GETROUTE {
				size = unix.SizeofRtMsg
			}
			if len(m) >= size {
				all = append(all, message{size, m})
			}
		}
		return all, nil
	})
}

// tell has the kernel change an address or a route.
func (h *Handle) tell(kind, flags int, m message) error {
	return h.change(func() error {
		req := nl.NewNetlinkRequest(kind, flags|unix.NLM_F_ACK)
		req.Sockets = h.raw
		req.AddRawData(m.data)
		_, err := req.Execute(unix.NETLINK_ROUTE, 0)
		return err
	})
}

// route says whether the message is about a route.
func (m message) route() bool { return m.header == unix.SizeofRtMsg }

// attribute is the value of one of its attributes, nil for none.
func (m message) attribute(kind uint16) []byte {
	value, err := attribute(m.data, m.header, kind)
	if err != nil {
		return nil
	}
	return value
}

// String names it as ip(8) does.
func (m message) String() string {
	if !m.route() {
		a, err := parseAddress(m.data)
		if err != nil {
			return "address"
		}
		return "address " + a.String()
	}
	to := "default"
	if a, ok := netip.AddrFromSlice(m.attribute(unix.RTA_DST)); ok {
		to = netip.PrefixFrom(a, int(m.data[1])).String()
	}
	if via, ok := netip.AddrFromSlice(m.attribute(unix.RTA_GATEWAY)); ok {
		to += " via " + via.String()
	}
	return "route " + to
}

// by returns of a route what leads by a link and was not made by the kernel for it alone: itself,
// or, of IPv6, its legs, which come and go one by one.
func (m message) by(index uint32) (legs []message, err error) {
	const local, cloned = unix.RT_TABLE_LOCAL, unix.RTM_F_CLONED
	table := uint32(m.data[4])
	if t := m.attribute(unix.RTA_TABLE); len(t) == 4 {
		table = binary.NativeEndian.Uint32(t)
	}
	to, _ := netip.AddrFromSlice(m.attribute(unix.RTA_DST))
	switch flags := binary.NativeEndian.Uint32(m.data[8:]); {
	case m.data[7] != unix.RTN_UNICAST, table == local, flags&cloned != 0, m.data[5] == spec.RouteProtocol,
		to.Is6() && (to.IsMulticast() || to.IsLinkLocalUnicast()):
		return nil, nil
	case m.attribute(rtaNextHop) != nil:
		return nil, fmt.Errorf("the %s goes by an object of `ip nexthop`, which gangway does not move: set it without (ip route replace … via … dev …)", m)
	}
	if oif := m.attribute(unix.RTA_OIF); len(oif) == 4 && binary.NativeEndian.Uint32(oif) == index {
		return []message{m}, nil
	}
	for leg := range nextHops(m.attribute(unix.RTA_MULTIPATH)) {
		switch {
		case binary.NativeEndian.Uint32(leg[4:]) != index:
		case m.data[0] == unix.AF_INET:
			return []message{m}, nil
		default:
			legs = append(legs, m.leg(leg))
		}
	}
	return legs, nil
}

// nextHops visits the legs of a route of several.
func nextHops(b []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) >= nextHopSize {
			size := int(binary.NativeEndian.Uint16(b))
			if size < nextHopSize || size > len(b) || !yield(b[:size]) {
				return
			}
			b = b[min((size+3)&^3, len(b)):]
		}
	}
}

// leg is one leg of a route as a route of its own.
func (m message) leg(hop []byte) message {
	one := message{m.header, slices.Clone(m.data[:m.header])}
	for a, err := range nlattr.All(m.data[m.header:]) {
		if err == nil && a.Kind != unix.RTA_MULTIPATH {
			one.data = append(one.data, a.Whole...)
		}
	}
	one.data = append(one.data, nl.NewRtAttr(unix.RTA_OIF, hop[4:8]).Serialize()...)
	one.data = append(one.data, hop[nextHopSize:]...)
	return one
}

// on is the same of another link.
func (m message) on(from, to netlink.Link) message {
	index := binary.NativeEndian.AppendUint32(nil, uint32(to.Attrs().Index))
	moved := message{m.header, slices.Clone(m.data[:m.header])}
	add := func(kind int, value []byte) {
		moved.data = append(moved.data, nl.NewRtAttr(kind, value).Serialize()...)
	}
	if m.route() {
		flags := binary.NativeEndian.Uint32(m.data[8:]) & onlyOnLink
		binary.NativeEndian.PutUint32(moved.data[8:], flags)
	} else {
		copy(moved.data[4:8], index)
	}
	for a, err := range nlattr.All(m.data[m.header:]) {
		switch {
		case err != nil:
		case m.route():
			routeOn(a, index, uint32(from.Attrs().Index), add)
		default:
			addressOn(a, m.data[0], from.Attrs().Name, add)
		}
		if err == nil && unchanged(m, a.Kind) {
			moved.data = append(moved.data, a.Whole...)
		}
	}
	return moved
}

// unchanged says whether an attribute says the same of another link. What tells of the kernel's own
// use of a route is left out.
func unchanged(m message, kind uint16) bool {
	if m.route() {
		return !slices.Contains([]uint16{unix.RTA_OIF, unix.RTA_IIF, unix.RTA_MULTIPATH, unix.RTA_CACHEINFO}, kind)
	}
	return kind != unix.IFA_LABEL && kind != unix.IFA_FLAGS
}

// routeOn adds what of a route's attribute is another by another link.
func routeOn(a nlattr.Attribute, index []byte, from uint32, add func(int, []byte)) {
	switch a.Kind {
	case unix.RTA_OIF:
		add(unix.RTA_OIF, index)
	case unix.RTA_MULTIPATH:
		hops := slices.Clone(a.Value)
		for hop := range nextHops(hops) {
			hop[2] &= onlyOnLink // rtnh_flags
			if binary.NativeEndian.Uint32(hop[4:]) == from {
				copy(hop[4:8], index)
			}
		}
		add(unix.RTA_MULTIPATH, hops)
	case unix.RTA_CACHEINFO:
		if len(a.Value) < cacheExpires+4 {
			return
		}
		if left := int32(binary.NativeEndian.Uint32(a.Value[cacheExpires:])); left > 0 {
			add(rtaExpires, binary.NativeEndian.AppendUint32(nil, uint32(left/clockTicks)))
		}
	}
}

// addressOn adds what of an address's attribute is another on another link. Whether somebody else
// has the address has been found out.
func addressOn(a nlattr.Attribute, family uint8, from string, add func(int, []byte)) {
	switch a.Kind {
	case unix.IFA_LABEL:
		if unix.ByteSliceToString(a.Value) != from {
			add(unix.IFA_LABEL, a.Value)
		}
	case unix.IFA_FLAGS:
		if len(a.Value) < 4 {
			return
		}
		flags := binary.NativeEndian.Uint32(a.Value)
		if family == unix.AF_INET6 {
			flags |= unix.IFA_F_NODAD
		}
		add(unix.IFA_FLAGS, binary.NativeEndian.AppendUint32(nil, flags))
	}
}
