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

	"github.com/gangway-net/gangway/driver/spec"
)

// The rules of a bridge, each by its priority (ip rule). What comes from the gateway passes over the second one,
// and is for the rules of others, as what comes from any other bridge. They stand before rules of others that are about all packets,
// such as a VPN's of the host.
const (
	ruleGateway = 4757 // "GW": from the gateway, on to ruleOthers
	ruleNever   = 4758 // from the gateway, dropped, should the first one be missing: see below
	ruleSteered = 4759 // all else: looked up in the bridge's table
	ruleOthers  = 4760 // nothing, but a place to go to
)

// What the gateway sends must not be steered to itself, not for a moment: connection tracking would give up the
// translation of its flows as they leave by another link (nf_nat_oif_changed), begin new ones without any, and
// keep to these.

// closedMetric is that of the route that drops what no other takes.
const closedMetric = 1 << 20

// steeringRule is a rule of policy routing of gangway's.
type steeringRule struct {
	family   uint8
	bridge   string
	priority uint32
	from     netip.Addr
	// table is what is looked up, on the priority that it goes on at; one of them, or none: then it
	// drops what comes from an address, and is about nothing otherwise.
	table, on uint32
}

// rulesOf are in the order in which they are added: nobody passes over a rule that is not there.
func rulesOf(s spec.Steering) (all []steeringRule) {
	for _, w := range s.Ways {
		family := familyOf(w)
		all = append(all,
			steeringRule{family: family, bridge: s.Bridge, priority: ruleOthers},
			steeringRule{family: family, bridge: s.Bridge, priority: ruleSteered, table: steeringTable(s.NetworkID)})
		if w.Via.IsValid() {
			all = append(all,
				steeringRule{family: family, bridge: s.Bridge, priority: ruleNever, from: w.Via},
				steeringRule{family: family, bridge: s.Bridge, priority: ruleGateway, from: w.Via, on: ruleOthers})
		}
	}
	return all
}

// String is as ip rule shows it.
func (r steeringRule) String() string {
	from, to := "all", "nop"
	if r.from.IsValid() {
		from, to = r.from.String(), "blackhole"
	}
	switch {
	case r.table != 0:
		to = fmt.Sprintf("lookup %d", r.table)
	case r.on != 0:
		to = fmt.Sprintf("goto %d", r.on)
	}
	return fmt.Sprintf("%d: from %s iif %s %s", r.priority, from, r.bridge, to)
}

func (r steeringRule) netlink() *netlink.Rule {
	n := netlink.NewRule()
	n.Family, n.Priority, n.IifName, n.Protocol = int(r.family), int(r.priority), r.bridge, spec.RouteProtocol
	if r.from.IsValid() {
		n.Src = netipx.AddrIPNet(r.from)
	}
	switch {
	case r.table != 0:
		n.Table = int(r.table)
	case r.on != 0:
		n.Goto = int(r.on)
	case r.from.IsValid():
		n.Type = actionRefuse
	default:
		n.Type = actionNop
	}
	return n
}

// steeringRules are those of gangway's about a bridge of that name, of both families. netlink's list lacks what a rule does, and
// who made it.
func (h *Handle) steeringRules(ctx context.Context, bridge string) (all []steeringRule, err error) {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		found, err := dump(ctx, "rules of policy routing", func() ([]steeringRule, error) {
			req := nl.NewNetlinkRequest(unix.RTM_GETRULE, unix.NLM_F_DUMP)
			req.Sockets = h.raw
			req.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: family}})
			answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWRULE)
			if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) {
				return nil, nil
			}
			var rules []steeringRule
			for _, m := range answers {
				if r, ours := parseSteering(m); ours && r.bridge == bridge {
					rules = append(rules, r)
				}
			}
			return rules, err
		})
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// parseSteering reads a rule; ours is false for one of somebody else.
func parseSteering(m []byte) (r steeringRule, ours bool) {
	if len(m) < unix.SizeofRtMsg {
		return r, false
	}
	header := nl.DeserializeRtMsg(m)
	r.family = header.Family
	err := attributes(m, unix.SizeofRtMsg, func(kind uint16, v []byte) {
		word := number(v)
		switch kind {
		case nl.FRA_SRC:
			r.from = prefixOf(v, header.Src_len).Addr()
		case nl.FRA_IIFNAME:
			r.bridge = unix.ByteSliceToString(v)
		case nl.FRA_PRIORITY:
			r.priority = word
		case nl.FRA_TABLE:
			r.table = word
		case nl.FRA_GOTO:
			r.on = word
		case nl.FRA_PROTOCOL:
			ours = len(v) == 1 && v[0] == spec.RouteProtocol
		}
	})
	if header.Type != actionLookup {
		r.table = 0
	}
	return r, ours && err == nil
}

// steeringRoute is a route of a bridge's table: to its subnet, by the gateway, or nowhere.
type steeringRoute struct {
	to     netip.Prefix
	via    netip.Addr
	closed bool
}

// routesOf are in the order in which they are added.
func routesOf(w spec.Way) []steeringRoute {
	every := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if w.Subnet.Addr().Is6() {
		every = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	all := []steeringRoute{{to: every, closed: true}, {to: w.Subnet}}
	if w.Via.IsValid() {
		all = append(all, steeringRoute{to: every, via: w.Via})
	}
	return all
}

// String is as ip route shows it.
func (r steeringRoute) String() string {
	switch {
	case r.closed:
		return "blackhole " + r.to.String()
	case r.via.IsValid():
		return r.to.String() + " via " + r.via.String()
	}
	return r.to.String()
}

func (r steeringRoute) netlink(s spec.Steering, index int) *netlink.Route {
	n := &netlink.Route{Dst: toNetlink(r.to).IPNet, Table: int(steeringTable(s.NetworkID)), Protocol: spec.RouteProtocol, Type: unix.RTN_UNICAST, Priority: addressMetric}
	switch {
	case r.closed:
		n.Type, n.Priority = unix.RTN_BLACKHOLE, closedMetric
		return n
	case r.via.IsValid():
		n.Gw, n.Flags = r.via.AsSlice(), int(netlink.FLAG_ONLINK)
	case r.to.Addr().Is4():
		n.Scope = netlink.SCOPE_LINK
	}
	n.LinkIndex = index
	return n
}

// same says whether a route of the kernel is this one.
func (r steeringRoute) same(is netlink.Route, index int) bool {
	if dst, ok := netipx.FromStdIPNet(is.Dst); !ok || dst != r.to {
		return false
	}
	gw, has := netipx.FromStdIP(is.Gw)
	if r.closed {
		return is.Type == unix.RTN_BLACKHOLE
	}
	return is.Type == unix.RTN_UNICAST && is.LinkIndex == index && has == r.via.IsValid() && gw == r.via
}

// steeringRoutes are those of a table that are marked as gangway's.
func (h *Handle) steeringRoutes(ctx context.Context, family uint8, table uint32) (all []netlink.Route, err error) {
	return dump(ctx, "routes", func() (all []netlink.Route, err error) {
		like := &netlink.Route{Table: int(table), Protocol: spec.RouteProtocol}
		err = h.nl.RouteListFilteredIter(int(family), like, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_PROTOCOL, func(r netlink.Route) bool {
			if r.Dst == nil {
				r.Dst = &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}
				if family == unix.AF_INET6 {
					r.Dst = &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
				}
			}
			all = append(all, r)
			return true
		})
		return all, err
	})
}
