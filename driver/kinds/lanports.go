package kinds

import (
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
)

// lanPorts are the links by which networks are on LANs. They come after the bridges that they are
// ports of.
func lanPorts(p Parts) each {
	return each{p.Kernel, p.Desired, func(_ *model.State, n *model.Network) []atLinks { return orNone(plan.LANPort(n)) }}
}
