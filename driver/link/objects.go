package link

import (
	"context"
	"fmt"

	"github.com/gangway-net/gangway/driver/spec"
)

// Ensure makes an object, or mends it, and returns one line for each thing that was not as it
// should be (nil when nothing was). The kinds are those of this package: see EnsureBridge and
// EnsureVeth.
func (h *Handle) Ensure(ctx context.Context, o spec.Object) (fixed []string, err error) {
	switch o := o.(type) {
	case spec.Bridge:
		return h.EnsureBridge(ctx, o)
	case spec.Veth:
		return h.EnsureVeth(ctx, o)
	}
	return nil, fmt.Errorf("make %s: no kind of link", o)
}

// Remove takes an object away. What is gone already is no error.
func (h *Handle) Remove(ctx context.Context, o spec.Object) error {
	switch o := o.(type) {
	case spec.Bridge:
		return h.DeleteBridge(ctx, o)
	case spec.Veth:
		return h.DeleteVeth(ctx, o)
	}
	return fmt.Errorf("remove %s: no kind of link", o)
}
