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
	buckets, err := h.buckets(ctx)
	if err != nil {
		return nil, err
	}
	answered, err := h.answered(ctx, all)
	if err != nil {
		return nil, err
	}
	known, err := h.entries(ctx, all)
	if err != nil {
		return nil, err
	}
	for _, o := range all {
		if err = ctx.Err(); err != nil {
			return nil, err
		}
		is := false
		switch o := o.(type) {
		case spec.Shaper:
			is, err = h.misshaped(o, buckets)
		case spec.Mirror:
			is, err = h.unmirrored(o)
		case spec.LANPort:
			is, err = h.unjoined(ctx, o)
		case spec.Steering:
			is, err = h.unsteered(ctx, o)
		case spec.NDPProxy:
			is, err = h.unproxied(o)
		case spec.Proxied:
			is = !answered.by(o)
		case spec.Forwarded:
			is, err = h.unforwarded(o, known)
		}
		if err != nil {
			return nil, err
		}
		if is {
			amiss = append(amiss, o)
		}
	}
	return amiss, nil
}
