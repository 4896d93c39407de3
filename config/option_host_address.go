package config

import (
	"fmt"
	"net/netip"
)

func hostAddressOptions() []Option {
	return []Option{
		{
			Name: "com.docker.network.host_ipv4", Where: ForNetwork, Values: "IPv4 address of the host", Since: first,
			Help:    "address that outgoing traffic takes, in place of the one of the interface that it leaves by",
			network: func(n *Network, v string) (err error) { n.Host4, err = hostAddress(v, false); return err },
			check:   func(n Network) error { return n.checkHostAddress(n.Host4) },
		},
		{
			Name: "com.docker.network.host_ipv6", Where: ForNetwork, Values: "IPv6 address of the host", Since: first,
			Help:    "the same for IPv6",
			network: func(n *Network, v string) (err error) { n.Host6, err = hostAddress(v, true); return err },
			check:   func(n Network) error { return n.checkHostAddress(n.Host6) },
		},
	}
}

// hostAddress reads the address that outgoing traffic takes; "" for the one of
// the link that it leaves by.
func hostAddress(v string, six bool) (netip.Addr, error) {
	if v == "" {
		return netip.Addr{}, nil
	}
	family := "IPv4"
	if six {
		family = "IPv6"
	}
	a, err := netip.ParseAddr(v)
	if err != nil || a.Is6() != six || a.Is4In6() || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("is not an %s address", family)
	}
	if a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() {
		return netip.Addr{}, fmt.Errorf("is no address that other hosts can answer to")
	}
	return a, nil
}

// checkHostAddress refuses an address that no packet would take.
func (n Network) checkHostAddress(a netip.Addr) error {
	const none = "no address is put in place of the containers'"
	switch mode := n.Mode(a.Is6()); {
	case !a.IsValid():
	case !n.Masquerade:
		return fmt.Errorf("%s with %s=false: leave one of them out", none, optionMasquerade)
	case !mode.Translated():
		return fmt.Errorf("%s in gateway mode %s: leave one of them out", none, mode)
	}
	return nil
}
