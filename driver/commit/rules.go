package commit

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/lock"
	"github.com/gangway-net/gangway/driver/plan"
)

// FullTime is after how long the rules are compared with the state as a whole, though
// nothing says that they differ.
const FullTime = time.Minute

// Rules are the kernel's rules, as the firewall has been told of them, which it holds on to by
// itself.
type Rules struct {
	// lock is held by whoever changes or compares the kernel's rules.
	lock     *lock.Lock
	firewall firewall.Backend
	// wanted is what follows from the facts by now.
	wanted func() plan.Plan
	// noted hears what the firewall was told of that.
	noted func(plan.Plan)
	// told is what follows from facts of what the firewall was told: what was applied of the
	// host, whose lock this is.
	told plan.Plan
	// right hears that all rules are as the state says.
	right func()
	// doubt says that the firewall may have been told something else than the state
	// says: at the start, and after a change that failed.
	doubt atomic.Bool
	// compared is when the rules were last compared with the state; of checks alone.
	compared time.Time
}

// NewRules returns rules of which the firewall has not been told anything. wanted says what
// follows from the facts by now, and noted hears what the firewall was told of it.
func NewRules(f firewall.Backend, wanted func() plan.Plan, noted func(plan.Plan)) *Rules {
	r := &Rules{lock: lock.New(), firewall: f, wanted: wanted, noted: noted, right: func() {}}
	r.doubt.Store(true)
	return r
}

// Change changes the kernel's rules, and has them follow the facts as they are by
// now. A caller whose time is over while others change rules changes nothing.
func (r *Rules) Change(ctx context.Context, change firewall.Delta) error {
	unlock, err := r.lock.Take(ctx)
	if err != nil {
		r.doubt.Store(true)
		return fmt.Errorf("wait for another change of the firewall's rules: %w", err)
	}
	defer unlock()
	return r.apply(ctx, change)
}

// apply is Change for who holds the lock.
func (r *Rules) apply(ctx context.Context, change firewall.Delta) error {
	want := r.wanted()
	change = change.With(plan.Diff(r.told, want).Rules)
	if change.Empty() {
		return nil
	}
	if err := r.firewall.Apply(ctx, change); err != nil {
		r.doubt.Store(true)
		return err
	}
	r.tell(want)
	return nil
}

// tell notes what the firewall was told of facts.
func (r *Rules) tell(want plan.Plan) {
	r.told = want
	r.noted(want)
}

// Doubts says that the next check has to compare the rules with the state.
func (r *Rules) Doubts() bool { return r.doubt.Load() }

// Due says that the rules have not been compared with the state for long. It is for checks.
func (r *Rules) Due() bool { return time.Since(r.compared) >= FullTime }

// Take takes the lock of the rules for Repair or Compare, until ctx ends. An error comes with
// for how long whoever has it has had it.
func (r *Rules) Take(ctx context.Context) (unlock func(), held time.Duration, err error) {
	if unlock, err = r.lock.Take(ctx); err != nil {
		return nil, r.lock.Held(), err
	}
	return unlock, 0, nil
}

// Repair has the kernel's rules follow the facts, and compares them with what the firewall was
// told. It returns a line for each thing that was not so. The caller holds the lock.
func (r *Rules) Repair(ctx context.Context) (fixed []string, err error) {
	if err = r.apply(ctx, firewall.Delta{}); err != nil {
		return nil, err
	}
	if fixed, err = r.firewall.Repair(ctx); err != nil {
		r.doubt.Store(true)
	}
	return fixed, err
}

// Compare makes the kernel's rules what full says, and returns a line for each thing that
// was not so. full is asked for the rules as a whole, and what of them follows from facts,
// once the rules have followed the facts. The caller holds the lock, and no change may be
// under way, since nothing else tells a change from somebody's damage.
func (r *Rules) Compare(ctx context.Context, full func() (all firewall.Ruleset, facts plan.Plan)) (fixed []string, err error) {
	if !r.doubt.Load() {
		// What has changed of the facts since is no fault of the rules.
		if err = r.apply(ctx, firewall.Delta{}); err != nil {
			return nil, err
		}
	}
	all, facts := full()
	fixed, err = r.firewall.Sync(ctx, all)
	if err == nil {
		r.tell(facts)
		r.right()
		r.compared = time.Now()
	}
	r.doubt.Store(err != nil)
	return fixed, err
}
