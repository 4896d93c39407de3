package plan

import (
	"slices"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/driver/spec"
)

// peers are what a container opens of the isolation of its network: its halves of what it may
// begin to containers of others, and of what these may begin to it. Each half is a container's,
// by its own addresses: so a policy of one container counts for it alone, and what only claims
// to be on the network opens nothing. A pair of networks as a whole was the alternative: then
// what one container is allowed would be closed to its neighbours by their policies alone, and
// most of them have none.
func (f Source) peers() (all []firewall.Peer) {
	n, e, own := f.Network, f.Endpoint, f.said().Own
	if e.Sandbox == "" || Peerless(n) != "" || len(own.NamedNetworks()) == 0 {
		return nil
	}
	p, _ := policy.Of(own) // it is closed with an error
	for _, half := range []struct {
		asks bool
		list []policy.Peering
	}{{true, p.Reaches()}, {false, p.ReachedBy()}} {
		for _, to := range half.list {
			if to.Bridge == n.Bridge || half.asks && reachesNobody(n) {
				continue
			}
			all = append(all, halves(n, e, half.asks, to)...)
		}
	}
	return all
}

// halves are those of a container towards one network.
func halves(n *model.Network, e *model.Endpoint, asks bool, to policy.Peering) (all []firewall.Peer) {
	for _, a := range e.Addrs() {
		if !model.Forwarded(a) || !to.Has(a.Is6()) {
			continue
		}
		one := firewall.Peer{NetworkID: n.ID, EndpointID: e.ID, Asks: asks, Bridge: n.Bridge, Other: to.Bridge, Addr: a}
		if to.All {
			all = append(all, one)
			continue
		}
		for _, s := range to.Ports {
			one.Proto, one.First, one.Last = spec.Protocol(s.Proto), max(s.First, 1), s.Last
			all = append(all, one)
		}
	}
	return all
}

// Peerless says why no container of a network can have to do with those of others, whatever
// policies say; "" where they can.
func Peerless(n *model.Network) string {
	switch {
	case n.Options.Internal:
		return "the network is internal"
	case n.OnLAN():
		return "the network is on the LAN of " + n.Options.Uplink
	}
	return ""
}

// reachesNobody says that others than containers of gangway may send in their name, or that what
// they send goes by another machine.
func reachesNobody(n *model.Network) bool { return n.Adopted || n.LeavesElsewhere() }

// naming are the owners whose plans follow from what a network is called.
func naming(s *model.State, name string) (all []Owner) {
	networks, endpoints := s.Naming(name)
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

// Naming are the owners whose plans follow from what networks are called, sorted.
func Naming(s *model.State, names ...string) (all []Owner) {
	for _, name := range names {
		if name != "" {
			all = append(all, naming(s, name)...)
		}
	}
	slices.SortFunc(all, Owner.Compare)
	return slices.Compact(all)
}

// UnmetNetwork is a network that a policy names, and why what it says of it is closed.
type UnmetNetwork struct{ Entry, Why string }

// UnmetNetworks are those that what counts for a network, or for one container, names in vain. So it
// is as long as the network is not there, or does not say its half.
func UnmetNetworks(s *model.State, n *model.Network, e *model.Endpoint) (all []UnmetNetwork) {
	texts := s.PolicyOf(n, e)
	p, err := policy.Of(texts)
	if err != nil {
		return nil
	}
	note := func(item interface{ String() string }, of config.PeerNetwork, asks bool) {
		if why := unmet(s, n, of.Name, asks); of.Name != "" && why != "" {
			all = append(all, UnmetNetwork{item.String(), why})
		}
	}
	for _, a := range p.Allow {
		note(a, a.Network, true)
	}
	for _, i := range p.Ingress {
		note(i, i.Network, false)
	}
	return all
}

// unmet says why an entry of one network about another one opens nothing; "" where it does.
func unmet(s *model.State, n *model.Network, name string, asks bool) string {
	other, err := s.Peer(name)
	why := Peerless(n)
	switch {
	case err != nil:
		return err.Error()
	case other.ID == n.ID:
		return "it is the network itself: com.docker.network.bridge.enable_icc is about its containers"
	case why != "":
		return why
	case asks && reachesNobody(n):
		return "others than its containers may send from the network"
	case asks && !says(s, other, n, false):
		return "no gangway.ingress of network " + name + " has network:" + called(n)
	case !asks && !says(s, other, n, true):
		return "no gangway.egress.allow of network " + name + " has network:" + called(n)
	}
	return ""
}

// PeersWith says whether what counts for both sides lets a container of a network, or one of its
// others if e is nil, begin a flow to a container of another network.
func PeersWith(s *model.State, n *model.Network, e, to *model.Endpoint, asked policy.Packet) bool {
	other := s.Networks[to.NetworkID]
	if other == nil || Peerless(n)+Peerless(other) != "" || reachesNobody(n) {
		return false
	}
	from, err := policy.Of(s.PolicyOf(n, e))
	target, wrong := policy.Of(s.PolicyOf(other, to))
	return err == nil && wrong == nil && policy.Peers(from, target, n.Bridge, other.Bridge, asked)
}

func called(n *model.Network) string {
	if n.Name == "" {
		return "NAME of this one"
	}
	return n.Name
}

// says says whether a network, or a container of it, names another one.
func says(s *model.State, n, other *model.Network, asks bool) bool {
	named := func(e *model.Endpoint) bool {
		p, err := policy.Of(s.PolicyOf(n, e))
		list := p.ReachedBy
		if asks {
			list = p.Reaches
		}
		return err == nil && slices.ContainsFunc(list(), func(to policy.Peering) bool { return to.Bridge == other.Bridge })
	}
	if named(nil) {
		return true
	}
	for _, e := range s.Members[n.ID] {
		if e.OwnPolicy() && named(e) {
			return true
		}
	}
	return false
}
