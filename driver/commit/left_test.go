package commit

import (
	"slices"
	"testing"

	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
)

// TestLeftPairGoes: the pair that an endpoint has left goes with the endpoint, and before the
// next Join, whoever asks at any step which endpoints are overdue, as each check does.
func TestLeftPairGoes(t *testing.T) {
	n, in := someNetwork(1), someEndpoint(1, 2, "/netns/1", 0)
	out := in.Left()
	became := func(before, after *model.Endpoint) Planner {
		return changing(model.Change{Endpoints: []model.EndpointChange{{Before: before, After: after}}})
	}
	pair := plan.IDOf(plan.Veth(n, in, 0))
	for name, last := range map[string]Planner{"deleted": became(&out, nil), "joined": became(&out, in)} {
		k, d, w := newKernel()
		k.before = func(string) { d.Overdue(0) }
		must(t, w.Commit(t.Context(), networks(nil, n)), w.Commit(t.Context(), became(nil, in)), w.Retire(t.Context(), became(in, &out)))
		if k.has[pair] == nil {
			t.Fatalf("%s: the pair did not wait for its endpoint", name)
		}
		if over := d.Overdue(0); over[in.ID] != n.ID {
			t.Errorf("%s: left, and overdue are %v", name, over)
		}
		var steps []string
		k.before = func(what string) { steps = append(steps, what); d.Overdue(0) }
		must(t, w.Commit(t.Context(), last))
		if gone := "remove " + plan.Veth(n, &out, 0).String(); !slices.Contains(steps, gone) {
			t.Errorf("%s: the steps are %q, without %q", name, steps, gone)
		}
		if name == "joined" {
			continue
		}
		k.wantAll(t, d, w, name)
		if len(d.expected) > 0 {
			t.Errorf("still expected: %v", d.expected)
		}
	}
}

// TestLeftPairStays: a pair that the kernel did not give up goes with the next try.
func TestLeftPairStays(t *testing.T) {
	n, in := someNetwork(1), someEndpoint(1, 2, "/netns/1", 0)
	out := in.Left()
	k, d, w := newKernel()
	must(t, w.Commit(t.Context(), networks(nil, n)), w.Commit(t.Context(), coming(in)))
	must(t, w.Retire(t.Context(), changing(model.Change{Endpoints: []model.EndpointChange{{Before: in, After: &out}}})))
	k.refuses = "remove"
	if err := w.Retire(t.Context(), going(&out)); err == nil {
		t.Fatal("nothing was refused")
	}
	k.refuses = ""
	for _, o := range w.Open() {
		_, err := w.Retry(t.Context(), o)
		must(t, err)
	}
	k.wantAll(t, d, w, "tried again")
}
