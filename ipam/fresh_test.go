package ipam

import (
	"net/netip"
	"testing"
)

// TestFresh: a pool is fresh only if it is certain that nobody held it when it
// was requested.
func TestFresh(t *testing.T) {
	store := newMemory()
	a := open(t, store)
	want := func(when string, fresh bool) {
		t.Helper()
		if got := a.Fresh(pfx("10.50.0.0/24")); got != fresh {
			t.Errorf("%s: %t, want %t", when, got, fresh)
		}
	}
	want("before", false)
	id := claims(t, a)
	want("requested", true)
	for _, other := range []netip.Prefix{{}, pfx("10.50.0.0/25"), pfx("10.50.0.0/16"), pfx("10.51.0.0/24")} {
		if a.Fresh(other) {
			t.Errorf("%s is fresh, and was never requested", other)
		}
	}
	a.Greet()
	want("an engine greets", false)
	claims(t, a)
	want("requested again", false)
	a = open(t, store)
	want("after a restart", false)
	claims(t, a)
	want("requested after a restart", false)
	mustReleasePool(t, a, id)
	want("released", false)
	claims(t, a)
	want("requested after the release", true)
}
