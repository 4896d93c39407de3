package link

import (
	"context"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// UplinkMTU returns the MTU of what the ordinary default route leads by, of IPv4, or of IPv6 if
// there is none; 0 if there is neither. Of several routes the one counts that the kernel
// takes, of several next hops the least MTU. One that a route itself names is the way's.
func (h *Handle) UplinkMTU(ctx context.Context) (int, error) {
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		best, err := h.defaultRoute(ctx, family)
		if err != nil {
			return 0, fmt.Errorf("find the way out: %w", err)
		}
		if best == nil {
			continue
		}
		mtu := best.MTU
		for _, index := range exits(*best) {
			l, err := h.byIndex(index)
			if err != nil {
				return 0, err
			}
			if l != nil && (mtu == 0 || l.Attrs().MTU < mtu) {
				mtu = l.Attrs().MTU
			}
		}
		if mtu > 0 {
			return mtu, nil
		}
	}
	return 0, nil
}

// defaultRoute returns the default route of a family with the least metric; nil for none.
func (h *Handle) defaultRoute(ctx context.Context, family int) (*netlink.Route, error) {
	return dump(ctx, "default routes", func() (best *netlink.Route, err error) {
		main := &netlink.Route{Table: unix.RT_TABLE_MAIN}
		err = h.nl.RouteListFilteredIter(family, main, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
			everything := r.Dst == nil
			if !everything {
				ones, _ := r.Dst.Mask.Size()
				everything = ones == 0
			}
			if everything && r.Type == unix.RTN_UNICAST && (best == nil || r.Priority < best.Priority) {
				best = &r
			}
			return true
		})
		return best, err
	})
}

// exits are the links that a route leads by.
func exits(r netlink.Route) []int {
	if len(r.MultiPath) == 0 {
		return []int{r.LinkIndex}
	}
	var all []int
	for _, next := range r.MultiPath {
		all = append(all, next.LinkIndex)
	}
	return all
}
