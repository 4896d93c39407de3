package config

import (
	"errors"
	"fmt"
)

// ndpProxyOption has the host answer for containers' addresses where others ask for them.
func ndpProxyOption() []Option {
	return []Option{{
		Name: optionNDPProxy, Where: ForNetwork, Values: "the name of a link of the host, such as eth0", Since: first,
		Help:    "the link by which the host answers neighbour solicitations for the containers' IPv6 addresses, and for no others: for a subnet that is on-link there, such as a part of a provider's /64; needs the gateway mode routed for IPv6, or " + optionIPv6 + "=" + followPrefix + " with " + optionPrefix + " of the same link",
		network: func(n *Network, v string) error { n.NDPProxy = v; return uplinkName(v) },
		check:   checkNDPProxy,
	}}
}

const optionNDPProxy = "gangway.ndp_proxy"

// checkNDPProxy refuses networks whose containers nobody outside asks for by their own addresses, and
// those that answer themselves.
func checkNDPProxy(n Network) error {
	if n.NDPProxy == "" {
		return nil
	}
	for _, c := range []struct {
		is   bool
		what string
	}{
		{n.Uplink != "", "containers are on the LAN of " + optionUplink + " and answer themselves: leave one of them out"},
		{n.Bridge == n.NDPProxy, "containers are on that bridge (com.docker.network.bridge.name) and answer themselves: leave one of them out"},
		{n.Gateway != "", "nobody outside reaches containers that leave by " + optionGateway + ": leave one of them out"},
		{n.Internal, "nobody outside reaches containers of an --internal network: leave one of them out"},
		{!n.IPv6, "neighbour discovery is of IPv6, and the network has none: add --ipv6 and its --subnet, or leave the option out"},
	} {
		if c.is {
			return errors.New(c.what)
		}
	}
	if n.Prefix.Follow {
		return n.Prefix.onLink(n.NDPProxy)
	}
	if mode := n.Mode(true); mode != Routed {
		return fmt.Errorf("others ask for containers by their own addresses in a routed network alone, and IPv6 is %s: add com.docker.network.bridge.gateway_mode_ipv6=%s, or leave the option out", mode, Routed)
	}
	return nil
}
