package kinds

import "github.com/gangway-net/gangway/driver/plan"

// forwarded are the entries of first bridges for containers on further ones. They come after the pairs,
// whose addresses they are.
func forwarded(p Parts) each {
	return each{p.Kernel, p.Desired, ofEach(plan.Forwarded)}
}
