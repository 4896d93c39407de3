package iptables

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// ofFamily returns the prefixes of one family.
func ofFamily(all []netip.Prefix, six bool) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(all), func(p netip.Prefix) bool { return p.Addr().Is6() != six })
}

// host writes one address as iptables-save does.
func host(a netip.Addr) string { return netip.PrefixFrom(a, a.BitLen()).String() }

// ports matches a run of ports, as "dport" or "sport".
func ports(p spec.Protocol, which string, first, last uint16) string {
	proto, run := p.String(), strconv.Itoa(int(first))
	if last > first {
		run += ":" + strconv.Itoa(int(last))
	}
	return " -p " + proto + " -m " + proto + " --" + which + " " + run
}

func comment(text string) string { return ` -m comment --comment "` + text + `"` }

// networkComment is the comment of what belongs to a network.
func networkComment(n firewall.Network) string { return comment("net=" + short(n.ID)) }

// endpointComment is the comment of what belongs to an endpoint.
func endpointComment(networkID, endpointID string) string {
	return comment("net=" + short(networkID) + " ep=" + short(endpointID))
}

// short cuts an id as docker shows it.
func short(id string) string { return id[:min(len(id), 12)] }
