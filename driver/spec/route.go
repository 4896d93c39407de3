package spec

import "net/netip"

// RouteProtocol marks the host's routes that gangway makes (rtm_protocol; ip route show proto
// 71). It is none of the kernel's, nor one that iproute2 has a name for.
const RouteProtocol = 71

// Route is a way of the host to a subnet, by an address on a bridge.
type Route struct {
	To  netip.Prefix
	Via netip.Addr
}
