package iptables

import (
	"fmt"
	"net/netip"

	"github.com/gangway-net/gangway/driver/firewall"
)

var dnatChain = chain{"nat", "GANGWAY-DNAT"}

// portElements are published ports.
func portElements(set firewall.Ruleset, six bool) rules {
	r := rules{}
	for _, p := range set.Ports {
		if p.HostIP.Is6() == six && !p.Relayed() {
			r[dnatChain] = append(r[dnatChain], portRule(p))
		}
	}
	return r
}

// portRule returns the rule of one run of published ports.
func portRule(p firewall.Port) string {
	rule := ports(p.Proto, "dport", p.First, p.Last) +
		endpointComment(p.NetworkID, p.EndpointID) +
		" -j DNAT --to-destination " + destination(p)
	if p.HostIP.IsUnspecified() {
		return rule[1:]
	}
	return "-d " + host(p.HostIP) + rule
}

// destination is the container's address, with its port where it is not the
// host's, and with the base of the shift where a run has another one (a range
// without a base would spread connections over it).
func destination(p firewall.Port) string {
	switch {
	case p.ContainerFirst == p.First:
		return p.ContainerIP.String()
	case p.Len() == 1:
		return netip.AddrPortFrom(p.ContainerIP, p.ContainerFirst).String()
	}
	return fmt.Sprintf("%s-%d/%d", netip.AddrPortFrom(p.ContainerIP, p.ContainerFirst),
		int(p.ContainerFirst)+p.Len()-1, p.First)
}
