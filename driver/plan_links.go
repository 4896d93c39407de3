package driver

import (
	"net"
	"net/netip"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// planBridge is the network's bridge.
func planBridge(n *model.Network) spec.Bridge {
	return spec.Bridge{
		Name:      n.Bridge,
		NetworkID: n.ID,
		MTU:       n.Options.MTU,
		Addresses: n.BridgeAddresses(),
		Adopted:   n.Adopted,
		IPv6:      n.Subnet6.IsValid() && n.Options.Mode(true) != config.Isolated,
		Localnet:  translates4(n),
	}
}

// translates4 says whether the network's containers may be reached by ports of
// the host's IPv4 addresses, 127.0.0.1 among them.
func translates4(n *model.Network) bool {
	return n.Subnet4.IsValid() && !n.Options.Internal && n.Options.Mode(false).Translated()
}

// planVeth is the endpoint's pair on network n. One that is in no container is an address,
// and a pair that is cut off, if it has one still.
func planVeth(n *model.Network, e *model.Endpoint) spec.Veth {
	if e.Sandbox == "" {
		return spec.Veth{EndpointID: e.ID, Host: vethHost(e.ID), Peer: vethPeer(e.ID), Detached: true}
	}
	var reserved []netip.Prefix
	if n.Options.AntiSpoofing != config.SpoofingAllowed {
		reserved = n.Subnets()
	}
	return spec.Veth{
		EndpointID: e.ID,
		Host:       vethHost(e.ID),
		Peer:       vethPeer(e.ID),
		Bridge:     n.Bridge,
		MAC:        net.HardwareAddr(e.MAC),
		Addresses:  e.Addrs(),
		MTU:        n.Options.MTU,
		Reserved:   reserved,
		Isolated:   !n.Options.ICC,
	}
}

// needsForwarding says whether packets of a family must pass from link to link.
func needsForwarding(n *model.Network, e *model.Endpoint, six bool) bool {
	return e.Sandbox != "" && !n.Options.Internal && (!six && e.IPv4.IsValid() || six && model.Forwarded(e.IPv6.Addr()))
}

// vethHost names the end on the bridge, vethPeer the container's. Both have
// at most 15 bytes, the kernel's limit.
func vethHost(endpointID string) string { return "gv-" + model.Short(endpointID) }

func vethPeer(endpointID string) string { return "gp-" + model.Short(endpointID) }
