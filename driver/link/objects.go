package link

import (
	"context"
	"fmt"

	"github.com/gangway-net/gangway/driver/spec"
)

// kind is what is done with the objects of one kind.
type kind struct {
	ensure func(*Handle, context.Context, spec.Object) (fixed []string, err error)
	remove func(*Handle, context.Context, spec.Object) error
	// amiss says whether ensure would mend anything; nil for kinds that Check looks at.
	amiss func(*Handle, context.Context, spec.Object, asked) (bool, error)
}

// kindOf returns what is done with objects of a kind, and is the one place that lists the kinds.
func kindOf(k spec.Kind) (kind, error) {
	switch k {
	case spec.KindBridge:
		return methods((*Handle).EnsureBridge, (*Handle).DeleteBridge, nil), nil
	case spec.KindPair:
		return methods((*Handle).EnsureVeth, (*Handle).DeleteVeth, nil), nil
	case spec.KindShaper:
		return methods((*Handle).EnsureShaper, (*Handle).DeleteShaper, (*Handle).misshaped), nil
	case spec.KindMirror:
		return methods((*Handle).EnsureMirror, (*Handle).DeleteMirror, (*Handle).unmirrored), nil
	case spec.KindLANPort:
		return methods((*Handle).EnsureLANPort, (*Handle).DeleteLANPort, (*Handle).unjoined), nil
	case spec.KindSteering:
		return methods((*Handle).EnsureSteering, (*Handle).DeleteSteering, (*Handle).unsteered), nil
	case spec.KindNDPProxy:
		return methods((*Handle).EnsureNDPProxy, (*Handle).DeleteNDPProxy, (*Handle).unproxied), nil
	case spec.KindProxied:
		return methods((*Handle).EnsureProxied, (*Handle).DeleteProxied, (*Handle).unanswered), nil
	case spec.KindFurtherBridge:
		return methods((*Handle).EnsureFurtherBridge, (*Handle).DeleteFurtherBridge, nil), nil
	case spec.KindForwarded:
		return methods((*Handle).EnsureForwarded, (*Handle).DeleteForwarded, (*Handle).unforwarded), nil
	}
	return kind{}, fmt.Errorf("a %s is no link", k)
}

// methods makes a kind of methods that take its own type of objects.
func methods[O spec.Object](
	ensure func(*Handle, context.Context, O) ([]string, error), remove func(*Handle, context.Context, O) error,
	amiss func(*Handle, context.Context, O, asked) (bool, error),
) kind {
	k := kind{
		ensure: func(h *Handle, ctx context.Context, o spec.Object) ([]string, error) { return ensure(h, ctx, o.(O)) },
		remove: func(h *Handle, ctx context.Context, o spec.Object) error { return remove(h, ctx, o.(O)) },
	}
	if amiss != nil {
		k.amiss = func(h *Handle, ctx context.Context, o spec.Object, is asked) (bool, error) {
			return amiss(h, ctx, o.(O), is)
		}
	}
	return k
}

// Ensure makes an object, or mends it, and returns one line for each thing that was not as it
// should be (nil when nothing was).
func (h *Handle) Ensure(ctx context.Context, o spec.Object) (fixed []string, err error) {
	k, err := kindOf(o.Kind())
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", o, err)
	}
	return k.ensure(h, ctx, o)
}

// Remove takes an object away. What is gone already is no error.
func (h *Handle) Remove(ctx context.Context, o spec.Object) error {
	k, err := kindOf(o.Kind())
	if err != nil {
		return fmt.Errorf("remove %s: %w", o, err)
	}
	return k.remove(h, ctx, o)
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
		k, err := kindOf(o.Kind())
		if err != nil {
			return nil, fmt.Errorf("compare %s: %w", o, err)
		}
		if k.amiss == nil {
			continue
		}
		bad, err := k.amiss(h, ctx, o, is)
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
