package commit

import (
	"context"
	"errors"
	"slices"

	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// Kind says how objects of a kind are brought about and taken away.
type Kind struct {
	Of spec.Kind
	// ensure makes the object, or mends it.
	ensure func(ctx context.Context, o spec.Object) error
	// trim takes away what the object has beyond what it says; nil where ensure does.
	trim func(ctx context.Context, o spec.Object) error
	// remove takes it away; what is gone already is no error. It is nil for what stays.
	remove func(ctx context.Context, o spec.Object) error
}

// Actions are those of a kind, for objects of its type. Ensure makes the object, or mends it.
// Trim takes away what it has beyond what it says; nil where Ensure does. Remove takes it
// away; what is gone already is no error. It is nil for what stays.
type Actions[T spec.Object] struct {
	Ensure, Trim, Remove func(context.Context, T) error
}

// KindOf returns the kind whose objects are brought about and taken away by these actions.
func KindOf[T spec.Object](of spec.Kind, a Actions[T]) Kind {
	each := func(do func(context.Context, T) error) func(context.Context, spec.Object) error {
		if do == nil {
			return nil
		}
		return func(ctx context.Context, o spec.Object) error { return do(ctx, o.(T)) }
	}
	return Kind{Of: of, ensure: each(a.Ensure), trim: each(a.Trim), remove: each(a.Remove)}
}

// Kinds lists the kinds of objects in the order in which they come; they go in the opposite
// one. The firewall's rules, which are one step both ways, have their place between First and
// Then.
type Kinds struct {
	First, Then []Kind
}

// apply makes the kernel follow a delta: each kind in its turn. It
// stops at the first error where the caller undoes all; what is never undone goes on past
// errors, but for links without rules.
func (w *Writer) apply(ctx context.Context, dl plan.Delta, undone bool) error {
	w.log.Debug(dl)
	failed := build(ctx, w.kinds.First, dl.Fresh, undone)
	if failed != nil && undone {
		return failed
	}
	failed = errors.Join(failed, takeAway(ctx, w.kinds.Then, dl))
	if failed != nil && undone {
		return failed
	}
	var ruleless error
	if !dl.Rules.Empty() {
		ruleless = w.rules.Change(ctx, dl.Rules)
		failed = errors.Join(failed, ruleless)
	}
	if ruleless == nil {
		failed = errors.Join(failed, build(ctx, w.kinds.Then, dl.Fresh, undone))
	}
	if failed != nil && undone {
		return failed
	}
	return errors.Join(failed, takeAway(ctx, w.kinds.First, dl))
}

// build makes what comes of these kinds, in their order.
func build(ctx context.Context, kinds []Kind, fresh plan.Plan, undone bool) (failed error) {
	for _, k := range kinds {
		for _, o := range fresh {
			if o.Kind() != k.Of {
				continue
			}
			failed = errors.Join(failed, k.ensure(ctx, o))
			if failed != nil && undone {
				return failed
			}
		}
	}
	return failed
}

// takeAway removes what goes of these kinds, in the opposite order. It goes on past
// errors.
func takeAway(ctx context.Context, kinds []Kind, dl plan.Delta) error {
	var errs []error
	for _, k := range slices.Backward(kinds) {
		for _, o := range dl.Cut {
			if o.Kind() == k.Of {
				errs = append(errs, k.trim(ctx, o))
			}
		}
		for _, o := range dl.Gone {
			if o.Kind() == k.Of && k.remove != nil {
				errs = append(errs, k.remove(ctx, o))
			}
		}
	}
	return errors.Join(errs...)
}
