package kinds

import (
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
)

// mirrors are copies for who watches. They come after the pairs that they are at.
func mirrors(p Parts) each {
	return each{p.Kernel, p.Desired, ofEndpoints(func(s *model.State, n *model.Network, e *model.Endpoint) (all []atLinks) {
		for _, m := range plan.Mirrors(n, e, plan.Watched(s, e)) {
			all = append(all, m)
		}
		return all
	})}
}
