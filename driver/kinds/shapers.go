package kinds

import (
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
)

// shapers are the bounds of what passes by pairs. They come after the pairs that they are at.
func shapers(p Parts) each {
	return each{p.Kernel, p.Desired, ofEndpoints(func(_ *model.State, n *model.Network, e *model.Endpoint) []atLinks {
		if s, bounded := plan.Shaper(n, e); bounded {
			return []atLinks{s}
		}
		return nil
	})}
}
