package driver

import (
	"context"
	"fmt"
	"time"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/lock"
	"github.com/gangway-net/gangway/driver/plan"
)

// fullTime is after how long the rules are compared with the state as a whole, though
// nothing says that they differ.
const fullTime = time.Minute

// rules is what the firewall has been told, which it holds on to by itself.
type rules struct {
	// lock is held by whoever changes or compares the kernel's rules.
	lock *lock.Lock
	// told is what follows from facts of what the firewall was told.
	told plan.Plan
	// doubt says that the firewall may have been told something else than the state
	// says: at the start, and after a change that failed.
	doubt bool
	// compared is when the rules were last compared with the state; of checks alone.
	compared time.Time
}

// changeRules changes the kernel's rules, and has them follow the facts as they are by
// now. A caller whose time is over while others change rules changes nothing.
func (d *Driver) changeRules(ctx context.Context, change firewall.Delta) error {
	unlock, err := d.rules.lock.Take(ctx)
	if err != nil {
		d.doubtRules()
		return fmt.Errorf("wait for another change of the firewall's rules: %w", err)
	}
	defer unlock()
	return d.applyRules(ctx, change)
}

// applyRules is changeRules for who holds the rules' lock.
func (d *Driver) applyRules(ctx context.Context, change firewall.Delta) error {
	d.mu.Lock()
	want := plan.CompileFacts(d.state, d.given())
	d.mu.Unlock()
	change = change.With(plan.Diff(d.rules.told, want).Rules)
	if change.Empty() {
		return nil
	}
	if err := d.o.Firewall.Apply(ctx, change); err != nil {
		d.doubtRules()
		return err
	}
	d.tell(want)
	return nil
}

// tell notes what the firewall was told of facts. The caller holds the rules' lock.
func (d *Driver) tell(want plan.Plan) {
	d.rules.told = want
	d.mu.Lock()
	defer d.mu.Unlock()
	d.facts.High = plan.Of[firewall.HighPorts](want)
}

// doubtRules has the next check compare the rules with the state.
func (d *Driver) doubtRules() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rules.doubt = true
}

func (d *Driver) doubtsRules() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rules.doubt
}

// checkRules has the kernel's rules follow the facts, and compares them with what the
// firewall was told, or with the state where that may be something else.
func (r *repair) checkRules(ctx context.Context) {
	due := r.doubtsRules() || r.of.All && time.Since(r.rules.compared) >= fullTime && r.gate.Idle()
	if due && !r.keeps() && r.compareRules(ctx) {
		return
	}
	unlock := r.takeRules(ctx)
	if unlock == nil {
		return
	}
	defer unlock()
	err := r.applyRules(ctx, firewall.Delta{})
	var fixed []string
	if err == nil {
		if fixed, err = r.o.Firewall.Repair(ctx); err != nil {
			r.doubtRules()
		}
	}
	r.note(fixed, err)
}

// compareRules makes the kernel's rules what the state says. No verb may be under way,
// since nothing else tells a verb's change from somebody's damage: it says whether that
// came to pass.
func (r *repair) compareRules(ctx context.Context) bool {
	leave := r.beAlone(ctx)
	if leave == nil {
		return false
	}
	defer leave()
	unlock := r.takeRules(ctx)
	if unlock == nil {
		return true
	}
	defer unlock()
	if !r.doubtsRules() {
		// What has changed of the facts since is no fault of the rules.
		if err := r.applyRules(ctx, firewall.Delta{}); err != nil {
			r.note(nil, err)
			return true
		}
	}
	r.mu.Lock()
	s, f := r.state.Snapshot(), r.given()
	r.mu.Unlock()
	fixed, err := r.o.Firewall.Sync(ctx, plan.Compile(s, f).Rules())
	r.note(fixed, err)
	if err == nil {
		r.tell(plan.CompileFacts(s, f))
		r.rules.compared = time.Now()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rules.doubt = err != nil
	return true
}

// takeRules takes the rules' lock for a check. Where a change does not end it returns
// nil, and the check has failed: without rules no link may get to carry anything.
func (r *repair) takeRules(ctx context.Context) (unlock func()) {
	defer r.waited(time.Now())
	for {
		soon, cancel := context.WithTimeout(ctx, lock.Patience)
		unlock, err := r.rules.lock.Take(soon)
		cancel()
		if err == nil {
			return unlock
		}
		// Many changes in a row are none that hangs.
		if held := r.rules.lock.Held(); held >= hungTime || ctx.Err() != nil {
			r.note(nil, fmt.Errorf("check the rules: a change of them has been under way for %s, see gangway status", held.Round(time.Second)))
			return nil
		}
	}
}
