package plan

import (
	"slices"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
)

// MTU is that of a network's links: what its user said, or what the way out takes; 0 leaves it
// as it is. uplink is the MTU of the way out, 0 if that is not known.
func MTU(n *model.Network, uplink int) int {
	switch {
	case n.Options.MTU != config.AutoMTU:
		return n.Options.MTU
	case uplink == 0:
		return 0
	case n.Subnet6.IsValid():
		return min(max(uplink, config.MinMTU6), config.MaxMTU)
	}
	return min(max(uplink, config.MinMTU), config.MaxMTU)
}

// follows says that the network's MTU is that of the way out.
func follows(n *model.Network) bool { return n != nil && n.Options.MTU == config.AutoMTU }

// Following are the owners whose plans depend on the MTU of the way out, sorted.
func Following(s *model.State) []Owner { return ownersOf(s, follows) }

// ownersOf are those of networks and of their endpoints, sorted.
func ownersOf(s *model.State, of func(*model.Network) bool) (all []Owner) {
	for id, n := range s.Networks {
		if !of(n) {
			continue
		}
		all = append(all, Owner{OfNetwork, id, id})
		for e := range s.Members[id] {
			all = append(all, Owner{OfEndpoint, id, e})
		}
	}
	slices.SortFunc(all, Owner.Compare)
	return all
}
