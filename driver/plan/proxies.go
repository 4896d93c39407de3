package plan

import (
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// Of a network whose subnet is on-link at a link of the host, routers and neighbours there ask for each
// address by neighbour discovery. The host answers for those that containers have: one entry for each, which comes
// and goes with its endpoint. The rejected alternative, a program that answers for the whole subnet, would claim
// addresses of others on that link. To answer opens nothing: what passes is the firewall's to say.

// NDPProxy is the link by which the host answers for a network's addresses, if there is to be one.
func NDPProxy(n *model.Network) (p spec.NDPProxy, there bool) {
	if !n.Proxied() {
		return p, false
	}
	return spec.NDPProxy{Link: n.Options.NDPProxy, NetworkID: n.ID, Subnet: n.Subnet6}, true
}

// Proxied is the endpoint's address for which the host answers, if it does. One that is in no container is
// answered for by nobody.
func Proxied(n *model.Network, e *model.Endpoint) (p spec.Proxied, there bool) {
	if !n.Proxied() || e.Sandbox == "" || !e.IPv6.IsValid() {
		return p, false
	}
	return spec.Proxied{EndpointID: e.ID, Link: n.Options.NDPProxy, Address: e.IPv6.Addr()}, true
}
