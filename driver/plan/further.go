package plan

import (
	"net"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// A network with more containers than a bridge has ports has further bridges, which a link pair joins to
// the first each. All that has to do with the host stays on the first one: its addresses, routes,
// and the rules. A further bridge is a part of the wire: it passes frames on, and neither the
// host nor the firewall is on it. So there is no second place where something is decided.
//
// Rejected: rules and addresses on each bridge, which would be networks that are routed to one another;
// and a tree of bridges of any depth, where the way of a frame would depend on when a container came.

// FurtherBridges are those of a network, by their numbers.
func FurtherBridges(n *model.Network, numbers []int, uplink int) (all []spec.FurtherBridge) {
	mtu := MTU(n, uplink)
	if mtu == 0 && !follows(n) {
		mtu = kernelMTU
	}
	for _, number := range numbers {
		all = append(all, spec.FurtherBridge{
			NetworkID: n.ID, Number: number, Name: n.FurtherName(number), First: n.Bridge,
			MTU: mtu, Follows: follows(n), Isolated: !n.Options.ICC,
		})
	}
	return all
}

// furtherRules have the firewall leave alone what passes within further bridges.
func furtherRules(further []spec.FurtherBridge) (all []firewall.Network) {
	for _, b := range further {
		all = append(all, firewall.Network{ID: b.Owner(), Bridge: b.Name, Host: true, Further: true})
	}
	return all
}

// Forwarded is the entry of the first bridge for an endpoint on a further one, if it is to have one.
func Forwarded(n *model.Network, e *model.Endpoint) (f spec.Forwarded, there bool) {
	if e.Further == 0 || e.Sandbox == "" {
		return f, false
	}
	return spec.Forwarded{EndpointID: e.ID, First: n.Bridge, Port: spec.NearEnd(n.BridgeOf(e)), MAC: net.HardwareAddr(e.MAC)}, true
}

// Zones are the places of a network's bridges in the zone of the host's firewall manager. What comes
// from a LAN is not to be trusted by the host as what comes from containers; and a bridge that
// gangway only uses is the administrator's, and so is its place there.
func Zones(n *model.Network, numbers []int) (all []spec.Zone) {
	if n.Adopted || n.OnLAN() {
		return nil
	}
	all = append(all, spec.Zone{Bridge: n.Bridge})
	for _, number := range numbers {
		all = append(all, spec.Zone{Bridge: n.FurtherName(number)})
	}
	return all
}
