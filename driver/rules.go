package driver

import (
	"context"
	"fmt"
	"time"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/lock"
	"github.com/gangway-net/gangway/driver/plan"
)

// checkRules has the kernel's rules follow the facts, and compares them with what the
// firewall was told, or with the state where that may be something else.
func (r *repair) checkRules(ctx context.Context) {
	due := r.rules.Doubts() || r.of.All && r.rules.Due() && r.gate.Idle()
	if due && !r.owners.Any() && r.compareRules(ctx) {
		return
	}
	unlock := r.takeRules(ctx)
	if unlock == nil {
		return
	}
	defer unlock()
	r.note(r.rules.Repair(ctx))
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
	r.note(r.rules.Compare(ctx, func() (firewall.Ruleset, plan.Plan) {
		s, unlock := r.desired.Read()
		s, f := s.Snapshot(), r.given(s)
		unlock()
		return plan.Compile(s, f).Rules(), plan.CompileFacts(s, f)
	}))
	return true
}

// takeRules takes the rules' lock for a check. Where a change does not end it returns
// nil, and the check has failed: without rules no link may get to carry anything.
func (r *repair) takeRules(ctx context.Context) (unlock func()) {
	defer r.waited(time.Now())
	for {
		soon, cancel := context.WithTimeout(ctx, lock.Patience)
		unlock, held, err := r.rules.Take(soon)
		cancel()
		if err == nil {
			return unlock
		}
		// Many changes in a row are none that hangs.
		if held >= hungTime || ctx.Err() != nil {
			r.note(nil, fmt.Errorf("check the rules: a change of them has been under way for %s, see gangway status", held.Round(time.Second)))
			return nil
		}
	}
}
