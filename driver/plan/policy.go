package plan

import (
	"cmp"
	"net/netip"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/policy"
)

// networkPolicy is that of a network's containers, unless it is open.
func networkPolicy(n *model.Network) []policy.Binding {
	if open(n.Policy) {
		return nil
	}
	return []policy.Binding{{NetworkID: n.ID, Bridge: n.Bridge, Subnets: ownSubnets(n), Texts: filled(n.Policy)}}
}

// endpointPolicy is the one that a container has for itself. One that is open counts where
// that of its network is not.
func endpointPolicy(n *model.Network, e *model.Endpoint) []policy.Binding {
	own := e.Options.Policy.Over(n.Policy)
	if e.Options.Policy == (config.Policy{}) || open(own) && open(n.Policy) {
		return nil
	}
	return []policy.Binding{{
		NetworkID: n.ID, EndpointID: e.ID, Bridge: n.Bridge, Subnets: ownSubnets(n), Addrs: e.Addrs(), Texts: filled(own),
	}}
}

// PolicyInForce is what counts for a container, or for all without one of their own if e is nil;
// the zero value where it refuses nothing.
func PolicyInForce(n *model.Network, e *model.Endpoint) config.Policy {
	texts := n.Policy
	if e != nil {
		texts = e.Options.Policy.Over(texts)
	}
	if open(texts) {
		return config.Policy{}
	}
	return filled(texts)
}

// open says that a policy refuses nothing. One that cannot be read refuses all.
func open(texts config.Policy) bool {
	p, err := policy.Of(texts)
	return err == nil && p.Open()
}

// filled says what counts for what nobody has said, so that equal policies are equal.
func filled(texts config.Policy) config.Policy {
	host := config.HostDNS
	if texts.Egress = cmp.Or(texts.Egress, config.EgressOpen); texts.Egress == config.EgressOpen {
		host = config.Any
	}
	return texts.Over(config.Policy{
		Allow: config.None, Deny: config.None, Ingress: config.Any, Host: host, Mode: config.ModeEnforce,
	})
}

// ownSubnets are the network's whose addresses come by its bridge alone. IPv6 link-local ones
// are every link's.
func ownSubnets(n *model.Network) (all []netip.Prefix) {
	for _, subnet := range n.Subnets() {
		if a := subnet.Addr(); a.Is4() || !a.IsLinkLocalUnicast() {
			all = append(all, subnet)
		}
	}
	return all
}
