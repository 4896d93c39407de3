package nftables

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

// newFailClosed makes a fail-closed table, which the kernel has to be able to keep.
func newFailClosed(t *testing.T) *FailClosed {
	t.Helper()
	testkit.NeedKernel(t, 5, 12)
	v, err := NewFailClosed(t.Context(), testkit.Quiet(), firewall.DefaultMark())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// some are bridges of a fail-closed table.
var some = []string{"gw-aaaaaaaaaaaa", "mine"}

// failClose makes or removes a fail-closed table, and demands what it tells.
func failClose(t *testing.T, v *FailClosed, bridges []string, want ...string) {
	t.Helper()
	got, err := v.Sync(t.Context(), bridges)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("repaired: %s", d)
	}
}

// A fail-closed table stands as it should, whatever others do, and goes with its process.
func TestFailClosed(t *testing.T) {
	nstest.Do(t, func() {
		v := newFailClosed(t)
		if got := dumped(t); got != "" {
			t.Fatalf("the trial has left:\n%s", got)
		}
		failClose(t, v, nil)
		failClose(t, v, some)
		golden(t, "failclosed.golden", unowned(sh(t, "nft -s list ruleset")))
		want := dumped(t)
		failClose(t, v, some)
		sh(t, "nft add table inet other; nft flush ruleset")
		for _, command := range []string{
			"delete table inet gangway-fail-closed", "flush table inet gangway-fail-closed", "add chain inet gangway-fail-closed mine",
			"insert rule inet gangway-fail-closed forward accept", "add table inet gangway-fail-closed { flags dormant; }",
		} {
			refused(t, command)
		}
		failClose(t, v, some)
		if d := cmp.Diff(want, dumped(t)); d != "" {
			t.Errorf("changed:\n%s", d)
		}
		for _, others := range [][]string{{"mine"}, {"gw-bbbbbbbbbbbb", "mine"}, {"gw-aaaaaaaaaaaa"}, some} {
			failClose(t, v, others)
			for _, b := range append(others, some...) {
				if there := strings.Contains(dumped(t), `"`+b+`"`); there != slices.Contains(others, b) {
					t.Errorf("%s among %q: %t", b, others, there)
				}
			}
		}
		if d := cmp.Diff(want, dumped(t)); d != "" {
			t.Errorf("changed:\n%s", d)
		}
		var many []string
		for i := range 5000 {
			many = append(many, fmt.Sprintf("gw-%012d", i))
		}
		for _, bridges := range [][]string{many, some, nil, many} {
			failClose(t, v, bridges)
			if n := strings.Count(dumped(t), `"gw-0`); n != len(bridges)/len(many)*len(many) {
				t.Errorf("%d of %d bridges", n, len(bridges))
			}
		}
		failClose(t, v, nil)
		failClose(t, v, nil)
		if got := dumped(t); got != "" {
			t.Errorf("left over:\n%s", got)
		}
		failClose(t, v, some)
		v.Close()
		if got := dumped(t); got != "" {
			t.Errorf("outlives its process:\n%s", got)
		}
	})
}

// A fail-closed table that is lost comes back and is told, as is one that somebody loaded
// from a file; that of an earlier process is waited for.
func TestFailClosedOfOthers(t *testing.T) {
	const loaded = "nft add table inet gangway-fail-closed"
	nstest.Do(t, func() {
		v := newFailClosed(t)
		failClose(t, v, some)
		want := unowned(sh(t, "nft -s list ruleset"))
		v.wire.close()
		failClose(t, v, some, "table inet gangway-fail-closed was missing")
		failClose(t, v, nil)
		sh(t, loaded)
		failClose(t, v, some, "table inet gangway-fail-closed was not gangway's")
		failClose(t, v, nil)
		sh(t, loaded)
		failClose(t, v, nil, "table inet gangway-fail-closed was not gangway's")
		if got := dumped(t); got != "" {
			t.Errorf("left over:\n%s", got)
		}
		failClose(t, v, some)
		next := newFailClosed(t)
		failClose(t, next, nil) // another one's is not removed
		if d := cmp.Diff(want, unowned(sh(t, "nft -s list ruleset"))); d != "" {
			t.Error(d)
		}
		if _, err := next.Sync(context.Background(), some); !errors.Is(err, errOwned) || !strings.Contains(err.Error(), "end the process") {
			t.Errorf("a second fail-closed table: %v", err)
		}
		time.AfterFunc(releaseTime/10, v.Close) // a process that takes a moment to end
		failClose(t, next, some)
		refused(t, "delete table inet gangway-fail-closed")
	})
}

// A kernel that does not know the flag says so.
func TestNoFailClosed(t *testing.T) {
	nstest.Do(t, func() {
		v := newFailClosed(t)
		if err := v.try(flagOwner | 1<<20); !errors.Is(err, ErrNoFailClosed) {
			t.Errorf("unknown flags: %v", err)
		}
		failClose(t, v, some)
	})
}

// The table and its fail-closed table come and go together, and no change in between costs
// more than its transaction.
func TestFailClosedWithTable(t *testing.T) {
	testkit.NeedKernel(t, 5, 12)
	nstest.Do(t, func() {
		b := startWith(t, Options{Log: quiet(), Mark: firewall.DefaultMark(), Shared: true})
		before := generation(t, b)
		add(t, b, rich())
		if n := generation(t, b) - before; n != 2 {
			t.Errorf("%d transactions for the first networks, want one for the rules and one for the fail-closed table", n)
		}
		if b.seen = generation(t, b); len(b.failClosed.held) != len(rich().Networks) {
			t.Fatal("no fail-closed table")
		}
		add(t, b, one())
		if n := generation(t, b) - before; n != 3 {
			t.Errorf("%d transactions", n)
		}
		settled(t, b, join(rich(), one()))
		sh(t, "nft flush ruleset")
		if got := sh(t, "nft list tables"); strings.TrimSpace(got) != "table inet gangway-fail-closed" {
			t.Errorf("after a flush: %s", got)
		}
		lines, err := b.Sync(t.Context(), join(rich(), one()))
		if d := cmp.Diff([]string{"table inet gangway was missing"}, lines); err != nil || d != "" {
			t.Errorf("%v %s", err, d)
		}
		settled(t, b, join(rich(), one()))
		apply(t, b, firewall.Delta{Remove: join(rich(), one())})
		if got := dumped(t); got != "" {
			t.Errorf("left over:\n%s", got)
		}
		settled(t, b, firewall.Ruleset{})
		add(t, b, rich())
		settled(t, b, rich())
		if err := b.Cleanup(t.Context()); err != nil {
			t.Error(err)
		}
		if got := dumped(t); got != "" {
			t.Errorf("left over by Cleanup:\n%s", got)
		}
	})
}

// A fail-closed table that cannot be made takes the change back: another process has one.
func TestFailClosedRefused(t *testing.T) {
	nstest.Do(t, func() {
		other := newFailClosed(t)
		failClose(t, other, some)
		want := dumped(t)
		b := startWith(t, Options{Log: quiet(), Mark: firewall.DefaultMark(), Shared: true})
		if err := b.Apply(t.Context(), firewall.Delta{Add: rich()}); !errors.Is(err, errOwned) {
			t.Errorf("error %v", err)
		}
		if d := cmp.Diff(want, dumped(t)); d != "" {
			t.Error(d)
		}
		other.Close()
		add(t, b, rich())
		settled(t, b, rich())
	})
}
