package driver

import (
	"slices"
	"testing"

	"github.com/gangway-net/gangway/driver/drift"
)

// TestEachKindIsChecked: of each kind of object that is made there is somebody who finds
// what has become of it.
func TestEachKindIsChecked(t *testing.T) {
	kinds := newTestDriver(t, newFakeHost(), "boot").kinds()
	all := slices.Concat(kinds.First, kinds.Then)
	for i, k := range all {
		others := slices.ContainsFunc(all, func(o drift.Kind) bool { return o.Of == k.CheckedWith && o.Check != nil })
		if own := k.Check != nil; own == others {
			t.Errorf("objects of kind %q are compared by a check of their own: %t, and with those of %q: %t", k.Of, own, k.CheckedWith, others)
		}
		if slices.ContainsFunc(all[:i], func(o drift.Kind) bool { return o.Of == k.Of }) {
			t.Errorf("kind %q is in the table twice", k.Of)
		}
	}
}
