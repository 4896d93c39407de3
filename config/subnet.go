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
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local addresses"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast addresses"},
	{netip.MustParsePrefix("255.255.255.255/32"), "the broadcast address"},
	{netip.MustParsePrefix("::/128"), "the unspecified address"},
	{netip.MustParsePrefix("::1/128"), "the loopback address"},
	{netip.MustParsePrefix("::ffff:0:0/96"), "IPv4-mapped addresses"},
	{netip.MustParsePrefix("fe80::/10"), "link-local addresses"},
	{netip.MustParsePrefix("ff00::/8"), "multicast addresses"},
}

// CheckSubnet says why a masked prefix cannot be a network's subnet; nil if it
// can.
func CheckSubnet(p netip.Prefix) error {
	for _, s := range special {
		if s.prefix.Overlaps(p) {
			return fmt.Errorf("subnet %s cannot be used: %s are %s", p, s.prefix, s.what)
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
