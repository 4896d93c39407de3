package link

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// InspectBridge describes the link of that name, whatever its kind, to a network
// with these subnets. Exists is false if there is none. The family that the network
// has no subnet of is not asked for.
func (h *Handle) InspectBridge(ctx context.Context, name string, subnets []netip.Prefix) (spec.BridgeInfo, error) {
	if err := checkName(name); err != nil {
		return spec.BridgeInfo{}, fmt.Errorf("bridge %q: %w", name, err)
	}
	link, err := h.find(name)
	if err != nil {
		return spec.BridgeInfo{}, err
	}
	info, own := spec.BridgeInfo{}, 0
	if link != nil {
		info.Exists, info.Kind, info.Owner = true, link.Type(), owner(link)
		info.MAC = link.Attrs().HardwareAddr
		own = link.Attrs().Index
	}
	for _, family := range families(subnets) {
		all, err := h.addressesOf(ctx, family)
		if err != nil {
			return spec.BridgeInfo{}, err
		}
		for _, a := range all {
			switch {
			case !a.global() && !autoIP(a):
			case a.link == own:
				info.Addresses = append(info.Addresses, a.Prefix)
			case slices.ContainsFunc(subnets, func(s netip.Prefix) bool { return s.Contains(a.Addr()) }):
				info.Elsewhere = append(info.Elsewhere, spec.LinkAddress{Link: h.nameOf(a.link), Address: a.Prefix})
			}
		}
	}
	return info, nil
}

// autoIP says whether the address is a link-local one of IPv4. The kernel knows one
// such address in a namespace, whereas each link has those of IPv6 for itself.
func autoIP(a address) bool { return a.Addr().Is4() && a.Addr().IsLinkLocalUnicast() }

func (h *Handle) addressesOf(ctx context.Context, family int) ([]address, error) {
	if family == unix.AF_INET {
		return h.addresses4(ctx)
	}
	return h.addresses(ctx, nil, family)
}

// HostAddresses returns the addresses of all links of the host.
func (h *Handle) HostAddresses(ctx context.Context) (map[netip.Addr]bool, error) {
	have := map[netip.Addr]bool{}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		all, err := h.addressesOf(ctx, family)
		if err != nil {
			return nil, err
		}
		for _, a := range all {
			have[a.Addr()] = true
		}
	}
	return have, nil
}

// HasLink says whether there is a link of that name.
func (h *Handle) HasLink(ctx context.Context, name string) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	link, err := h.find(name)
	return link != nil && link.Attrs().Name == name, err
}

// LinkTo names the link by which a packet of the host to an address leaves; it is
// empty where there is no way.
func (h *Handle) LinkTo(ctx context.Context, addr netip.Addr) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	routes, err := h.nl.RouteGet(addr.AsSlice())
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EACCES):
		return "", nil // no route, or one that refuses
	case err != nil:
		return "", fmt.Errorf("look for the way to %s: %w", addr, err)
	case len(routes) == 0:
		return "", nil
	}
	return h.nameOf(routes[0].LinkIndex), nil
}

// families returns the address families of prefixes, each once, IPv4 first.
func families(prefixes []netip.Prefix) (found []int) {
	for _, p := range prefixes {
		family := unix.AF_INET6
		if p.Addr().Is4() {
			family = unix.AF_INET
		}
		if !slices.Contains(found, family) {
			found = append(found, family)
		}
	}
	slices.Sort(found) // AF_INET is the smaller one
	return found
}

// nameOf returns the name of a link by its number, empty for one that has just
// gone. A list of all links would take longer the more containers there are, and
// a request by netlink the lock that others hold for long.
func (h *Handle) nameOf(index int) string {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return ""
	}
	ifr.SetUint32(uint32(index))
	if err := unix.IoctlIfreq(h.packets, unix.SIOCGIFNAME, ifr); err != nil {
		return ""
	}
	return ifr.Name()
}

// The switches of forwarding, by family.
const (
	forwarding4 = "net/ipv4/ip_forward"
	forwarding6 = "net/ipv6/conf/all/forwarding"
)

// EnableForwarding turns forwarding on for the families asked for, where it is
// off, and returns one line for each switch it had to turn. Nothing turns it
// off again: other software may have come to rely on it.
func (h *Handle) EnableForwarding(ctx context.Context, ipv4, ipv6 bool) ([]string, error) {
	var fixed []string
	if ipv4 {
		on, err := h.isOn(forwarding4)
		if err != nil {
			return nil, fmt.Errorf("turn on IPv4 forwarding: %w", err)
		}
		if !on {
			if err := h.sys.set(forwarding4, "1"); err != nil {
				return nil, fmt.Errorf("turn on IPv4 forwarding: %w", err)
			}
			fixed = append(fixed, forwarding4+" was 0: set to 1")
		}
	}
	if !ipv6 {
		return fixed, nil
	}
	if err := ctx.Err(); err != nil {
		return fixed, err
	}
	if !h.sys.ipv6() {
		return fixed, errors.New("turn on IPv6 forwarding: the host's kernel has IPv6 switched off; create the network without IPv6")
	}
	more, err := h.enableForwarding6(ctx)
	return append(fixed, more...), wrap(err, "turn on IPv6 forwarding")
}

// Forwarding says whether the host forwards packets of a family, if only from some
// link. Of IPv4 single links can be told to while the switch is off. Of IPv6 that makes a
// link a router's in other respects, and only force_forwarding (Linux 6.17) has it
// forward.
func (h *Handle) Forwarding(_ context.Context, six bool) (bool, error) {
	all, links, own := forwarding4, "net/ipv4/conf", "forwarding"
	if six {
		all, links, own = forwarding6, "net/ipv6/conf", "force_forwarding"
	}
	if !h.sys.has(links) {
		return false, nil
	}
	on, err := h.isOn(all)
	if err != nil {
		return false, fmt.Errorf("look whether the host forwards packets: %w", err)
	}
	return on || h.sys.any(links, own), nil
}

func (h *Handle) isOn(name string) (bool, error) {
	value, err := h.sys.get(name)
	return value != "0", err
}

func (h *Handle) enableForwarding6(ctx context.Context) ([]string, error) {
	on, err := h.isOn(forwarding6)
	if err != nil || on {
		return nil, err
	}
	fixed, err := h.keepRouters(ctx)
	if err != nil {
		return fixed, err
	}
	if err := h.sys.set(forwarding6, "1"); err != nil {
		return fixed, err
	}
	return append(fixed, forwarding6+" was 0: set to 1"), nil
}

// keepRouters lets the host keep the routes it learns from router
// advertisements: a host that forwards ignores them unless accept_ra is 2
// (kernel, Documentation/networking/ip-sysctl.rst).
func (h *Handle) keepRouters(ctx context.Context) ([]string, error) {
	all, err := h.links(ctx)
	if err != nil {
		return nil, err
	}
	learned := map[int]bool{}
	err = h.eachRoute(ctx, unix.AF_INET6, func(r netlink.Route) {
		if r.Protocol == unix.RTPROT_RA {
			learned[r.LinkIndex] = true
		}
	})
	if err != nil {
		return nil, err
	}
	var fixed []string
	for _, link := range all {
		if !hasRouters(link, learned[link.Attrs().Index]) {
			continue
		}
		name := "net/ipv6/conf/" + link.Attrs().Name + "/accept_ra"
		if have, err := h.sys.get(name); err != nil || have != "1" {
			// A link that has gone meanwhile needs nothing.
			continue
		}
		if err := h.sys.set(name, "2"); err != nil {
			return fixed, err
		}
		fixed = append(fixed, name+" was 1: set to 2, so that the host keeps its router")
	}
	return fixed, nil
}

// hasRouters says whether routers may be behind a link. Loopback has none, nor has
// what keeps a container to its rate, and a port leaves that to its bridge. Bridges and veths have them only where the
// host has learned a route already: with all others the other side is usually
// a container, which must not get to announce itself as the host's router
// (CVE-2020-13401).
func hasRouters(link netlink.Link, learned bool) bool {
	a := link.Attrs()
	switch {
	case a.Flags&net.FlagLoopback != 0, a.MasterIndex != 0, link.Type() == kindIfb && owner(link) != "":
		return false
	case link.Type() == kindBridge, link.Type() == kindVeth:
		return learned
	}
	return true
}

// eachRoute visits the routes of all tables, policy routing included. A visit
// must not use h. If the dump has to be repeated, routes are visited again.
func (h *Handle) eachRoute(ctx context.Context, family int, visit func(netlink.Route)) error {
	_, err := dump(ctx, "routes", func() (struct{}, error) {
		any := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
		return struct{}{}, h.nl.RouteListFilteredIter(family, any, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
			visit(r)
			return true
		})
	})
	return err
}

// Prefixes returns what the host knows a way to: the destinations of all routes
// of all tables, those of policy routing (VPNs) included, and the prefixes of
// all addresses, of both families, sorted and each once.
//
// Left out is what no pool can collide with (loopback, link-local IPv6,
// multicast) and what stands for "everything": default routes, and prefixes
// shorter than 8 bits, into which VPN clients cut a default route
// (0.0.0.0/1 and 128.0.0.0/1, or 2000::/3) and which would leave no free pool.
func (h *Handle) Prefixes(ctx context.Context) ([]netip.Prefix, error) {
	found := map[netip.Prefix]struct{}{}
	add := func(n *net.IPNet) {
		if n == nil {
			return
		}
		if p, ok := netipx.FromStdIPNet(n); ok && occupies(p) {
			found[p.Masked()] = struct{}{}
		}
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		if err := h.eachRoute(ctx, family, func(r netlink.Route) {
			if !ofKernel(r) {
				add(r.Dst)
			}
		}); err != nil {
			return nil, err
		}
	}
	addrs, err := dump(ctx, "addresses", func() ([]netlink.Addr, error) { return h.nl.AddrList(nil, unix.AF_UNSPEC) })
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		add(a.IPNet)
		add(a.Peer)
	}
	return slices.SortedFunc(maps.Keys(found), netip.Prefix.Compare), nil
}

// ofKernel recognises the routes that the kernel derives from addresses: the
// host's own, broadcast, anycast and multicast. A local route that somebody
// else set does occupy its prefix.
func ofKernel(r netlink.Route) bool {
	switch r.Type {
	case unix.RTN_BROADCAST, unix.RTN_ANYCAST, unix.RTN_MULTICAST:
		return true
	case unix.RTN_LOCAL:
		return r.Protocol == unix.RTPROT_KERNEL
	}
	return false
}

// wholeBits is the length from which on a prefix is a network of its own.
const wholeBits = 8

func occupies(p netip.Prefix) bool {
	a := p.Addr()
	return p.Bits() >= wholeBits && !a.IsLoopback() && !a.IsMulticast() && (a.Is4() || !a.IsLinkLocalUnicast())
}
