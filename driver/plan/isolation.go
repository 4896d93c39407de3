package plan

import (
	"net/netip"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
)

// isolation is what the firewall has to know about the network, which is left by gateway if that is
// to be; nil for none.
func isolation(n *model.Network, gateway *model.Endpoint) firewall.Network {
	if n.Moved() {
		return firewall.Network{ID: n.ID, Bridge: n.Bridge, Host: true}
	}
	fw := firewall.Network{
		ID:       n.ID,
		Bridge:   n.Bridge,
		Internal: n.Unrouted() || n.Steered(),
		ICC:      n.Options.ICC,
		Subnets:  ownSubnets(n),
	}
	if n.Hostless() {
		// A neighbour on the LAN may reach the host by any other of its links.
		fw.Subnets = nil
	}
	if n.Unrouted() {
		return fw
	}
	fw.Gateways = addrsOf(gateway)
	for _, subnet := range n.Forwarded() {
		mode := n.Options.Mode(subnet.Addr().Is6())
		if mode == config.Routed {
			fw.Routed = fw.Routed.With(firewall.Family(subnet.Addr().Is6()))
			continue
		}
		fw.Hairpin = append(fw.Hairpin, subnet)
		if n.Options.Masquerade && (subnet.Addr().Is4() || !n.Options.Prefix.Follow) {
			fw.Masquerade = append(fw.Masquerade, subnet)
		}
		if mode == config.NATUnprotected {
			fw.Unprotected = fw.Unprotected.With(firewall.Family(subnet.Addr().Is6()))
		}
	}
	for _, six := range []bool{false, true} {
		if a := SourceAddress(n, six); a.IsValid() {
			fw.Source = append(fw.Source, a)
		}
	}
	return fw
}

// SourceAddress is the one that outgoing traffic of a family takes; invalid for that of
// the link that it leaves by.
func SourceAddress(n *model.Network, six bool) netip.Addr {
	if six {
		return n.Options.Host6
	}
	return n.Options.Host4
}
