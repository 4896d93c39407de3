package drift

import (
	"context"
	"fmt"
	"time"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/lock"
	"github.com/gangway-net/gangway/driver/plan"
)

// HungTime is how long the kernel, or another program, has to be silent until gangway
// tells of it.
const HungTime = 5 * time.Second

// checkRules has the kernel's rules follow the facts, and compares them with what the
// firewall was told, or with the state where that may be something else.
func (c *Comparison) checkRules(ctx context.Context) {
	due := c.Rules.Doubts() || c.of.All && c.Rules.Due() && c.Gate.Idle()
	if due && !c.Owners.Any() && c.compareRules(ctx) {
		return
	}
	unlock := c.takeRules(ctx)
	if unlock == nil {
		return
	}
	defer unlock()
	c.Note(c.Rules.Repair(ctx))
}

// compareRules makes the kernel's rules what the state says. No verb may be under way,
// since nothing else tells a verb's change from somebody's damage: it says whether that
// came to pass.
func (c *Comparison) compareRules(ctx context.Context) bool {
	leave := c.beAlone(ctx)
	if leave == nil {
		return false
	}
	defer leave()
	unlock := c.takeRules(ctx)
	if unlock == nil {
		return true
	}
	defer unlock()
	c.Note(c.Rules.Compare(ctx, func() (firewall.Ruleset, plan.Plan) {
		s, unlock := c.Desired.Read()
		s, f := s.Snapshot(), c.Given(s)
		unlock()
		return plan.Compile(s, f).Rules(), plan.CompileFacts(s, f)
	}))
	return true
}

// takeRules takes the rules' lock for a check. Where a change does not end it returns
// nil, and the check has failed: without rules no link may get to carry anything.
func (c *Comparison) takeRules(ctx context.Context) (unlock func()) {
	defer c.Waited(time.Now())
	for {
		soon, cancel := context.WithTimeout(ctx, lock.Patience)
		unlock, held, err := c.Rules.Take(soon)
		cancel()
		if err == nil {
			return unlock
		}
		// Many changes in a row are none that hangs.
		if held >= HungTime || ctx.Err() != nil {
			c.Note(nil, fmt.Errorf("check the rules: a change of them has been under way for %s, see gangway status", held.Round(time.Second)))
			return nil
		}
	}
}
