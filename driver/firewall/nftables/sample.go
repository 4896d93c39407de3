package nftables

import (
	"net/netip"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// sample has an item for every set.
func sample() firewall.Ruleset {
	subnets := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/64")}
	both := firewall.Families{V4: true, V6: true}
	r := firewall.Ruleset{Networks: []firewall.Network{{
		ID: "probe", Bridge: "gw-probe", Masquerade: subnets, Hairpin: subnets,
		Subnets: subnets, Unprotected: both, Routed: both, Internal: true, ICC: true,
	}}, Outside: []spec.Outside{{Name: "gw-uplink", Bridge: true}}, Closed: both}
	other := netip.MustParsePrefix("198.51.100.0/24")
	r.Networks = append(r.Networks, firewall.Network{
		ID: "source", Bridge: "gw-source", Masquerade: []netip.Prefix{other}, Source: []netip.Addr{other.Addr()},
	})
	for _, subnet := range subnets {
		r.Direct = append(r.Direct, firewall.Direct{NetworkID: "probe", EndpointID: "probe", Clients: subnet, Addr: subnet.Addr()})
		anyHost := netip.IPv4Unspecified()
		if subnet.Addr().Is6() {
			anyHost = netip.IPv6Unspecified()
		}
		for _, from := range []string{"", "gw-from"} {
			for _, length := range []uint16{1, longRun} {
				r.Open = append(r.Open, firewall.Open{NetworkID: "probe", EndpointID: "probe", Bridge: "gw-probe", From: from,
					Proto: spec.TCP, Addr: subnet.Addr(), First: length, Last: length * 2})
			}
		}
		for _, length := range []uint16{1, longRun} {
			r.Keep = append(r.Keep, firewall.Keep{NetworkID: "probe", EndpointID: "probe", Addr: subnet.Addr(), First: length, Last: length * 2})
		}
		for _, host := range []netip.Addr{anyHost, subnet.Addr()} {
			for _, p := range protocols() {
				for _, last := range []uint16{1, 1 + longRun} {
					r.Ports = append(r.Ports, firewall.Port{NetworkID: "probe", EndpointID: "probe", Published: spec.Published{
						Proto: p, HostIP: host, First: last, Last: last * 2, ContainerIP: subnet.Addr().Next(), ContainerFirst: last,
					}})
				}
			}
		}
	}
	return r
}
