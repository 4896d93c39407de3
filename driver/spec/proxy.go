package spec

import "net/netip"

// The kinds of what has the host answer neighbour solicitations for containers.
const (
	KindNDPProxy Kind = "NDP proxy"
	KindProxied  Kind = "proxied address"
)

// NDPProxy is a link by which the host answers for addresses of a network. The link is somebody else's:
// it gets back what was changed of it.
type NDPProxy struct {
	// Link is the link's name.
	Link, NetworkID string
	// Subnet is the network's. It has all the addresses, unless they are others outside.
	Subnet netip.Prefix
	// Outside has them then; invalid while there are none.
	Outside netip.Prefix
}

// proxyKey tells those of networks that share a link from each other.
type proxyKey struct{ link, network string }

// Kind and Key make NDPProxy an Object.
func (p NDPProxy) Kind() Kind { return KindNDPProxy }

// Key is the link and the network.
func (p NDPProxy) Key() any { return proxyKey{p.Link, p.NetworkID} }

// On are the links that it is at.
func (p NDPProxy) On() []string { return []string{p.Link} }

// Subnets are those that are noted on the link.
func (p NDPProxy) Subnets() []netip.Prefix {
	if !p.Outside.IsValid() {
		return []netip.Prefix{p.Subnet}
	}
	return []netip.Prefix{p.Subnet, p.Outside}
}

// Has says whether an address is of those that the host may answer for.
func (p NDPProxy) Has(a netip.Addr) bool { return p.Subnet.Contains(a) || p.Outside.Contains(a) }

// String names the link and the subnets.
func (p NDPProxy) String() string {
	outside := ""
	if p.Outside.IsValid() {
		outside = ", outside " + p.Outside.String() + ","
	}
	return "NDP proxy of " + p.Subnet.String() + outside + " on link " + p.Link
}

// Proxied is an address of a container for which the host answers by a link: a proxy neighbour entry
// (ip -6 neigh show proxy), which is marked by RouteProtocol.
type Proxied struct {
	EndpointID string
	Link       string
	Address    netip.Addr
}

// Kind and Key make Proxied an Object.
func (p Proxied) Kind() Kind { return KindProxied }

// Key is all of it: an endpoint that is known by another address outside has the former entry go.
func (p Proxied) Key() any { return p }

// Nameless is the address on its link, whoever has it.
func (p Proxied) Nameless() Proxied { return Proxied{Link: p.Link, Address: p.Address} }

// On are the links that it is at.
func (p Proxied) On() []string { return []string{p.Link} }

// String names both.
func (p Proxied) String() string {
	return "proxied address " + p.Address.String() + " on link " + p.Link
}
