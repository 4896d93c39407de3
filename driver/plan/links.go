package plan

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// Bridge is the network's bridge; uplink is the MTU of the way out, 0 if that is not known.
func Bridge(n *model.Network, uplink int) spec.Bridge {
	mtu := MTU(n, uplink)
	if n.Moved() {
		mtu = 0 // that of the uplink, as the host has it
	}
	return spec.Bridge{
		Name:      n.Bridge,
		NetworkID: n.ID,
		MTU:       mtu,
		Addresses: n.BridgeAddresses(),
		Adopted:   n.Adopted,
		IPv6:      n.Subnet6.IsValid() && n.Options.Mode(true) != config.Isolated && (!n.OnLAN() || n.Host6.IsValid()),
		Localnet:  translates4(n),
		LAN:       n.OnLAN() && !n.Moved(),
		Host:      n.Moved(),
		Routes:    hostRoutes(n),
	}
}

// translates4 says whether the network's containers may be reached by ports of
// the host's IPv4 addresses, 127.0.0.1 among them.
func translates4(n *model.Network) bool {
	return n.Subnet4.IsValid() && !n.Unrouted() && n.Options.Mode(false).Translated()
}

// Veth is the endpoint's pair on network n. One that is in no container is an address,
// and a pair that is cut off, if it has one still.
func Veth(n *model.Network, e *model.Endpoint, uplink int) spec.Veth {
	if e.Sandbox == "" {
		return spec.Veth{EndpointID: e.ID, Host: VethHost(e.ID), Peer: VethPeer(e.ID), Detached: true}
	}
	var reserved []netip.Prefix
	if n.Options.AntiSpoofing != config.SpoofingAllowed {
		reserved = n.Subnets()
	}
	first := ""
	if e.Further > 0 {
		first = n.Bridge
	}
	return spec.Veth{
		EndpointID: e.ID,
		Host:       VethHost(e.ID),
		Peer:       VethPeer(e.ID),
		Bridge:     n.BridgeOf(e),
		First:      first,
		MAC:        net.HardwareAddr(e.MAC),
		Addresses:  e.Addrs(),
		MTU:        MTU(n, uplink),
		Follows:    follows(n),
		Reserved:   reserved,
		Isolated:   !n.Options.ICC,
		Ifb:        shaped(n, e),
	}
}

// needsForwarding says whether packets of a family must pass from link to link.
func needsForwarding(n *model.Network, e *model.Endpoint, six bool) bool {
	return e.Sandbox != "" && !n.Unrouted() && (!six && e.IPv4.IsValid() || six && model.Forwarded(e.IPv6.Addr()))
}

// VethHost names the end of an endpoint's pair on the bridge. It has at most 15 bytes, the
// kernel's limit.
func VethHost(endpointID string) string { return "gv-" + model.Short(endpointID) }

// VethPeer names the container's end, as long as it is in the host.
func VethPeer(endpointID string) string { return "gp-" + model.Short(endpointID) }

// Links are those that there should be, sorted by name.
type Links struct {
	Bridges []spec.Bridge
	Further []spec.FurtherBridge
	Veths   []spec.Veth
	// Forward are the families of which packets must pass from link to link.
	Forward firewall.Families
}

// LinksOf returns the links of networks and endpoints; on are the networks of the endpoints,
// in their order. It compiles no rules: that would cost a check more than its looks. uplink is
// the MTU of the way out.
func LinksOf(networks []*model.Network, endpoints []*model.Endpoint, on []*model.Network, uplink int) Links {
	l := Links{Bridges: make([]spec.Bridge, 0, len(networks)), Veths: make([]spec.Veth, 0, len(endpoints))}
	for _, n := range networks {
		l.Bridges = append(l.Bridges, Bridge(n, uplink))
	}
	further := map[*model.Network]map[int]bool{}
	for i, e := range endpoints {
		if e.Further > 0 && e.Sandbox != "" {
			if further[on[i]] == nil {
				further[on[i]] = map[int]bool{}
			}
			further[on[i]][e.Further] = true
		}
		l.Veths = append(l.Veths, Veth(on[i], e, uplink))
		l.Forward = l.Forward.With(firewall.Families{V4: needsForwarding(on[i], e, false), V6: needsForwarding(on[i], e, true)})
	}
	for n, numbers := range further {
		l.Further = append(l.Further, FurtherBridges(n, slices.Sorted(maps.Keys(numbers)), uplink)...)
	}
	slices.SortFunc(l.Further, func(a, b spec.FurtherBridge) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(l.Bridges, func(a, b spec.Bridge) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(l.Veths, func(a, b spec.Veth) int { return strings.Compare(a.Host, b.Host) })
	return l
}
