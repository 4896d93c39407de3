package kinds

import "github.com/gangway-net/gangway/driver/plan"

// shapers are the bounds of what passes by pairs. They come after the pairs that they are at.
func shapers(p Parts) each {
	return each{p.Kernel, p.Desired, ofEach(plan.Shaper)}
}
