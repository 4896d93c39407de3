package driver

import (
	"slices"
	"testing"

	"github.com/gangway-net/gangway/driver/spec"
)

func (f *fakeHost) wantOutside(t *testing.T, when string, names ...string) {
	t.Helper()
	var got []string
	for _, o := range rulesOf[spec.Outside](f) {
		got = append(got, o.Name)
	}
	slices.Sort(got)
	if !slices.Equal(got, names) {
		t.Errorf("%s: the rules know %v, want %v", when, got, names)
	}
}

// TestUplinksChange: the rules follow the links that lead outside, by what changed alone.
// While the host does not tell them, the last ones hold; who never knew one knows none.
func TestUplinksChange(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	f.wantOutside(t, "without a network")
	must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	f.wantOutside(t, "with a network", "eth0")

	f.uplinks = []spec.Outside{{Name: "eth0"}, {Name: "wg0"}}
	for range 2 {
		if fixed := d.Reconcile(t.Context()); fixed != 0 {
			t.Errorf("%d repairs: the links are no fault of the rules", fixed)
		}
		f.wantOutside(t, "with another link", "eth0", "wg0")
	}
	f.blind, f.uplinks = true, nil
	d.Reconcile(t.Context())
	f.wantOutside(t, "with nobody to ask", "eth0", "wg0")
	f.blind = false
	d.Reconcile(t.Context())
	f.wantOutside(t, "without a link")

	f.blind, f.uplinks = true, []spec.Outside{{Name: "eth0"}}
	d = newTestDriver(t, f, "boot")
	f.wantOutside(t, "started with nobody to ask")
	f.blind = false
	d.Reconcile(t.Context())
	f.wantOutside(t, "once somebody tells", "eth0")
}
