package plan

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/model"
)

// OwnerKind says what an owner is; it is a word for people as well.
type OwnerKind string

// The kinds of owners.
const (
	OfNetwork  OwnerKind = "network"
	OfEndpoint OwnerKind = "endpoint"
	// OfContainer is for what its endpoints have in common: host ports, and what follows from
	// being on several networks.
	OfContainer OwnerKind = "container"
)

// Owner is who objects are there for. What follows from facts is the host's, and compiled by
// CompileFacts.
type Owner struct {
	Kind OwnerKind
	// Network is the id of the network whose lock guards what is wanted of the owner; empty
	// for a container, which may be on several.
	Network string
	// ID is the network's or the endpoint's, or the key of the container's sandbox.
	ID string
}

// String names the owner for people.
func (o Owner) String() string { return string(o.Kind) + " " + model.Short(o.ID) }

// Compare orders owners, those of a network beside each other.
func (o Owner) Compare(p Owner) int {
	return cmp.Or(strings.Compare(o.Network, p.Network), strings.Compare(string(o.Kind), string(p.Kind)), strings.Compare(o.ID, p.ID))
}

// Source is what an owner's plan is compiled from: values that never change. What was applied
// is kept as this, so that it costs a few pointers whatever the owner's ports are. Equal
// sources give equal plans; that of an owner that is not there gives an empty one.
type Source struct {
	// Network is the network, or that of the endpoint.
	Network  *model.Network
	Endpoint *model.Endpoint
	// Said is what policies say of it; nil where they say nothing.
	Said *Said
	// Members are the endpoints in a container.
	Members []Member
	// Gateway is the endpoint by which the network is left, see Steering; nil for none.
	Gateway *model.Endpoint
	// Further are the numbers of the network's further bridges.
	Further []int
	// Watched are the endpoints of which the endpoint gets copies, sorted; see Mirrors.
	Watched []*model.Endpoint
	// Uplink is the MTU of the way out, of which the network's links have theirs; 0 where they
	// do not, or while it is not known.
	Uplink int
	// Outside is what the network's IPv6 subnet is outside, see OutsidePrefix.
	Outside netip.Prefix
	// Unused says that nobody else has the endpoint's address of Outside, see Proxied.
	Unused bool
}

// Member is an endpoint and its network.
type Member struct {
	Network  *model.Network
	Endpoint *model.Endpoint
}

// SourceOf returns what an owner's plan follows from in a state, and in facts as far as it depends
// on them.
func SourceOf(s *model.State, o Owner, f Facts) (from Source) {
	switch o.Kind {
	case OfNetwork:
		if from.Network = s.Networks[o.ID]; from.Network != nil {
			from.Said, from.Gateway = saidOf(s, from.Network, nil), s.GatewayOf(from.Network)
			from.Further = s.Further(o.ID)
		}
	case OfEndpoint:
		n, e := s.Networks[o.Network], s.Members[o.Network][o.ID]
		if n != nil && e != nil {
			from.Network, from.Endpoint, from.Watched = n, e, Watched(s, e)
			from.Said, from.Gateway = saidOf(s, n, e), s.GatewayOf(n)
		}
	case OfContainer:
		for _, e := range s.Sandboxes[o.ID] {
			if n := s.Networks[e.NetworkID]; n != nil {
				from.Members = append(from.Members, Member{n, e})
			}
		}
	}
	if follows(from.Network) {
		from.Uplink = f.Uplink
	}
	if from.Network != nil {
		from.Outside = OutsidePrefix(s, from.Network, f.Prefixes)
		if from.Endpoint != nil {
			p, there := proxiable(from.Network, from.Endpoint, from.Outside)
			from.Unused = there && f.unused(p)
		}
	}
	return from
}

// Empty says that the owner is not there.
func (f Source) Empty() bool { return f.Network == nil && len(f.Members) == 0 }

// Compile says what should be there for the owner.
func (f Source) Compile() (p Plan) {
	switch {
	case f.Endpoint != nil:
		p.addEndpoint(f)
		addAll(&p, f.endpointPolicy())
		addAll(&p, f.peers())
	case f.Network != nil:
		p.addNetwork(f)
		addAll(&p, f.networkPolicy())
	case len(f.Members) > 0:
		p.addContainer(f.Members)
	}
	return p
}

// Owners are all that a state has.
func Owners(s *model.State) iter.Seq[Owner] {
	return func(yield func(Owner) bool) {
		for id := range s.Networks {
			if !yield(Owner{OfNetwork, id, id}) {
				return
			}
			for e := range s.Members[id] {
				if !yield(Owner{OfEndpoint, id, e}) {
					return
				}
			}
		}
		for sandbox := range s.Sandboxes {
			if !yield(Owner{Kind: OfContainer, ID: sandbox}) {
				return
			}
		}
	}
}

// Concerned are the owners whose plans may be others after a change, sorted: what it
// changes, and all that depends on that. The state is the one after the change.
func Concerned(s *model.State, c model.Change) (all []Owner) {
	on := func(e *model.Endpoint) {
		if e == nil {
			return
		}
		all = append(all, Owner{OfEndpoint, e.NetworkID, e.ID})
		if e.Sandbox != "" {
			all = append(all, Owner{Kind: OfContainer, ID: e.Sandbox})
		}
	}
	for _, n := range []*model.Network{c.Network.Before, c.Network.After} {
		if n != nil {
			all = append(all, Owner{OfNetwork, n.ID, n.ID})
			for _, e := range s.Members[n.ID] {
				on(e)
			}
		}
	}
	for _, e := range c.Endpoints {
		on(e.Before)
		on(e.After)
		for _, w := range s.Watchers[e.NetworkID()] {
			on(w)
		}
		// The endpoint may be its gateway, or the first or last one on a further bridge.
		if n := s.Networks[e.NetworkID()]; n != nil && (n.Steered() || e.Further()) {
			all = append(all, Owner{OfNetwork, n.ID, n.ID})
		}
	}
	for _, p := range c.Policies {
		all = append(all, users(s, p)...)
	}
	if c.Learning != nil {
		all = append(all, learners(s, c.Learning.Of)...)
	}
	slices.SortFunc(all, Owner.Compare)
	return slices.Compact(all)
}
