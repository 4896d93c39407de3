package driver

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Names of auxiliary addresses that are the containers' default gateway, as with
// the built-in driver (moby's DefaultGatewayV4AuxKey and DefaultGatewayV6AuxKey).
// The engine's address manager and ours reserve them as any other.
const (
	routerName4 = "DefaultGatewayIPv4"
	routerName6 = "DefaultGatewayIPv6"
)

// routers are the default gateways that a request names; invalid for none. An
// error says what of them cannot be meant.
type routers struct {
	four, six netip.Addr
	err       error
}

func requestedRouters(r CreateNetworkRequest) (out routers) {
	out.four, out.err = router(r.IPv4, routerName4)
	var err error
	if out.six, err = router(r.IPv6, routerName6); out.err == nil {
		out.err = err
	}
	return out
}

// router looks for the default gateway among the auxiliary addresses of one
// family. Other names are the user's own; but one that differs in case alone, or
// that is for the other family, was not meant as a reservation and no more.
func router(pools []PoolData, want string) (netip.Addr, error) {
	for _, p := range pools {
		for _, name := range slices.Sorted(maps.Keys(p.Aux)) {
			if name == want || !strings.EqualFold(name, routerName4) && !strings.EqualFold(name, routerName6) {
				continue
			}
			return netip.Addr{}, fmt.Errorf("auxiliary address %s=%s: did you mean %s?", name, p.Aux[name].Addr(), want)
		}
		if a, ok := p.Aux[want]; ok {
			return a.Addr(), nil
		}
	}
	return netip.Addr{}, nil
}

// route has the containers of n send what leaves it to the routers.
func (n *Network) route(to routers) error {
	if to.err != nil {
		return to.err
	}
	if n.Options.Internal && (to.four.IsValid() || to.six.IsValid()) {
		return fmt.Errorf("auxiliary addresses %s and %s: nothing leaves a network that --internal closes: leave one of them out", routerName4, routerName6)
	}
	n.Router4, n.Router6 = to.four, to.six
	return nil
}

// defaultGateway is where an endpoint with address a sends what leaves the
// network; invalid for nowhere. The router itself uses the bridge.
func (n *Network) defaultGateway(a netip.Addr) netip.Addr {
	gateway, other := n.Gateway4.Addr(), n.Router4
	if a.Is6() {
		gateway, other = n.Gateway6.Addr(), n.Router6
	}
	if other.IsValid() && other != a {
		return other
	}
	return gateway
}

// defaultGateways are those of the network's containers, IPv4 first.
func (n *Network) defaultGateways() []netip.Addr {
	out := []netip.Addr{}
	for _, p := range n.subnets() {
		if g := n.defaultGateway(p.Addr()); g.IsValid() {
			out = append(out, g)
		}
	}
	return out
}
