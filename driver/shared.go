package driver

import (
	"net/netip"
	"slices"
)

// A gateway's address that the bridge does not have (inhibit_ipv4) is another
// machine's, or that of one container: it may use and claim the address as any other
// of its own, and nobody else may.

// leaves says whether the network's gateway has the address, and the bridge does
// not.
func (n *Network) leaves(a netip.Addr) bool {
	is := func(p netip.Prefix) bool { return p.Addr() == a }
	return slices.ContainsFunc(n.gateways(), is) && !slices.ContainsFunc(n.bridgeAddresses(), is)
}

// Shared says whether an address is a network's gateway that a container may have.
// It is for the address manager, which holds gateways and knows no networks.
func (d *Driver) Shared(a netip.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range d.state.networks {
		if n.leaves(a) {
			return true
		}
	}
	return false
}
