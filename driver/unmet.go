package driver

import (
	"context"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/needs"
)

// unmet returns a cause for each condition that is not met, and for each way between
// networks that others have diverted, sorted.
func (d *Driver) unmet(ctx context.Context, all []needs.Condition) []cause.Cause {
	causes := d.missed(ctx, all)
	if d.o.Paths != nil {
		causes = append(causes, needs.Diverted(ctx, d.o.Paths, d.desired.Read)...)
	}
	slices.SortFunc(causes, func(a, b cause.Cause) int { return strings.Compare(a.Line(), b.Line()) })
	return slices.Compact(causes)
}

func (d *Driver) missed(ctx context.Context, all []needs.Condition) []cause.Cause {
	if len(all) == 0 {
		return nil
	}
	defer d.asked.ask("look at the host's links and addresses")()
	return needs.Unmet(ctx, d.o.Facts, all)
}

// maxLooks is how many ask the kernel at a time what is not met. While it hangs each of
// them stays, and a scraper of metrics asks again and again.
const maxLooks = 4

// unmetSoon is unmet for the present conditions, or what was found last where the
// kernel does not answer.
func (d *Driver) unmetSoon(ctx context.Context) []cause.Cause {
	var found []cause.Cause
	if d.looks.Add(1) > maxLooks {
		d.looks.Add(-1)
	} else if answered(ctx, func() {
		defer d.looks.Add(-1)
		found = d.unmet(ctx, d.needs())
	}) {
		return found
	}
	d.seen.mu.Lock()
	defer d.seen.mu.Unlock()
	return slices.Clone(d.seen.unmet)
}

// needs returns the present conditions.
func (d *Driver) needs() []needs.Condition {
	s, unlock := d.desired.Read()
	defer unlock()
	f := d.facts.Known()
	all := slices.Concat(needs.Of(s), needs.OfPrefixes(s, f.Prefixes), needs.OfUsers(s, f))
	if len(s.Networks) > 0 {
		all = append(all, needs.OfSourcePorts(d.facts.SourcePorts(s))...)
	}
	return all
}

// review tells of conditions that are met no more, and of those that are again. What
// they depend on is told as what leads outside: links and addresses of others, and
// rules of policy routing.
func (d *Driver) review(ctx context.Context) {
	d.retryStore()
	now := d.unmet(ctx, d.needs())
	if ctx.Err() != nil {
		return // the daemon ends: nobody has answered, and nothing is known
	}
	d.seen.mu.Lock()
	was := d.seen.unmet
	d.seen.unmet = now
	d.seen.mu.Unlock()
	for _, c := range now {
		if !slices.Contains(was, c) {
			d.o.Log.Warn(c.Line())
			d.journal.Add(events.Problem, c.Line(), "")
		}
	}
	for _, c := range was {
		if !slices.Contains(now, c) {
			d.o.Log.Info("no longer so: " + c.Line())
			d.journal.Add(events.Solved, "solved: "+c.Line(), "")
		}
	}
}
