package model

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/gangway-net/gangway/config"
)

// Network is one network that should exist. Values are never changed once
// they are part of the state.
type Network struct {
	ID      string
	Options config.Network
	// Bridge is the link's name; Adopted says that it was there before.
	Bridge  string
	Adopted bool
	// Subnet4 and Subnet6 are masked; invalid if the network lacks the family.
	Subnet4, Subnet6 netip.Prefix
	// Gateway4 and Gateway6 carry the subnet's prefix length; invalid for none.
	Gateway4, Gateway6 netip.Prefix
	// Router4 and Router6 are the containers' default gateways where the user has
	// named others than the bridge's addresses.
	Router4, Router6 netip.Addr
	// Host4 and Host6 are the host's addresses on the LAN of an uplink; invalid for none.
	Host4 netip.Addr `json:",omitzero"`
	Host6 netip.Addr `json:",omitzero"`
	// Space is the address space of the subnets; empty for a network that was
	// stored before this was known.
	Space string `json:",omitempty"`
	// Engine is whose the network is; empty until an engine has named it.
	Engine string `json:",omitempty"`
	// Name is what that engine calls it, by which policies name it; empty until it has.
	Name string `json:",omitempty"`
	// GatewayID is the endpoint by which the network is left, if its options name one; see GatewayOf.
	GatewayID string `json:",omitempty"`
	// Exceptions are what the administrator allows or denies beside the network's policy.
	Exceptions *Exceptions `json:",omitempty"`
}

// String names the network as docker network ls and ip link do.
func (n *Network) String() string {
	return fmt.Sprintf("network %s (bridge %s)", Short(n.ID), n.Bridge)
}

// Subnets returns the network's subnets, IPv4 first.
func (n *Network) Subnets() []netip.Prefix {
	var out []netip.Prefix
	for _, p := range []netip.Prefix{n.Subnet4, n.Subnet6} {
		if p.IsValid() {
			out = append(out, p)
		}
	}
	return out
}

// Subnet returns the network's of a family; invalid for none.
func (n *Network) Subnet(six bool) netip.Prefix {
	if six {
		return n.Subnet6
	}
	return n.Subnet4
}

// gateways returns the network's gateway addresses, IPv4 first.
func (n *Network) gateways() []netip.Prefix {
	var out []netip.Prefix
	for _, p := range []netip.Prefix{n.Gateway4, n.Gateway6} {
		if p.IsValid() {
			out = append(out, p)
		}
	}
	return out
}

// OnLAN says that an uplink joins the network to a LAN, whose router is its gateway.
func (n *Network) OnLAN() bool { return n.Options.Uplink != "" }

// Moved says that the addresses of the uplink are the bridge's: it is the host's own link to the
// LAN, on which containers are as any machine.
func (n *Network) Moved() bool { return n.OnLAN() && n.Options.Move }

// Hostless says that the host and the network's containers are not to reach each other.
func (n *Network) Hostless() bool { return n.OnLAN() && !n.Options.HostAccess && !n.Options.Move }

// Proxied says that the host answers neighbour solicitations for the network's addresses, by a link.
func (n *Network) Proxied() bool { return n.Options.NDPProxy != "" && n.Subnet6.IsValid() }

// ProxiedInside says that these are the addresses that containers have, and not others outside.
func (n *Network) ProxiedInside() bool { return n.Proxied() && !n.Options.Prefix.Follow }

// Unrouted says that the host passes nothing from the network's bridge to other links, nor
// from these to it.
func (n *Network) Unrouted() bool { return n.Options.Internal || n.OnLAN() }

// BridgeAddresses returns the bridge's own addresses: those of the gateways, but for others',
// or the host's on a LAN.
func (n *Network) BridgeAddresses() []netip.Prefix {
	if n.OnLAN() {
		return n.hostAddresses()
	}
	return slices.DeleteFunc(n.gateways(), func(p netip.Prefix) bool {
		six := p.Addr().Is6()
		return n.Options.Mode(six) == config.Isolated || !six && n.Options.InhibitIPv4
	})
}

// hostAddresses are the host's on a LAN, IPv4 first.
func (n *Network) hostAddresses() (all []netip.Prefix) {
	for _, a := range []netip.Addr{n.Host4, n.Host6} {
		if a.IsValid() {
			all = append(all, netip.PrefixFrom(a, n.Subnet(a.Is6()).Bits()))
		}
	}
	return all
}

// Routed says whether a family of the network is routed.
func (n *Network) Routed() bool {
	return slices.ContainsFunc(n.Subnets(), func(p netip.Prefix) bool { return n.Options.Mode(p.Addr().Is6()) == config.Routed })
}

// Forwarded returns the subnets whose packets may pass from link to link. The
// kernel forwards none from a link-local IPv6 address (ip6_forward), and looks for
// one only on the link that the packet came by; every link has such addresses, so
// that no rule can go by them.
func (n *Network) Forwarded() []netip.Prefix {
	return slices.DeleteFunc(n.Subnets(), func(p netip.Prefix) bool { return !Forwarded(p.Addr()) })
}

// Forwarded says whether packets of an address may pass from link to link.
func Forwarded(a netip.Addr) bool { return a.IsValid() && (a.Is4() || !a.IsLinkLocalUnicast()) }

// Contains says whether an address is in one of the network's subnets.
func (n *Network) Contains(a netip.Addr) bool {
	return n.Subnet4.Contains(a) || n.Subnet6.Contains(a)
}

// Overlaps says whether the networks have addresses in common.
func (n *Network) Overlaps(o *Network) bool {
	return slices.ContainsFunc(n.Subnets(), func(a netip.Prefix) bool { return slices.ContainsFunc(o.Subnets(), a.Overlaps) })
}

// GatewayElsewhere says whether the network's gateway has the address, and the bridge does not
// (inhibit_ipv4). It is another machine's then, or that of one container: it may use and
// claim the address as any other of its own, and nobody else may.
func (n *Network) GatewayElsewhere(a netip.Addr) bool {
	is := func(p netip.Prefix) bool { return p.Addr() == a }
	return slices.ContainsFunc(n.gateways(), is) && !slices.ContainsFunc(n.BridgeAddresses(), is)
}

// LeavesElsewhere says whether what leaves the network goes by another machine than the host.
func (n *Network) LeavesElsewhere() bool {
	return !n.Options.Internal && (n.OnLAN() || n.Options.InhibitIPv4 || n.Router4.IsValid() || n.Router6.IsValid())
}

// GatewayMode is the gateway mode of a family; empty if the network lacks it.
func (n *Network) GatewayMode(six bool) string {
	if !n.Subnet(six).IsValid() {
		return ""
	}
	return string(n.Options.Mode(six))
}
