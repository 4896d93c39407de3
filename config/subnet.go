package config

import (
	"fmt"
	"net/netip"
)

// special are the prefixes that no network of containers can use.
var special = []struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified addresses"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback addresses"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast addresses"},
	{netip.MustParsePrefix("255.255.255.255/32"), "the broadcast address"},
	{netip.MustParsePrefix("::/128"), "the unspecified address"},
	{netip.MustParsePrefix("::1/128"), "the loopback address"},
	{netip.MustParsePrefix("::ffff:0:0/96"), "IPv4-mapped addresses"},
	{netip.MustParsePrefix("ff00::/8"), "multicast addresses"},
}

// linkLocal4 and linkLocal6 are the link-local addresses of RFC 3927 and RFC 4291,
// kernel6 those of them that the kernel gives each of its links.
var (
	linkLocal4 = netip.MustParsePrefix("169.254.0.0/16")
	linkLocal6 = netip.MustParsePrefix("fe80::/10")
	kernel6    = netip.MustParsePrefix("fe80::/64")
)

// CheckRange says why subnets for networks that name none cannot be cut from a
// prefix: what CheckSubnet refuses, and link-local addresses, which are for who
// names them. The host may have use for any of them.
func CheckRange(p netip.Prefix) error {
	for _, local := range []netip.Prefix{linkLocal4, linkLocal6} {
		if local.Overlaps(p) {
			return fmt.Errorf("%s cannot be used: %s are link-local addresses, which networks have to name (--subnet)", p, local)
		}
	}
	return CheckSubnet(p)
}

// CheckSubnet says why a masked prefix cannot be a network's subnet; nil if it
// can. Link-local addresses can: those of IPv4 are addresses as any other to the
// kernel, and those of IPv6 reach as far as the bridge.
func CheckSubnet(p netip.Prefix) error {
	if p.Addr().IsUnspecified() && p.Bits() > 0 {
		// Older engines ask for it anew at each start, and a plugin is not told how old
		// an engine is: another subnet would be granted each time.
		return fmt.Errorf("subnet %s cannot be used: engines from 29 on take it for the size of a subnet, with their own address manager alone; leave out --ipam-driver, or name a subnet", p)
	}
	for _, s := range special {
		if s.prefix.Overlaps(p) {
			return fmt.Errorf("subnet %s cannot be used: %s are %s", p, s.prefix, s.what)
		}
	}
	if linkLocal6.Overlaps(p) {
		switch {
		case p.Bits() < linkLocal6.Bits():
			return fmt.Errorf("subnet %s cannot be used: %s in it are link-local addresses, which are no part of a larger network", p, linkLocal6)
		case kernel6.Overlaps(p) && p != kernel6:
			return fmt.Errorf("subnet %s cannot be used: the kernel gives each interface an address of %s; use that, or one outside of it such as fe80:1::/64", p, kernel6)
		}
	}
	// The engine's own address manager takes a single address as a pool, and
	// then fails to find room for the container beside the gateway.
	if p.IsSingleIP() {
		return fmt.Errorf("subnet %s is a single address: a network needs room for its gateway and a container, use /%d or larger",
			p, p.Addr().BitLen()-2)
	}
	return nil
}
