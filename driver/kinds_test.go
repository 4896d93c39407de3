package driver

import (
	"slices"
	"testing"
)

// TestEachKindIsChecked: of each kind of object that is made there is somebody who finds
// what has become of it.
func TestEachKindIsChecked(t *testing.T) {
	d := newTestDriver(t, newFakeHost(), "boot")
	checks := (&repair{Driver: d}).checks()
	kinds := d.kinds()
	for _, k := range slices.Concat(kinds.First, kinds.Then) {
		if _, known := checks[k.Of]; !known {
			t.Errorf("nobody compares objects of kind %q", k.Of)
		}
		delete(checks, k.Of)
	}
	for of := range checks {
		t.Errorf("objects of kind %q are compared, and not made", of)
	}
}
