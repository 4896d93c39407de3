package kinds

import (
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
)

// steerings are the ways out of networks that are left by a container. They come after the bridges
// that their routes lead by, and before containers.
func steerings(p Parts) each {
	return each{p.Kernel, p.Desired, func(s *model.State, n *model.Network) []atLinks {
		return orNone(plan.Steering(n, s.GatewayOf(n)))
	}}
}
