package driver

import (
	"context"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/spec"
)

// learn asks the kernel for facts, and has the rules follow what changed. What is not
// known is closed.
func (r *repair) learn(ctx context.Context) {
	if !r.of.All && !r.of.Outside {
		return
	}
	outside, err := r.o.Facts.Outside(ctx)
	if err != nil {
		r.note(nil, err)
		return
	}
	r.mu.Lock()
	same := slices.Equal(outside, r.facts.outside)
	r.mu.Unlock()
	if same {
		return
	}
	// No verb may plan with the old facts while they change.
	r.gate.Lock()
	defer r.gate.Unlock()
	r.mu.Lock()
	var before, after plan
	before.addFacts(r.state, r.given())
	r.facts.outside = outside
	after.addFacts(r.state, r.given())
	r.mu.Unlock()
	r.o.Log.Infof("outside is what leaves by %s", names(outside))
	if change := diff(before, after).rules(); !change.Empty() {
		r.note(nil, r.o.Firewall.Apply(ctx, change))
	}
}

// names lists links for people; bridges are called so.
func names(links []spec.Outside) string {
	if len(links) == 0 {
		return "no link"
	}
	var all []string
	for _, l := range links {
		name := l.Name
		if l.Bridge {
			name = "bridge " + name
		}
		all = append(all, name)
	}
	return strings.Join(all, ", ")
}
