package link

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// HostPrefixes returns the IPv6 prefixes that others have given the host, sorted by link, the shortest first, then by
// address: those that were delegated, and global addresses of links. Of a link's addresses those come first that somebody
// has given it to stay: whoever can send router advertisements there adds others at will.
//
// A delegated prefix is an unreachable route of the main table. DHCPv6 clients make one, as RFC 7084 wants (WPD-5):
// what no link has got of it is not to go back to the router. Routes of protocol boot are none: programs
// that ban addresses make such by hand. An address that may not begin flows any more, or not yet, does not count.
func (h *Handle) HostPrefixes(ctx context.Context) ([]spec.HostPrefix, error) {
	var all []spec.HostPrefix
	err := h.eachRoute(ctx, unix.AF_INET6, func(r netlink.Route) {
		if r.Table != unix.RT_TABLE_MAIN || r.Type != unix.RTN_UNREACHABLE || r.Dst == nil || r.Protocol != unix.RTPROT_DHCP && r.Protocol != unix.RTPROT_STATIC {
			return
		}
		if p, ok := netipx.FromStdIPNet(r.Dst); ok && unicast6(p.Addr()) && p.Bits() >= shortestDelegated {
			all = append(all, spec.HostPrefix{Prefix: p.Masked()})
		}
	})
	if err != nil {
		return nil, fmt.Errorf("look for delegated prefixes: %w", err)
	}
	sortPrefixes(all)
	addresses, err := h.addresses(ctx, nil, unix.AF_INET6)
	if err != nil {
		return nil, fmt.Errorf("look for prefixes of links: %w", err)
	}
	for _, stays := range []bool{true, false} {
		all = append(all, h.prefixesOf(addresses, stays)...)
	}
	slices.SortStableFunc(all, func(a, b spec.HostPrefix) int { return strings.Compare(a.Link, b.Link) })
	return slices.Compact(all), nil
}

// prefixesOf are those of addresses that stay, or of those that pass.
func (h *Handle) prefixesOf(addresses []address, stays bool) (all []spec.HostPrefix) {
	for _, a := range addresses {
		counts := a.flags&(unix.IFA_F_DEPRECATED|unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 && a.global() && unicast6(a.Addr())
		if counts && (a.flags&unix.IFA_F_PERMANENT != 0) == stays {
			all = append(all, spec.HostPrefix{Link: h.nameOf(a.link), Prefix: a.Prefix})
		}
	}
	sortPrefixes(all)
	return all
}

func sortPrefixes(all []spec.HostPrefix) {
	slices.SortFunc(all, func(a, b spec.HostPrefix) int {
		return cmp.Or(cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()), a.Prefix.Addr().Compare(b.Prefix.Addr()))
	})
}

// shortestDelegated is what no router delegates more than. Shorter unreachable routes keep out what
// is nobody's (2001:db8::/32).
const shortestDelegated = 40

// unicast6 says whether an address is of what is given to hosts of the internet (RFC 4291, 2.4).
func unicast6(a netip.Addr) bool {
	global := netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20}), 3)
	return global.Contains(a)
}
