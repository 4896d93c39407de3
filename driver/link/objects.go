package link

import (
	"context"
	"fmt"

	"github.com/gangway-net/gangway/driver/spec"
)

// Ensure makes an object, or mends it, and returns one line for each thing that was not as it
// should be (nil when nothing was). The kinds are those of this package: see EnsureBridge,
// EnsureVeth, EnsureShaper, EnsureMirror, EnsureLANPort, EnsureSteering, EnsureNDPProxy, EnsureProxied,
// EnsureFurtherBridge and EnsureForwarded.
func (h *Handle) Ensure(ctx context.Context, o spec.Object) (fixed []string, err error) {
	switch o := o.(type) {
	case spec.Bridge:
		return h.EnsureBridge(ctx, o)
	case spec.Veth:
		return h.EnsureVeth(ctx, o)
	case spec.Shaper:
		return h.EnsureShaper(ctx, o)
	case spec.Mirror:
		return h.EnsureMirror(ctx, o)
	case spec.LANPort:
		return h.EnsureLANPort(ctx, o)
	case spec.Steering:
		return h.EnsureSteering(ctx, o)
	case spec.NDPProxy:
		return h.EnsureNDPProxy(ctx, o)
	case spec.Proxied:
		return h.EnsureProxied(ctx, o)
	case spec.FurtherBridge:
		return h.EnsureFurtherBridge(ctx, o)
	case spec.Forwarded:
		return h.EnsureForwarded(ctx, o)
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
	case spec.Shaper:
		return h.DeleteShaper(ctx, o)
	case spec.Mirror:
		return h.DeleteMirror(ctx, o)
	case spec.LANPort:
		return h.DeleteLANPort(ctx, o)
	case spec.Steering:
		return h.DeleteSteering(ctx, o)
	case spec.NDPProxy:
		return h.DeleteNDPProxy(ctx, o)
	case spec.Proxied:
		return h.DeleteProxied(ctx, o)
	case spec.FurtherBridge:
		return h.DeleteFurtherBridge(ctx, o)
	case spec.Forwarded:
		return h.DeleteForwarded(ctx, o)
	}
	return fmt.Errorf("remove %s: no kind of link", o)
}

// Amiss returns those of the objects that are not as they say, as Ensure would mend them. What
// is at a link that is not there is left out: the link comes first.
func (h *Handle) Amiss(ctx context.Context, all []spec.Object) (amiss []spec.Object, err error) {
	if len(all) == 0 {
		return nil, nil
	}
	is, err := h.asked(ctx, all)
	if err != nil {
		return nil, err
	}
	for _, o := range all {
		if err = ctx.Err(); err != nil {
			return nil, err
		}
		bad, err := h.isAmiss(ctx, o, is)
		if err != nil {
			return nil, err
		}
		if bad {
			amiss = append(amiss, o)
		}
	}
	return amiss, nil
}

// asked is what the kernel is asked for once, whatever the number of objects.
type asked struct {
	buckets  map[int]bucket
	answered answered
	entries  entries
}

func (h *Handle) asked(ctx context.Context, all []spec.Object) (is asked, err error) {
	if is.buckets, err = h.buckets(ctx); err != nil {
		return is, err
	}
	if is.answered, err = h.answered(ctx, all); err != nil {
		return is, err
	}
	is.entries, err = h.entries(ctx, all)
	return is, err
}

func (h *Handle) isAmiss(ctx context.Context, o spec.Object, is asked) (bool, error) {
	switch o := o.(type) {
	case spec.Shaper:
		return h.misshaped(o, is.buckets)
	case spec.Mirror:
		return h.unmirrored(o)
	case spec.LANPort:
		return h.unjoined(ctx, o)
	case spec.Steering:
		return h.unsteered(ctx, o)
	case spec.NDPProxy:
		return h.unproxied(o)
	case spec.Proxied:
		return !is.answered.by(o), nil
	case spec.Forwarded:
		return h.unforwarded(o, is.entries)
	}
	return false, nil
}
