package driver

import (
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/cause"
)

// TestCauseUnstored: a state that cannot be written is a problem, until it can; nobody has to
// call for that.
func TestCauseUnstored(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	codes := func() (all []cause.Code) {
		for _, c := range d.Status(t.Context()).Causes {
			all = append(all, c.Code)
		}
		return all
	}
	for op := 1; !slices.Contains(codes(), cause.Unstored); op++ {
		f.failAt = f.ops + op
		if err := d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")); err == nil {
			t.Fatal("no step of it writes the state")
		}
	}
	if got := codes(); !slices.Contains(got, cause.Unstored) || cause.Worst(d.Status(t.Context()).Causes) != cause.Problem {
		t.Errorf("causes %v", got)
	}
	if s := d.Status(t.Context()); !strings.Contains(problem(s), errInjected.Error()) {
		t.Errorf("problem %q", problem(s))
	}
	d.review(t.Context())
	if got := codes(); slices.Contains(got, cause.Unstored) {
		t.Errorf("written, and still %v", got)
	}
}
