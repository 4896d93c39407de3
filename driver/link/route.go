package link

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addressMetric is IP6_RT_PRIO_ADDRCONF of net/ip6_route.h; routes of IPv4 addresses
// have none.
const addressMetric = 256

// routes adds the routes to the gateways' subnets that are missing: the kernel makes
// one with each address and as the bridge comes up, and never again. An adopted
// bridge's belong to somebody else, and those of one in a VRF to another table.
//
// To add a route that is there is refused, and costs less than to look for it among
// all.
func (m *mender) routes() error {
	if m.bridge.Adopted || m.link.Attrs().MasterIndex != 0 {
		return nil
	}
	for _, p := range m.bridge.Addresses {
		if p.IsSingleIP() {
			continue // the kernel makes none
		}
		switch err := m.h.nl.RouteAdd(routeOf(p, m.link.Attrs().Index)); {
		case err == nil:
			m.fixed = append(m.fixed, fmt.Sprintf("bridge %s: route to %s was missing: added", m.bridge.Name, p.Masked()))
		case !errors.Is(err, unix.EEXIST):
			return fmt.Errorf("add the route to %s by bridge %s: %w", p.Masked(), m.bridge.Name, err)
		}
	}
	return nil
}

// routeOf is the route that the kernel makes for an address, by which it is removed
// with that (fib_add_ifaddr, addrconf_prefix_route).
func routeOf(p netip.Prefix, index int) *netlink.Route {
	r := &netlink.Route{
		LinkIndex: index,
		Dst:       toNetlink(p.Masked()).IPNet,
		Table:     unix.RT_TABLE_MAIN,
		Protocol:  unix.RTPROT_KERNEL,
		Type:      unix.RTN_UNICAST,
	}
	if p.Addr().Is4() {
		r.Scope, r.Src = netlink.SCOPE_LINK, p.Addr().AsSlice()
	} else {
		r.Priority = addressMetric
	}
	return r
}
