package model

import (
	"fmt"
	"net/netip"
)

// RouterName4 and RouterName6 are the names of auxiliary addresses that are the containers' default gateway, as with
// the built-in driver (moby's DefaultGatewayV4AuxKey and DefaultGatewayV6AuxKey).
// The engine's address manager and ours reserve them as any other.
const (
	RouterName4 = "DefaultGatewayIPv4"
	RouterName6 = "DefaultGatewayIPv6"
)

// Routers are the default gateways that a request names; invalid for none. Err says what
// of them cannot be meant.
type Routers struct {
	Four, Six netip.Addr
	Err       error
}

// Route has the containers of n, which is not part of a state yet, send what leaves it to
// the routers.
func (n *Network) Route(to Routers) error {
	if to.Err != nil {
		return to.Err
	}
	if n.Options.Internal && (to.Four.IsValid() || to.Six.IsValid()) {
		return fmt.Errorf("auxiliary addresses %s and %s: nothing leaves a network that --internal closes: leave one of them out", RouterName4, RouterName6)
	}
	n.Router4, n.Router6 = to.Four, to.Six
	return nil
}

// DefaultGateway is where an endpoint with address a sends what leaves the
// network; invalid for nowhere. The router itself uses the bridge.
func (n *Network) DefaultGateway(a netip.Addr) netip.Addr {
	gateway, other := n.Gateway4.Addr(), n.Router4
	if a.Is6() {
		gateway, other = n.Gateway6.Addr(), n.Router6
	}
	if other.IsValid() && other != a {
		return other
	}
	return gateway
}

// DefaultGateways are those of the network's containers, IPv4 first.
func (n *Network) DefaultGateways() []netip.Addr {
	out := []netip.Addr{}
	for _, p := range n.Subnets() {
		if g := n.DefaultGateway(p.Addr()); g.IsValid() {
			out = append(out, g)
		}
	}
	return out
}
