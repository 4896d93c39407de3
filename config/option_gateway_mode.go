package config

import (
	"fmt"
	"slices"
	"strings"
)

func gatewayModeOptions() []Option {
	return []Option{
		{
			Name: "com.docker.network.bridge.gateway_mode_ipv4", Where: ForNetwork, Values: strings.Join(gatewayModes(), ", "), Default: string(NAT), Choices: gatewayModes(), Since: first,
			Help:    "how IPv4 is joined to the outside: translated; translated, with all ports open to who has a route; not translated, with published ports open; no address on the host (needs `--internal`)",
			network: func(n *Network, v string) (err error) { n.GatewayMode4, err = gatewayMode(v); return err },
			check:   func(n Network) error { return n.checkMode(false) },
		},
		{
			Name: "com.docker.network.bridge.gateway_mode_ipv6", Where: ForNetwork, Values: strings.Join(gatewayModes(), ", "), Default: string(NAT), Choices: gatewayModes(), Since: first,
			Help:    "the same for IPv6",
			network: func(n *Network, v string) (err error) { n.GatewayMode6, err = gatewayMode(v); return err },
			check:   func(n Network) error { return n.checkMode(true) },
		},
	}
}

// GatewayMode is how a network is joined to what lies outside, in one address
// family (engine 28's gateway_mode_ipv4 and gateway_mode_ipv6).
type GatewayMode string

// The gateway modes.
const (
	// NAT hides containers behind the host; published ports alone are reachable.
	NAT GatewayMode = "nat"
	// NATUnprotected is NAT, but who has a route to the containers reaches all
	// of their ports.
	NATUnprotected GatewayMode = "nat-unprotected"
	// Routed translates nothing: who has a route to the containers reaches
	// their published ports, and ICMP.
	Routed GatewayMode = "routed"
	// Isolated gives the host no address on an internal network.
	Isolated GatewayMode = "isolated"
)

func gatewayModes() []string {
	return []string{string(NAT), string(NATUnprotected), string(Routed), string(Isolated)}
}

func gatewayMode(v string) (GatewayMode, error) {
	if !slices.Contains(gatewayModes(), v) {
		return "", fmt.Errorf("is no gateway mode: want one of %s", strings.Join(gatewayModes(), ", "))
	}
	return GatewayMode(v), nil
}

// Translated says whether a family's addresses are translated at all.
func (m GatewayMode) Translated() bool { return m == NAT || m == NATUnprotected }

// Mode is the gateway mode of one family.
func (n Network) Mode(six bool) GatewayMode {
	if six {
		return n.GatewayMode6
	}
	return n.GatewayMode4
}

// checkMode compares a family's mode with whether the network is internal.
func (n Network) checkMode(six bool) error {
	switch mode := n.Mode(six); {
	case mode == Isolated && !n.Internal:
		return fmt.Errorf("%q is for internal networks: add --internal", mode)
	case n.Internal && (mode == Routed || mode == NATUnprotected):
		return fmt.Errorf("%q opens a network that --internal closes: leave one of them out", mode)
	}
	return nil
}
