package commit

import (
	"context"
	"fmt"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/lock"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/undo"
)

// Store keeps values durably.
type Store interface {
	// Update writes all changes, or none and fails; a nil value deletes its key.
	Update(changes map[string][]byte) error
}

// Parts are what a Writer works with.
type Parts struct {
	// Gate lets changes go on side by side, and keeps them out where somebody is alone.
	Gate    *lock.Gate
	Desired *Desired
	Store   Store
	Kinds   Kinds
	Rules   *Rules
	Flows   *Flows
	Log     *logrus.Entry
}

// Writer is the only writer of the desired state, and with it of the store and the kernel,
// but for repairs of drift. Its methods are safe for concurrent use by callers that hold the
// locks of the networks which their change is about.
type Writer struct {
	gate    *lock.Gate
	desired *Desired
	applied *Applied
	store   Store
	kinds   Kinds
	rules   *Rules
	flows   *Flows
	between
}

// between are the locks of what is between networks, and the log. A change takes first those
// of its containers, by the keys of their sandboxes, then those of shared objects, each in the
// order of the keys.
type between struct {
	containers, objects lock.Keyed
	log                 *logrus.Entry
}

// NewWriter returns a writer that works with these parts.
func NewWriter(p Parts) *Writer {
	w := &Writer{gate: p.Gate, desired: p.Desired, applied: newApplied(p.Kinds), store: p.Store, kinds: p.Kinds, rules: p.Rules, flows: p.Flows}
	w.log = p.Log
	w.rules.right = w.applied.rulesAreRight
	return w
}

// Commit makes the change that a planner asks for. If a step fails, state, store and kernel
// are put back as they were, and the error says what failed.
func (w *Writer) Commit(ctx context.Context, look Planner) error {
	leave, err := w.gate.Enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	c, err := w.begin(look)
	if err != nil || c.Empty() {
		return err
	}
	defer w.desired.arrived(c.Change)
	t, to, err := w.transact(ctx, c.owners)
	if err != nil {
		w.applied.doubt(c.owners) // who came first may have made some of it
		return w.putBack(ctx, c.Change, err)
	}
	defer t.close()
	dl := t.delta(to, nil)
	dl.Rules.Running = c.Repoliced()
	p := w.apply(ctx, dl, true)
	if p.failed != nil {
		return w.undo(ctx, c.Change, t, p.doubtful(dl, true), p.failed)
	}
	t.reached(to, nil)
	w.flows.Drop(ctx, w.flows.Note(c.Change))
	return nil
}

// Retire is Commit for changes that only take away: it goes on past errors and
// the state never comes back. Endpoints that leave their containers keep their
// pairs. A store that refuses does stop it, since after a
// restart the objects would be there again.
func (w *Writer) Retire(ctx context.Context, look Planner) error {
	left, err := w.Withdraw(ctx, look)
	w.flows.Drop(ctx, left)
	return err
}

// Withdraw is Retire for callers that drop the flows which it leaves when they have
// given up the locks of networks: that may take a look at all tracked flows.
func (w *Writer) Withdraw(ctx context.Context, look Planner) (left plan.Stale, err error) {
	c, err := w.press(ctx, look, func(to target, dl plan.Delta) plan.Delta { return dl.Leaving(to.all) })
	if c.Empty() {
		return plan.Stale{}, err
	}
	return w.flows.Note(c), err
}

// Regain is Commit for what is in use already. What the kernel refuses is for the next
// check; undone, the change would take along what running containers use.
func (w *Writer) Regain(ctx context.Context, look Planner) error {
	_, err := w.press(ctx, look, func(_ target, dl plan.Delta) plan.Delta { return dl })
	return err
}

// press makes a change that goes on past errors. What the kernel does not follow stays open:
// the next change of the same owner, or Retry, tries it again. It returns the change, an
// empty one if nothing has changed.
func (w *Writer) press(ctx context.Context, look Planner, by func(target, plan.Delta) plan.Delta) (model.Change, error) {
	leave, err := w.gate.Enter(ctx)
	if err != nil {
		return model.Change{}, err
	}
	defer leave()
	c, err := w.begin(look)
	if err != nil || c.Empty() {
		return model.Change{}, err
	}
	defer w.desired.arrived(c.Change)
	_, err = w.lead(ctx, ctx, c.owners, by)
	return c.Change, err
}

// lead has the kernel follow what is wanted of these owners by now, past errors, and returns
// a line for each thing that was made or taken away, as far as that is told. It waits for
// others as long as wait.
func (w *Writer) lead(ctx, wait context.Context, owners []plan.Owner, by func(target, plan.Delta) plan.Delta) (fixed []string, err error) {
	t, to, err := w.transact(wait, owners)
	if err != nil {
		w.applied.doubt(owners)
		return nil, err
	}
	defer t.close()
	dl := by(to, t.delta(to, nil))
	p := w.apply(ctx, dl, false)
	t.reached(to, p.doubtful(dl, false))
	return p.fixed, p.failed
}

// transact opens a transaction that leads to what is wanted by now.
func (w *Writer) transact(ctx context.Context, owners []plan.Owner) (*transaction, target, error) {
	t, err := w.open(ctx, owners)
	if err != nil {
		return nil, target{}, err
	}
	to := t.want(model.Change{})
	if err = t.lockShared(ctx, to); err != nil {
		t.close()
		return nil, target{}, err
	}
	return t, to, nil
}

// Open returns the owners of which the kernel may hold something else than is wanted since a
// change failed.
func (w *Writer) Open() []plan.Owner { return w.applied.opened() }

// Reopen has Retry lead these owners to what is wanted of them by now: a fact has changed on
// which their plans depend.
func (w *Writer) Reopen(owners []plan.Owner) { w.applied.doubt(owners) }

// Retry tries again what a change of an owner has left open, and returns a line for each
// thing that it made or took away. The caller has the lock of the owner's network, if it has
// one.
func (w *Writer) Retry(ctx context.Context, owner plan.Owner) ([]string, error) {
	leave, err := w.gate.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	soon, cancel := context.WithTimeout(ctx, lock.Patience)
	defer cancel()
	return w.lead(ctx, soon, []plan.Owner{owner}, func(to target, dl plan.Delta) plan.Delta {
		dl = dl.Leaving(to.all)
		dl.Rules.Running = true
		return dl
	})
}

// begin stages and persists a change. Unless it fails, arrived ends it.
func (w *Writer) begin(look Planner) (staged, error) {
	c, err := w.desired.stage(look)
	if err != nil || c.Empty() {
		return c, err
	}
	if err = w.persist(c.Change); err != nil {
		w.desired.unstage(c.Change)
		w.desired.Unsaved(c.Change, false) // a store that failed half-way may have failed to go back
		w.desired.arrived(c.Change)
	}
	return c, err
}

// persist writes the objects of c as they are after it, all or none.
func (w *Writer) persist(c model.Change) error {
	values, err := model.Values(c)
	if err != nil {
		return err
	}
	if err := w.store.Update(values); err != nil {
		return fmt.Errorf("store the state: %w", err)
	}
	return nil
}

// undo puts everything back after err: it leads the owners from where they are, with what was
// tried, to where they would be without the change. What it cannot put back, in the kernel or
// in the store, stays open, since the state says again what it said before.
func (w *Writer) undo(ctx context.Context, c model.Change, t *transaction, tried plan.Plan, err error) error {
	ctx, cancel := undo.Context(ctx)
	defer cancel()
	to := t.want(c)
	dl := t.delta(to, tried)
	p := w.apply(ctx, dl, false)
	t.reached(to, p.doubtful(dl, false))
	if p.failed != nil {
		err = fmt.Errorf("%w (and undoing it: %w)", err, p.failed)
	}
	return w.putBack(ctx, c, err)
}

// putBack takes a change out of the state and the store.
func (w *Writer) putBack(ctx context.Context, c model.Change, err error) error {
	ctx, cancel := undo.Context(ctx)
	defer cancel()
	w.desired.unstage(c)
	if undoErr := w.rules.Change(ctx, firewall.Delta{}); undoErr != nil {
		err = fmt.Errorf("%w (and undoing it: %w)", err, undoErr)
	}
	if storeErr := w.persist(c.Inverse()); storeErr != nil {
		w.desired.Unsaved(c, true)
		err = fmt.Errorf("%w (and putting the stored state back: %w)", err, storeErr)
	}
	return err
}
