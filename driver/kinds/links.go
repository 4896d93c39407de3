package kinds

import (
	"context"

	"github.com/gangway-net/gangway/driver/commit"
	"github.com/gangway-net/gangway/driver/drift"
	"github.com/gangway-net/gangway/driver/spec"
)

// Kernel makes objects what they say, and takes them away, of each kind that the kernel holds
// for a network or an endpoint. Package link is the real one.
//   - A bridge that is adopted is not removed: it gets back what was changed of it.
//   - A pair whose peer is in a container is mended and never re-created. Of a detached
//     one nothing is created, and what there is is cut off. It is removed wherever the peer is.
type Kernel interface {
	// Ensure creates the object or mends it, and returns one line for
	// each thing that was not as it should be (nil when nothing was).
	Ensure(ctx context.Context, o spec.Object) (fixed []string, err error)
	// Remove takes it away. What is gone already is no error.
	Remove(ctx context.Context, o spec.Object) error
	// Amiss returns those of the objects that Ensure would mend, of kinds that Check of
	// drift.Links does not show. What is at a link that is not there is left out.
	Amiss(ctx context.Context, all []spec.Object) ([]spec.Object, error)
	// Strays returns addresses that gangway has the host answer for, of subnets of these
	// proxies, and that are none of the wanted ones.
	Strays(ctx context.Context, proxies []spec.NDPProxy, wanted []spec.Proxied) ([]spec.Proxied, error)
}

// inKernel are the actions of objects that the kernel holds.
func inKernel[T spec.Object](k Kernel) commit.Actions[T] {
	return commit.Actions[T]{
		Ensure: func(ctx context.Context, o T) ([]string, error) { return k.Ensure(ctx, o) },
		Remove: func(ctx context.Context, o T) error { return k.Remove(ctx, o) },
	}
}

// pairs are trimmed as they are made: what stays of one that leaves is cut off.
func pairs(k Kernel) commit.Actions[spec.Veth] {
	a := inKernel[spec.Veth](k)
	a.Trim = func(ctx context.Context, v spec.Veth) error {
		_, err := k.Ensure(ctx, v)
		return err
	}
	return a
}

// checkLinks is the check of bridges, forwarding and pairs: one look shows all links.
func checkLinks(ctx context.Context, c *drift.Comparison) { c.CheckLinks(ctx) }
