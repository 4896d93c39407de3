package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/config"
)

// Policies name other networks as engines call them. Only the engine knows that, and says it
// a while after a network was made; what it said last is stored, so that a restart closes nothing.

func (s *State) call(n *Network) {
	if n.Name != "" {
		s.Called[n.Name] = append(slices.Clone(s.Called[n.Name]), n)
	}
}

func (s *State) uncall(n *Network) {
	if n == nil || n.Name == "" {
		return
	}
	s.Called[n.Name] = slices.DeleteFunc(slices.Clone(s.Called[n.Name]), func(o *Network) bool { return o.ID == n.ID })
	if len(s.Called[n.Name]) == 0 {
		delete(s.Called, n.Name)
	}
}

// Peer is the network that a name in a policy stands for. Else it says why there is none: what
// is not known is closed.
func (s *State) Peer(name string) (*Network, error) {
	switch all := s.Called[name]; {
	case len(all) == 0:
		what := "there is no network " + name
		if near := config.Nearest(name, slices.Sorted(maps.Keys(s.Called))); near != "" {
			what += ", did you mean " + near + "?"
		}
		return nil, fmt.Errorf("%s", what)
	case len(all) > 1:
		return nil, fmt.Errorf("%d networks are called %s", len(all), name)
	case all[0].Options.Internal:
		return nil, fmt.Errorf("network %s is internal", name)
	case all[0].OnLAN():
		return nil, fmt.Errorf("network %s is on the LAN of %s", name, all[0].Options.Uplink)
	default:
		return all[0], nil
	}
}

// withNetworks puts in what names of networks in the policy stand for.
func (s *State) withNetworks(p config.Policy) config.Policy {
	var all []config.PeerNetwork
	for _, name := range p.NamedNetworks() {
		n, err := s.Peer(name)
		if err != nil {
			continue
		}
		peer := config.PeerNetwork{Name: name, Bridge: n.Bridge}
		for _, subnet := range n.Forwarded() {
			if subnet.Addr().Is4() {
				peer.Subnet4 = subnet
			} else {
				peer.Subnet6 = subnet
			}
		}
		all = append(all, peer)
	}
	p.Networks = config.NetworksText(all)
	return p
}

// Naming are those whose policies name a network of that name: networks, each with those of its
// endpoints that have no policy of their own, and endpoints with one.
func (s *State) Naming(name string) (networks []*Network, endpoints []*Endpoint) {
	names := func(n *Network, e *Endpoint) bool { return slices.Contains(s.PolicyOf(n, e).NamedNetworks(), name) }
	for id, n := range s.Networks {
		if names(n, nil) {
			networks = append(networks, n)
		}
		for _, e := range s.Members[id] {
			if e.OwnPolicy() && names(n, e) {
				endpoints = append(endpoints, e)
			}
		}
	}
	slices.SortFunc(networks, func(a, b *Network) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(endpoints, func(a, b *Endpoint) int { return strings.Compare(a.ID, b.ID) })
	return networks, endpoints
}
