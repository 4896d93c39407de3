package plan

import (
	"net/netip"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// A network that is left by one of its containers is closed as an internal one, but for that
// container. The others send what leaves to the bridge, as on any network, and the host steers it:
// so they need not know where the gateway is, which may come, go, and come back with another address.
// The rejected alternative, the container's address as their gateway, would have running containers
// send to whoever has that address later.

// Steering is the way out of a network by its gateway, if it is to have one; e is the gateway, nil
// as long as there is none.
func Steering(n *model.Network, e *model.Endpoint) (way spec.Steering, there bool) {
	if !n.Steered() {
		return way, false
	}
	way = spec.Steering{Bridge: n.Bridge, NetworkID: n.ID}
	for _, subnet := range n.Subnets() {
		w := spec.Way{Subnet: subnet}
		for _, a := range addrsOf(e) {
			if a.Is6() == subnet.Addr().Is6() {
				w.Via = a
			}
		}
		way.Ways = append(way.Ways, w)
	}
	return way, true
}

func addrsOf(e *model.Endpoint) []netip.Addr {
	if e == nil {
		return nil
	}
	return e.Addrs()
}

// steered is what counts of a policy for a container that leaves by another one.
func steered(n *model.Network, texts config.Policy) config.Policy {
	if n.Steered() {
		return texts.Behind()
	}
	return texts
}
