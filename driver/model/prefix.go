package model

import (
	"fmt"
	"net/netip"
)

// admitPrefix refuses a network that can never be translated into a prefix of the host's, and one that asks
// for the same as another.
func (s *State) admitPrefix(n *Network) error {
	want := n.Options.Prefix
	if !want.Follow {
		return nil
	}
	var why string
	switch {
	case !uniqueLocal().Contains(n.Subnet6.Addr()):
		why = fmt.Sprintf("subnet %s is not below %s, whose addresses stay whatever the provider does: choose another --subnet, such as fd00:80::/64", n.Subnet6, uniqueLocal())
	case n.Subnet6.Bits() < longestSubnet:
		why = fmt.Sprintf("subnet %s is larger than what hosts are delegated: choose a --subnet of /%d, or less of it", n.Subnet6, longestSubnet)
	case n.Adopted:
		why = fmt.Sprintf("bridge %s was there before, and what others there have of the subnet would be translated as well: leave com.docker.network.bridge.name out", n.Bridge)
	case n.Router6.IsValid():
		why = fmt.Sprintf("what leaves would not come by the host: leave the auxiliary address %s out, or the option", RouterName6)
	}
	if why != "" {
		return fmt.Errorf("network option gangway.ipv6: %s", why)
	}
	for _, old := range s.Networks {
		if old.Options.Prefix == want && old.Subnet6.Bits() == n.Subnet6.Bits() {
			return Conflictf("network option gangway.ipv6.subnet: network %s has this subnet of the prefix: choose another number, as in gangway.ipv6.subnet=0x10", Short(old.ID))
		}
	}
	return nil
}

// longestSubnet is the length of the largest subnet that is translated.
const longestSubnet = 48

// uniqueLocal are the addresses that nobody gives and nobody takes (RFC 4193).
func uniqueLocal() netip.Prefix { return netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfc}), 7) }
