package driver

import (
	"context"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/firewall"
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
	gone, fresh := setDifference(r.facts.outside, outside)
	r.facts = facts{outside: outside}
	networks := len(r.state.networks)
	r.mu.Unlock()
	r.o.Log.Infof("outside is what leaves by %s", names(outside))
	if networks == 0 {
		return
	}
	err = r.o.Firewall.Apply(ctx, firewall.Delta{Remove: firewall.Ruleset{Outside: gone}, Add: firewall.Ruleset{Outside: fresh}})
	r.note(nil, err)
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
