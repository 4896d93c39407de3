package link

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// hostRoutes adds the host's routes by the bridge that are missing. They go with the bridge;
// an adopted one gets rid of them as it is given back. A route to the same subnet that
// somebody else has made stays, and is an error.
func (m *mender) hostRoutes(ctx context.Context) error {
	if len(m.bridge.Routes) == 0 {
		return nil
	}
	have, err := m.h.ownRoutes(ctx, m.link.Attrs().Index)
	if err != nil {
		return err
	}
	for _, r := range m.bridge.Routes {
		if have[r] {
			continue
		}
		err := m.h.nl.RouteAdd(hostRouteOf(r, m.link.Attrs().Index))
		switch {
		case errors.Is(err, unix.EEXIST):
			return fmt.Errorf("route to %s by %s on bridge %s: the host has another route to %s (ip route show %s): remove that, or leave it out of gangway.host_routes",
				r.To, r.Via, m.bridge.Name, r.To, r.To)
		case err != nil:
			return fmt.Errorf("add the route to %s by %s on bridge %s: %w", r.To, r.Via, m.bridge.Name, err)
		}
		m.fixed = append(m.fixed, fmt.Sprintf("bridge %s: route to %s by %s was missing: added", m.bridge.Name, r.To, r.Via))
	}
	return nil
}

// ownRoutes are the routes by a bridge that are marked as gangway's.
func (h *Handle) ownRoutes(ctx context.Context, index int) (map[spec.Route]bool, error) {
	all := map[spec.Route]bool{}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		if err := h.eachOwnRoute(ctx, family, index, func(r netlink.Route) {
			if r.Dst == nil {
				return
			}
			to, ok := netipx.FromStdIPNet(r.Dst)
			via, isAddress := netipx.FromStdIP(r.Gw)
			if ok && isAddress {
				all[spec.Route{To: to, Via: via}] = true
			}
		}); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// eachOwnRoute visits the routes of a family by a bridge that are marked as gangway's. The
// kernel leaves out the others, from 4.20 on.
func (h *Handle) eachOwnRoute(ctx context.Context, family, index int, visit func(netlink.Route)) error {
	_, err := dump(ctx, "routes", func() (struct{}, error) {
		like := &netlink.Route{Table: unix.RT_TABLE_MAIN, Protocol: spec.RouteProtocol, LinkIndex: index}
		return struct{}{}, h.nl.RouteListFilteredIter(family, like, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_OIF, func(r netlink.Route) bool {
			visit(r)
			return true
		})
	})
	return err
}

// removeHostRoutes removes the routes by an adopted bridge that are marked as gangway's. Those
// that another network has there come back as that is compared.
func (h *Handle) removeHostRoutes(ctx context.Context, bridge netlink.Link) error {
	var all []netlink.Route
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		if err := h.eachOwnRoute(ctx, family, bridge.Attrs().Index, func(r netlink.Route) { all = append(all, r) }); err != nil {
			return err
		}
	}
	var errs []error
	for _, r := range all {
		if err := h.nl.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("remove the route to %s by bridge %s: %w", r.Dst, bridge.Attrs().Name, err))
		}
	}
	return errors.Join(errs...)
}

func hostRouteOf(r spec.Route, index int) *netlink.Route {
	return &netlink.Route{
		LinkIndex: index, Dst: toNetlink(r.To).IPNet, Gw: r.Via.AsSlice(),
		Table: unix.RT_TABLE_MAIN, Protocol: spec.RouteProtocol, Type: unix.RTN_UNICAST,
	}
}
