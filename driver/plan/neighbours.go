package plan

import (
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
)

// addDirect adds what follows from the container of an endpoint being on other
// networks as well: clients there must get its answers by way of the host if they
// asked for a port that is published here, and the other way round.
func (p *Plan) addDirect(s *model.State, n *model.Network, e *model.Endpoint) {
	if e.Sandbox == "" {
		return
	}
	for _, o := range s.Sandboxes[e.Sandbox] {
		other := s.Networks[o.NetworkID]
		if other == nil || other.ID == n.ID {
			continue
		}
		addAll(p, direct(other, n, e))
		addAll(p, direct(n, other, o))
	}
}

// direct says which clients of a network an endpoint of another one reaches directly.
func direct(clients, n *model.Network, e *model.Endpoint) (all []firewall.Direct) {
	if n.Options.Internal || clients.Options.Internal {
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
