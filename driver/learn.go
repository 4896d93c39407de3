package driver

import (
	"context"
	"strings"

	"github.com/gangway-net/gangway/driver/spec"
)

// learn asks the kernel for facts, which the rules follow as they are checked. What is
// not known is closed.
func (r *repair) learn(ctx context.Context) {
	if !r.of.All && !r.of.Outside {
		return
	}
	if r.of.All {
		r.learnListening(ctx)
	}
	outside, err := r.o.Facts.Outside(ctx)
	if err != nil {
		r.note(nil, err)
		return
	}
	if r.facts.LeadOutside(outside) {
		r.o.Log.Infof("outside is what leaves by %s", names(outside))
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
