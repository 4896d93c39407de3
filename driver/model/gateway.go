package model

import (
	"fmt"

	"github.com/gangway-net/gangway/config"
)

// Steered says that what leaves the network goes by one of its containers, and by nothing else.
func (n *Network) Steered() bool { return n.Options.Gateway != "" }

// GatewayOf returns the endpoint by which a network is left; nil as long as there is none.
// Endpoints' ids are never used again, so one that is gone leaves the way to nobody: an address
// might be another container's by then.
func (s *State) GatewayOf(n *Network) *Endpoint {
	e := s.Members[n.ID][n.GatewayID]
	if !n.Steered() || e == nil || e.Sandbox == "" {
		return nil
	}
	return e
}

// Chosen is what becomes of a network as an endpoint of it joins a container: if the endpoint has
// the address by which the network's gateway is named, that is the way out from now on.
func (n *Network) Chosen(e *Endpoint) NetworkChange {
	if _, addr := config.ParseGateway(n.Options.Gateway); !addr.IsValid() || addr != e.IPv4.Addr() && addr != e.IPv6.Addr() || n.GatewayID == e.ID {
		return NetworkChange{}
	}
	return n.left(e.ID)
}

// left is the network as it is left by an endpoint; empty for none.
func (n *Network) left(by string) NetworkChange {
	after := *n
	after.GatewayID = by
	return NetworkChange{Before: n, After: &after}
}

// NamedGateway is what becomes of a network whose gateway is given by a container's name, as its endpoints are called
// so by now; "" is one that nobody has named.
func (s *State) NamedGateway(n *Network, nameOf func(endpointID string) string) NetworkChange {
	want, _ := config.ParseGateway(n.Options.Gateway)
	if want == "" {
		return NetworkChange{}
	}
	for id := range s.Members[n.ID] {
		if nameOf(id) != want {
			continue
		}
		if id == n.GatewayID {
			return NetworkChange{}
		}
		return n.left(id)
	}
	if n.GatewayID != "" && nameOf(n.GatewayID) != "" { // it has another name by now
		return n.left("")
	}
	return NetworkChange{}
}

// admitGateway refuses a gateway that can never be there, and bridges by which others leave as well.
func (n *Network) admitGateway() error {
	if !n.Steered() {
		return nil
	}
	_, addr := config.ParseGateway(n.Options.Gateway)
	var why string
	switch {
	case addr.IsValid() && !n.Contains(addr):
		why = fmt.Sprintf("%s is no address of the network (subnets %v): name one, or container:NAME", addr, n.Subnets())
	case addr.IsValid() && (addr == n.Gateway4.Addr() || addr == n.Gateway6.Addr()):
		why = fmt.Sprintf("%s is the address of the network's bridge, by which the host is reached: name that of the container", addr)
	case n.Router4.IsValid() || n.Router6.IsValid():
		why = fmt.Sprintf("containers would send what leaves past it: leave the auxiliary addresses %s and %s out, or the option", RouterName4, RouterName6)
	case n.Adopted:
		why = fmt.Sprintf("bridge %s was there before, and whoever else is on it would leave by the gateway as well: leave com.docker.network.bridge.name out", n.Bridge)
	case n.Subnet6.IsValid() && !Forwarded(n.Subnet6.Addr()):
		why = fmt.Sprintf("subnet %s is link-local, and nothing of it is passed on: choose another --subnet", n.Subnet6)
	default:
		return nil
	}
	return fmt.Errorf("network option gangway.gateway: %s", why)
}
