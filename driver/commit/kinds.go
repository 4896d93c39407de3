package commit

import (
	"context"
	"errors"
	"slices"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// Kind says how objects of a kind are brought about and taken away.
type Kind struct {
	Of     spec.Kind
	shared bool
	tells  bool
	ensure func(ctx context.Context, o spec.Object) (fixed []string, err error)
	trim   func(ctx context.Context, o spec.Object) error
	remove func(ctx context.Context, o spec.Object) error
}

// Ensure makes an object of the kind, or mends it, as Actions say: for who mends drift.
func (k Kind) Ensure(ctx context.Context, o spec.Object) (fixed []string, err error) {
	return k.ensure(ctx, o)
}

// Actions are those of a kind, for objects of its type.
type Actions[T spec.Object] struct {
	// Ensure makes the object, or mends it, and returns one line for each thing that was not
	// as it should be.
	Ensure func(context.Context, T) (fixed []string, err error)
	// Trim takes away what the object has beyond what it says; nil where Ensure does.
	Trim func(context.Context, T) error
	// Remove takes it away; what is gone already is no error. It is nil for what stays.
	Remove func(context.Context, T) error
	// Tells says that what Ensure returns is told in the log when a change needs it: it is of
	// the host, not of a network.
	Tells bool
	// Shared says that several owners may need the same object: it goes with the last.
	Shared bool
}

// KindOf returns the kind whose objects are brought about and taken away by these actions.
func KindOf[T spec.Object](of spec.Kind, a Actions[T]) Kind {
	each := func(do func(context.Context, T) error) func(context.Context, spec.Object) error {
		if do == nil {
			return nil
		}
		return func(ctx context.Context, o spec.Object) error { return do(ctx, o.(T)) }
	}
	return Kind{
		Of: of, shared: a.Shared && a.Remove != nil, tells: a.Tells, trim: each(a.Trim), remove: each(a.Remove),
		ensure: func(ctx context.Context, o spec.Object) ([]string, error) { return a.Ensure(ctx, o.(T)) },
	}
}

// Kinds lists the kinds of objects in the order in which they come; they go in the opposite
// one. The firewall's rules, which are one step both ways, have their place between First and
// Then.
type Kinds struct {
	First, Then []Kind
}

// progress is how far the kernel has followed a delta.
type progress struct {
	// tried are the objects that it was told of, rules apart, and unsure those of which that
	// failed, or which were left out for a failure of rules.
	tried, unsure plan.Plan
	// fixed has a line for each thing that was made or taken away, as far as that is told.
	fixed []string
	// rules says that it was told of rules, ruleless that it did not take these.
	rules, ruleless bool
	failed          error
	log             *logrus.Entry
}

// of notes how an object fared.
func (p *progress) of(o spec.Object, err error) {
	p.tried = append(p.tried, o)
	if err != nil {
		p.unsure = append(p.unsure, o)
		p.failed = errors.Join(p.failed, err)
	}
}

// apply makes the kernel follow a delta: each kind in its turn. It
// stops at the first error where the caller undoes all; what is never undone goes on past
// errors, but for links without rules.
func (w *Writer) apply(ctx context.Context, dl plan.Delta, undone bool) *progress {
	if !dl.Empty() { // a change may be of what is remembered alone
		w.log.Debug(dl)
	}
	p := &progress{log: w.log}
	p.build(ctx, w.kinds.First, dl.Fresh, undone)
	if p.failed != nil && undone {
		return p
	}
	p.takeAway(ctx, w.kinds.Then, dl)
	if p.failed != nil && undone {
		return p
	}
	if !dl.Rules.Empty() {
		p.rules = true
		err := w.rules.Change(ctx, dl.Rules)
		p.ruleless, p.failed = err != nil, errors.Join(p.failed, err)
	}
	if p.ruleless {
		p.leave(w.kinds.Then, dl.Fresh)
	} else {
		p.build(ctx, w.kinds.Then, dl.Fresh, undone)
	}
	if p.failed != nil && undone {
		return p
	}
	p.takeAway(ctx, w.kinds.First, dl)
	return p
}

// build makes what comes of these kinds, in their order.
func (p *progress) build(ctx context.Context, kinds []Kind, fresh plan.Plan, undone bool) {
	for _, k := range kinds {
		for _, o := range fresh {
			if o.Kind() != k.Of {
				continue
			}
			fixed, err := k.ensure(ctx, o)
			for _, line := range fixed {
				if k.tells {
					p.log.Info(line)
				}
			}
			p.fixed = append(p.fixed, fixed...)
			if p.of(o, err); err != nil && undone {
				return
			}
		}
	}
}

// leave leaves out what would come of these kinds.
func (p *progress) leave(kinds []Kind, fresh plan.Plan) {
	for _, o := range fresh {
		if slices.ContainsFunc(kinds, func(k Kind) bool { return k.Of == o.Kind() }) {
			p.unsure = append(p.unsure, o)
		}
	}
}

// takeAway removes what goes of these kinds, in the opposite order. It goes on past
// errors.
func (p *progress) takeAway(ctx context.Context, kinds []Kind, dl plan.Delta) {
	for _, k := range slices.Backward(kinds) {
		for _, o := range dl.Cut {
			if o.Kind() == k.Of {
				p.of(o, k.trim(ctx, o))
			}
		}
		for _, o := range dl.Gone {
			if o.Kind() == k.Of && k.remove != nil {
				err := k.remove(ctx, o)
				if p.of(o, err); err == nil {
					p.fixed = append(p.fixed, o.String()+": removed")
				}
			}
		}
	}
}

// doubtful are the objects of a delta of which it is not known how far they are there: those
// that the kernel was told of, or only those of them that it did not take.
func (p *progress) doubtful(dl plan.Delta, all bool) plan.Plan {
	list := p.unsure
	if all {
		list = slices.Concat(p.tried, p.unsure)
	}
	if p.rules && (all || p.ruleless) {
		list = slices.Concat(list, dl.Rules.Remove.All(), dl.Rules.Add.All())
	}
	return list
}
