package plan

import (
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
)

// addDirect adds what follows from a container being on several networks: clients there must
// get its answers by way of the host if they asked for a port that is published on another.
func (p *Plan) addDirect(members []Member) {
	for _, m := range members {
		for _, other := range members {
			if other.Network.ID != m.Network.ID {
				addAll(p, direct(other.Network, m.Network, m.Endpoint))
			}
		}
	}
}

// direct says which clients of a network an endpoint of another one reaches directly.
func direct(clients, n *model.Network, e *model.Endpoint) (all []firewall.Direct) {
	if n.Unrouted() || clients.Unrouted() {
		return nil
	}
	for _, addr := range e.Addrs() {
		for _, subnet := range clients.Subnets() {
			if subnet.Addr().Is6() == addr.Is6() {
				all = append(all, firewall.Direct{NetworkID: n.ID, EndpointID: e.ID, Clients: subnet, Addr: addr})
			}
		}
	}
	return all
}
