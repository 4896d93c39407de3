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
// but for repairs of drift and the host's own record. Its methods are
// safe for concurrent use by callers that hold the locks of the networks which their change
// is about.
type Writer struct {
	gate    *lock.Gate
	desired *Desired
	store   Store
	kinds   Kinds
	rules   *Rules
	flows   *Flows
	log     *logrus.Entry
}

// NewWriter returns a writer that works with these parts.
func NewWriter(p Parts) *Writer {
	return &Writer{gate: p.Gate, desired: p.Desired, store: p.Store, kinds: p.Kinds, rules: p.Rules, flows: p.Flows, log: p.Log}
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
	defer w.desired.settle(c.Change)
	before, after := c.plans()
	if err = w.apply(ctx, w.desired.known(plan.Diff(before, after)), true); err != nil {
		return w.undo(ctx, c.Change, plan.Diff(after, before), err)
	}
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
	leave, err := w.gate.Enter(ctx)
	if err != nil {
		return plan.Stale{}, err
	}
	defer leave()
	c, err := w.begin(look)
	if err != nil || c.Empty() {
		return plan.Stale{}, err
	}
	defer w.desired.settle(c.Change)
	before, after := c.plans()
	err = w.apply(ctx, plan.Diff(before, after).Leaving(after), false)
	return w.flows.Note(c.Change), err
}

// Regain is Commit for what is in use already. What the kernel refuses is for the next
// check; undone, the change would take along what running containers use.
func (w *Writer) Regain(ctx context.Context, look Planner) error {
	leave, err := w.gate.Enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	c, err := w.begin(look)
	if err != nil || c.Empty() {
		return err
	}
	defer w.desired.settle(c.Change)
	before, after := c.plans()
	return w.apply(ctx, plan.Diff(before, after), false)
}

// begin stages and persists a change. Unless it fails, settle ends it.
func (w *Writer) begin(look Planner) (staged, error) {
	c, err := w.desired.stage(look)
	if err != nil || c.Empty() {
		return c, err
	}
	if err = w.persist(c.Change); err != nil {
		w.desired.unstage(c.Change)
		w.desired.Unsaved(c.Change, false) // a store that failed half-way may have failed to go back
		w.desired.settle(c.Change)
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

// undo puts everything back after err. What it cannot put back, in the kernel or
// in the store, is for the next check, since the state says again what it said before.
func (w *Writer) undo(ctx context.Context, c model.Change, back plan.Delta, err error) error {
	ctx, cancel := undo.Context(ctx)
	defer cancel()
	if undoErr := w.apply(ctx, back, false); undoErr != nil {
		err = fmt.Errorf("%w (and undoing it: %w)", err, undoErr)
	}
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
