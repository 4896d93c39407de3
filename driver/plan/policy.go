package plan

import (
	"cmp"
	"net/netip"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/policy"
)

// Said is what policies say of a network, or of an endpoint.
type Said struct {
	// Network is what counts for the network, Own what counts for the endpoint.
	Network, Own config.Policy
	// Learning says of whom a policy is learned just now.
	Learning Learning
}

// saidOf is what policies say of an endpoint, or of a network as a whole if e is nil. Most have no
// policy, and what was applied is kept of each: so nothing said is nil.
func saidOf(s *model.State, n *model.Network, e *model.Endpoint) *Said {
	said := Said{Network: s.PolicyOf(n, nil)}
	said.Learning.Network = learning(s, n, nil)
	if e != nil {
		said.Own, said.Learning.Own = s.PolicyOf(n, e), learning(s, n, e)
	}
	nothing := filled(config.Policy{})
	if said.Learning == (Learning{}) && filled(said.Network) == nothing && filled(said.Own) == nothing {
		return nil
	}
	return &said
}

// said is what policies say.
func (f Source) said() Said {
	if f.Said == nil {
		return Said{}
	}
	return *f.Said
}

// networkPolicy is that of a network's containers, unless it is open.
func (f Source) networkPolicy() []policy.Binding {
	n, said := f.Network, f.said()
	texts := taught(said.Learning.Network, steered(n, hostless(n, said.Network)))
	if open(texts) {
		return nil
	}
	return []policy.Binding{{NetworkID: n.ID, Bridge: n.Bridge, Subnets: ownSubnets(n), Texts: nameless(texts)}}
}

// endpointPolicy is the one that a container in a sandbox has for itself. One that is open counts where
// that of its network is not.
func (f Source) endpointPolicy() []policy.Binding {
	n, e, said := f.Network, f.Endpoint, f.said()
	own, others := hostless(n, said.Own), taught(said.Learning.Network, steered(n, hostless(n, said.Network)))
	if f.Gateway == nil || f.Gateway.ID != e.ID {
		own = steered(n, own)
	}
	own = taught(said.Learning.Own, own)
	if e.Sandbox == "" || nameless(own) == nameless(others) || open(own) && open(others) {
		return nil
	}
	return []policy.Binding{{
		NetworkID: n.ID, EndpointID: e.ID, Bridge: n.Bridge, Subnets: ownSubnets(n), Addrs: e.Addrs(), Texts: nameless(own),
	}}
}

// users are the owners whose plans follow from a named policy. The state is the one after its
// change.
func users(s *model.State, c model.PolicyChange) (all []Owner) {
	name := ""
	for _, p := range []*model.NamedPolicy{c.Before, c.After} {
		if p != nil {
			name = p.Name
		}
	}
	networks, endpoints := s.Users(name)
	for _, n := range networks {
		all = append(all, Owner{OfNetwork, n.ID, n.ID})
		for id := range s.Members[n.ID] {
			all = append(all, Owner{OfEndpoint, n.ID, id})
		}
	}
	for _, e := range endpoints {
		all = append(all, Owner{OfEndpoint, e.NetworkID, e.ID})
	}
	return all
}

// PolicyInForce is what counts for a container, or for all without one of their own if e is nil;
// the zero value where it refuses nothing, and opens nothing of other networks.
func PolicyInForce(s *model.State, n *model.Network, e *model.Endpoint) config.Policy {
	texts := hostless(n, s.PolicyOf(n, e))
	if e == nil || s.GatewayOf(n) != e {
		texts = steered(n, texts)
	}
	texts = taught(learning(s, n, e), texts)
	if open(texts) && len(texts.NamedNetworks()) == 0 {
		return config.Policy{}
	}
	return filled(texts)
}

// OwnPolicy says that something else counts for a container than for others on its network.
func OwnPolicy(s *model.State, n *model.Network, e *model.Endpoint) bool {
	return nameless(taught(learning(s, n, e), s.PolicyOf(n, e))) != nameless(taught(learning(s, n, nil), s.PolicyOf(n, nil)))
}

// nameless is what counts, whoever has said it: equal policies are one in the kernel.
func nameless(texts config.Policy) config.Policy {
	texts.Name = ""
	return filled(texts)
}

// hostless closes the host to a LAN on which it is not to be reached. That its bridge has no address
// is not enough: there the kernel answers for those of other links as well.
func hostless(n *model.Network, texts config.Policy) config.Policy {
	if n.Hostless() {
		texts = texts.Enforced() // mode audit would open it
		texts.Host = config.None
	}
	return texts
}

// ClosesHost says that containers of a network do not reach the host, whatever policies say.
func ClosesHost(n *model.Network) bool { return n.Hostless() || n.Steered() }

// open says that a policy refuses nothing. One that cannot be read refuses all. Lists of
// thousands of entries are read only where something else does not say it already.
func open(texts config.Policy) bool {
	if cmp.Or(texts.Egress, config.EgressOpen) != config.EgressOpen || cmp.Or(texts.Deny, config.None) != config.None {
		return false
	}
	p, err := policy.Of(texts)
	return err == nil && p.Open()
}

// filled says what counts for what nobody has said, so that equal policies are equal.
func filled(texts config.Policy) config.Policy {
	if texts.Names == config.NamesByAddress {
		texts.Names = ""
	}
	return texts.Over(Unsaid(texts))
}

// Unsaid is what counts, beside what was said, for what nobody has said.
func Unsaid(texts config.Policy) config.Policy {
	host := config.HostDNS
	if cmp.Or(texts.Egress, config.EgressOpen) == config.EgressOpen {
		host = config.Any
	}
	return config.Policy{
		Egress: config.EgressOpen, Allow: config.None, Deny: config.None, Ingress: config.Any, Host: host, Mode: config.ModeEnforce,
	}
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
