package link

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// EnsureSteering makes the way out of a bridge, or mends it, and returns one line for each thing that was not as
// it should be. What another one than the gateway sends is never routed as what the gateway sends, in any order of
// the steps.
func (h *Handle) EnsureSteering(ctx context.Context, s spec.Steering) (fixed []string, err error) {
	bridge, err := h.find(s.Bridge)
	if err != nil {
		return nil, err
	}
	if bridge == nil {
		return nil, fmt.Errorf("make the %s: the bridge is not there", s)
	}
	lack, err := h.compareSteering(ctx, s, bridge.Attrs().Index)
	if err != nil {
		return nil, err
	}
	for _, r := range lack.stray {
		if err = h.nl.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			return fixed, fmt.Errorf("remove a route of the %s: %w", s, err)
		}
		fixed = append(fixed, fmt.Sprintf("bridge %s: a route to elsewhere was in its table: removed", s.Bridge))
	}
	for _, r := range lack.surplus {
		if err = h.nl.RuleDel(r.netlink()); err != nil && !errors.Is(err, unix.ENOENT) {
			return fixed, fmt.Errorf("remove the rule of policy routing %s: %w", r, err)
		}
		fixed = append(fixed, fmt.Sprintf("bridge %s: rule %s was there: removed", s.Bridge, r))
	}
	// The way to the gateway comes last, when what that sends itself is told apart.
	closed, open := lack.ways()
	for _, step := range []func() ([]string, error){
		func() ([]string, error) { return h.addRoutes(s, bridge.Attrs().Index, closed) },
		func() ([]string, error) { return h.addRules(s, lack.rules) },
		func() ([]string, error) { return h.addRoutes(s, bridge.Attrs().Index, open) },
		func() ([]string, error) { return h.quiet(s.Bridge) },
	} {
		added, err := step()
		if fixed = append(fixed, added...); err != nil {
			return fixed, err
		}
	}
	return fixed, nil
}

func (h *Handle) addRoutes(s spec.Steering, index int, routes []steeringRoute) (fixed []string, err error) {
	for _, w := range routes {
		if err = h.nl.RouteReplace(w.netlink(s, index)); err != nil {
			return fixed, fmt.Errorf("add the route %s of bridge %s: %w", w, s.Bridge, err)
		}
		fixed = append(fixed, fmt.Sprintf("bridge %s: route %s was missing: added", s.Bridge, w))
	}
	return fixed, nil
}

func (h *Handle) addRules(s spec.Steering, rules []steeringRule) (fixed []string, err error) {
	for _, r := range rules {
		if err = h.nl.RuleAdd(r.netlink()); err != nil && !errors.Is(err, unix.EEXIST) {
			return fixed, fmt.Errorf("add the rule of policy routing %s: %w", r, err)
		}
		fixed = append(fixed, fmt.Sprintf("bridge %s: rule %s was missing: added", s.Bridge, r))
	}
	return fixed, nil
}

// DeleteSteering removes the way out of a bridge.
func (h *Handle) DeleteSteering(ctx context.Context, s spec.Steering) error {
	return h.unsteer(ctx, s.Bridge)
}

// unsteer removes the rules that are about a bridge of that name, and their tables.
func (h *Handle) unsteer(ctx context.Context, bridge string) error {
	have, err := h.steeringRules(ctx, bridge)
	if err != nil {
		return err
	}
	// The ways to the table go before it: what is not steered any more is dropped by the firewall, as the
	// network is closed.
	slices.SortFunc(have, func(a, b steeringRule) int { return int(b.priority) - int(a.priority) })
	for _, r := range have {
		if err := h.nl.RuleDel(r.netlink()); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("remove the rule of policy routing %s: %w", r, err)
		}
		if r.table == 0 {
			continue
		}
		routes, err := h.steeringRoutes(ctx, r.family, r.table)
		if err != nil {
			return err
		}
		for _, route := range routes {
			if err := h.nl.RouteDel(&route); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("remove a route of table %d: %w", r.table, err)
			}
		}
	}
	return nil
}

// unsteered says whether EnsureSteering would mend anything.
func (h *Handle) unsteered(ctx context.Context, s spec.Steering, _ asked) (bool, error) {
	bridge, err := h.find(s.Bridge)
	if err != nil || bridge == nil {
		return false, err // the bridge comes first
	}
	lack, err := h.compareSteering(ctx, s, bridge.Attrs().Index)
	if err != nil {
		return false, err
	}
	loud := slices.ContainsFunc(redirects(s.Bridge), func(name string) bool {
		value, err := h.sys.get(name)
		return err == nil && value != "0"
	})
	return loud || len(lack.rules)+len(lack.surplus)+len(lack.routes)+len(lack.stray) > 0, nil
}

// redirects are the settings by which a router tells its neighbours that they reach something by another router on the link. A
// container that is told so would send to the gateway itself, and go on to send to its address when it
// is gone. The kernel tells if either of the two says so, so that the one for all links goes off, too: each link has its
// own besides, which is on by default.
func redirects(bridge string) []string {
	return []string{"net/ipv4/conf/all/send_redirects", "net/ipv4/conf/" + bridge + "/send_redirects"}
}

// quiet keeps the host from telling containers of the gateway. Of IPv6 it can tell of link-local addresses alone, which
// the route has none of (ndisc_send_redirect).
func (h *Handle) quiet(bridge string) (fixed []string, err error) {
	for _, name := range redirects(bridge) {
		switch value, err := h.sys.get(name); {
		case err != nil:
			return fixed, err
		case value == "0":
			continue
		}
		if err := h.sys.set(name, "0"); err != nil {
			return fixed, err
		}
		fixed = append(fixed, fmt.Sprintf("bridge %s: %s was on: set off", bridge, name))
	}
	return fixed, nil
}

// steeringLack is what of a way out is not there, and what of it is there besides.
type steeringLack struct {
	rules, surplus []steeringRule
	routes         []steeringRoute
	stray          []netlink.Route
}

// ways are the routes that are not there: those that close, and those that lead to the gateway.
func (l steeringLack) ways() (closed, open []steeringRoute) {
	for _, r := range l.routes {
		if r.via.IsValid() {
			open = append(open, r)
		} else {
			closed = append(closed, r)
		}
	}
	return closed, open
}

func (h *Handle) compareSteering(ctx context.Context, s spec.Steering, index int) (lack steeringLack, err error) {
	have, err := h.steeringRules(ctx, s.Bridge)
	if err != nil {
		return lack, err
	}
	want := rulesOf(s)
	missing := func(of, from []steeringRule) []steeringRule {
		return slices.DeleteFunc(slices.Clone(of), func(r steeringRule) bool { return slices.Contains(from, r) })
	}
	lack.rules, lack.surplus = missing(want, have), missing(have, want)
	for _, w := range s.Ways {
		routes := routesOf(w)
		is, err := h.steeringRoutes(ctx, familyOf(w), steeringTable(s.NetworkID))
		if err != nil {
			return lack, err
		}
		for _, r := range is {
			i := slices.IndexFunc(routes, func(want steeringRoute) bool { return want.same(r, index) })
			if i < 0 {
				lack.stray = append(lack.stray, r)
				continue
			}
			routes = slices.Delete(routes, i, i+1)
		}
		lack.routes = append(lack.routes, routes...)
	}
	return lack, nil
}

func familyOf(w spec.Way) uint8 {
	if w.Subnet.Addr().Is6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// steeringTable is the number of a network's table. It is of a billion of the four that there
// are, and none that people or their programs choose.
func steeringTable(networkID string) uint32 {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(networkID))
	return 1<<30 | sum.Sum32()>>2
}
