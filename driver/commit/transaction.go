package commit

import (
	"context"
	"fmt"
	"slices"

	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// transaction leads some owners from what was applied to what is wanted. Whoever has it has
// their locks.
type transaction struct {
	*Writer
	owners []plan.Owner
	// parts are those of the owners, in their order.
	parts  []part
	unlock []func()
}

// part is that of one owner.
type part struct {
	// was is what was made of the owner, but for doubtful objects.
	was, doubtful plan.Plan
}

// open returns a transaction for the owners, of whose networks the caller has the locks. It
// waits for others that are about one of their containers.
func (w *Writer) open(ctx context.Context, owners []plan.Owner) (*transaction, error) {
	var containers []string
	for _, o := range owners {
		if o.Kind == plan.OfContainer {
			containers = append(containers, o.ID)
		}
	}
	slices.Sort(containers)
	unlock, err := w.containers.TakeAll(ctx, slices.Compact(containers))
	if err != nil {
		return nil, fmt.Errorf("wait for another change of the container: %w", err)
	}
	t := &transaction{Writer: w, owners: owners, parts: make([]part, 0, len(owners)), unlock: []func(){unlock}}
	for _, o := range owners {
		source, doubtful := w.applied.get(o)
		t.parts = append(t.parts, part{w.desired.madeOf(source), doubtful})
	}
	return t, nil
}

// target is what is to be there of the owners of a transaction, one after the other.
type target struct {
	sources []plan.Source
	plans   []plan.Plan
	all     plan.Plan
}

// want is what the state says by now; without is a change that does not count.
func (t *transaction) want(without model.Change) (to target) {
	to.sources = t.desired.sources(t.owners, without)
	to.plans = make([]plan.Plan, len(to.sources))
	for i, from := range to.sources {
		to.plans[i] = from.Compile()
	}
	to.all = slices.Concat(to.plans...)
	return to
}

// delta leads to a target. tried are objects of which it is not known how far they are
// there, beside those that earlier transactions have left.
func (t *transaction) delta(to target, tried plan.Plan) plan.Delta {
	size, doubtful := 0, plan.Plan{}
	for _, p := range t.parts {
		size, doubtful = size+len(p.was), append(doubtful, p.doubtful...)
	}
	was := make(plan.Plan, 0, size)
	for _, p := range t.parts {
		was = append(was, p.was...)
	}
	dl := plan.Diff(was, to.all, append(doubtful, tried...)...)
	dl.Gone = slices.DeleteFunc(dl.Gone, func(o spec.Object) bool { return t.applied.shared[o.Kind()] && t.needed(o) })
	return dl
}

// lockShared waits for others who make or take away one of the shared objects that come or go
// with these owners: else one of them may take away what another has just made sure of.
func (t *transaction) lockShared(ctx context.Context, to target) error {
	if len(t.applied.shared) == 0 {
		return nil
	}
	var keys []string
	add := func(all plan.Plan) {
		for _, o := range all {
			if t.applied.shared[o.Kind()] {
				keys = append(keys, fmt.Sprint(o.Kind(), " ", o.Key()))
			}
		}
	}
	add(to.all)
	for _, p := range t.parts {
		add(p.was)
		add(p.doubtful)
	}
	slices.Sort(keys)
	unlock, err := t.objects.TakeAll(ctx, slices.Compact(keys))
	if err != nil {
		return fmt.Errorf("wait for another change of what several networks need: %w", err)
	}
	t.unlock = append(t.unlock, unlock)
	return nil
}

// close gives the locks back.
func (t *transaction) close() {
	for _, unlock := range slices.Backward(t.unlock) {
		unlock()
	}
}

// needed says whether others than the owners of the transaction need a shared object.
func (t *transaction) needed(o spec.Object) bool {
	id, own := plan.IDOf(o), 0
	for _, p := range t.parts {
		for _, was := range p.was {
			if plan.IDOf(was) == id {
				own++
			}
		}
	}
	return t.applied.others(id, own)
}

// reached notes that the owners are what the target says, but for doubtful objects.
func (t *transaction) reached(to target, doubtful plan.Plan) {
	for i, p := range t.parts {
		var own plan.Plan
		if len(doubtful) > 0 {
			mine := map[plan.ID]bool{}
			for _, o := range slices.Concat(p.was, to.plans[i], p.doubtful) {
				mine[plan.IDOf(o)] = true
			}
			own = slices.DeleteFunc(slices.Clone(doubtful), func(o spec.Object) bool { return !mine[plan.IDOf(o)] })
		}
		t.applied.reached(t.owners[i], to.sources[i], own, p.was, to.plans[i])
	}
}
