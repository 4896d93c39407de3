package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

func hostBindingOptions() []Option {
	return []Option{
		{
			Name: "com.docker.network.bridge.host_binding_ipv4", Where: ForNetwork, Values: "IPv4 addresses of the host with `,` between them", Default: "0.0.0.0", Since: first,
			Help:    "where ports are published that name no host address, the same port at each; 0.0.0.0 for every address",
			network: func(n *Network, v string) (err error) { n.HostBinding4, err = hostBindings(v, false); return err },
		},
		{
			Name: "gangway.host_binding_ipv6", was: "com.docker.network.bridge.host_binding_ipv6", Where: ForNetwork, Values: "IPv6 addresses of the host with `,` between them", Default: "::", Since: first,
			Help:    "the same for IPv6",
			network: func(n *Network, v string) (err error) { n.HostBinding6, err = hostBindings(v, true); return err },
		},
	}
}

// HostBindings are the addresses of one family at which ports are published
// that name no host address, sorted; nil for every address of the host.
func (n Network) HostBindings(six bool) []netip.Addr {
	list := n.HostBinding4
	if six {
		list = n.HostBinding6
	}
	var out []netip.Addr
	for _, text := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
		if a, err := netip.ParseAddr(text); err == nil && !a.IsUnspecified() {
			out = append(out, a)
		}
	}
	return out
}

// hostBindings checks a list of addresses to publish ports at and returns it
// sorted. One address is what the built-in driver takes.
func hostBindings(v string, six bool) (string, error) {
	var addrs []netip.Addr
	for text := range strings.SplitSeq(v, ",") {
		a, err := hostBinding(text, six)
		if err != nil {
			return "", err
		}
		if slices.Contains(addrs, a) {
			return "", fmt.Errorf("names %s twice", a)
		}
		addrs = append(addrs, a)
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	// The unspecified address is the least of all.
	if first := addrs[0]; len(addrs) > 1 && first.IsUnspecified() {
		return "", fmt.Errorf("names %s, which is every address of the host, beside others: leave it out, or them", first)
	}
	texts := make([]string, 0, len(addrs))
	for _, a := range addrs {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, ","), nil
}

func hostBinding(text string, six bool) (netip.Addr, error) {
	family, all := "IPv4", "0.0.0.0"
	if six {
		family, all = "IPv6", "::"
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Is6() != six || a.Is4In6() || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("is not an %s address of the host, or several with ',' between them", family)
	}
	if a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return netip.Addr{}, fmt.Errorf("is no address of one host: want one of the host's, or %s for all", all)
	}
	return a, nil
}
