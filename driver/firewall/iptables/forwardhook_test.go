package iptables

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/integration/golden"
	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

// forwardHookOf makes a FORWARD hook that knows one variant only.
func forwardHookOf(t *testing.T, v variant) *ForwardHook {
	t.Helper()
	g, err := NewForwardHook(t.Context(), testkit.Quiet(), firewall.DefaultMark())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(g.installed, v) {
		t.Fatalf("iptables-%s is not installed", v)
	}
	g.installed = []variant{v}
	return g
}

func eachForwardHook(t *testing.T, f func(t *testing.T, g *ForwardHook, v variant)) {
	for _, v := range []variant{nft, legacy} {
		t.Run(string(v), func(t *testing.T) {
			nstest.Do(t, func() { f(t, forwardHookOf(t, v), v) })
		})
	}
}

// wholeForwardHook is all that a FORWARD hook can be for.
func wholeForwardHook() firewall.ForwardHook {
	return firewall.ForwardHook{Networks: true, NoTransit: firewall.Families{V4: true, V6: true}}
}

func syncForwardHook(t *testing.T, g *ForwardHook, open bool) []string {
	t.Helper()
	want := firewall.ForwardHook{}
	if open {
		want = wholeForwardHook()
	}
	lines, err := g.Sync(context.Background(), want, false)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// The kernel holds the FORWARD hook as it was written, where FORWARD decides something
// and nowhere else: the engine of the test has no IPv6.
func TestForwardHookInKernel(t *testing.T) {
	eachForwardHook(t, func(t *testing.T, g *ForwardHook, v variant) {
		if syncForwardHook(t, g, true); g.Placed() {
			t.Error("placed on a bare host")
		}
		engineRules(t, v)
		before := ruleDump(t, v)
		if lines := syncForwardHook(t, g, true); len(lines) == 0 || !g.Placed() {
			t.Errorf("repaired %q, placed %t", lines, g.Placed())
		}
		golden.Compare(t, "testdata/forwardhook.golden", ruleDump(t, v))
		if lines := syncForwardHook(t, g, true); lines != nil {
			t.Errorf("the second Sync found %q", lines)
		}
		if syncForwardHook(t, g, false); g.Placed() {
			t.Error("placed, but closed")
		}
		if d := cmp.Diff(before, ruleDump(t, v)); d != "" {
			t.Errorf("left over:\n%s", d)
		}
	})
}

// A policy is reason enough for the FORWARD hook, and what was needed goes with it.
func TestForwardHookFollowsPolicy(t *testing.T) {
	eachForwardHook(t, func(t *testing.T, g *ForwardHook, v variant) {
		for _, step := range []struct {
			policy string
			placed bool
		}{{"DROP", true}, {"ACCEPT", false}, {"DROP", true}} {
			sh(t, "%s -P FORWARD %s", v.command(false, ""), step.policy)
			if syncForwardHook(t, g, true); g.Placed() != step.placed {
				t.Errorf("policy %s: placed %t", step.policy, g.Placed())
			}
		}
	})
}

// The FORWARD hook and the backend take over from one another, whatever the other has
// left.
func TestForwardHookTakesOver(t *testing.T) {
	ctx := context.Background()
	eachForwardHook(t, func(t *testing.T, g *ForwardHook, v variant) {
		engineRules(t, v)
		b := start(t, v)
		if _, err := b.Sync(ctx, rich()); err != nil {
			t.Fatal(err)
		}
		backend := ruleDump(t, v)
		syncForwardHook(t, g, true)
		golden.Compare(t, "testdata/forwardhook.golden", ruleDump(t, v))
		if _, err := b.Sync(ctx, rich()); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(backend, ruleDump(t, v)); d != "" {
			t.Errorf("back to the backend:\n%s", d)
		}
	})
}

// A table that iptables cannot read is nobody's who uses iptables.
func TestForwardHookIncompatible(t *testing.T) {
	nstest.Do(t, func() {
		g := forwardHookOf(t, nft)
		sh(t, `nft 'add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }
			add set ip filter s { type ipv4_addr; }; add rule ip filter FORWARD ip saddr @s ct state new accept'`)
		before := sh(t, "nft list ruleset")
		if lines := syncForwardHook(t, g, true); lines != nil || g.Placed() {
			t.Errorf("repaired %q, placed %t", lines, g.Placed())
		}
		if d := cmp.Diff(before, sh(t, "nft list ruleset")); d != "" {
			t.Error(d)
		}
	})
}

// From wherever the kernel is, the FORWARD hook comes to stand and goes without a
// trace, and finds nothing to do then.
func TestForwardHookConverges(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	for range 1000 {
		k := bare()
		if rnd.IntN(2) == 0 {
			if err := k.restore(converge(k.list(t, false), compile(pick(rnd, rich()), form{mark: firewall.DefaultMark(), failClosed: true})).String()); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []rules{
			forwardHookRules(firewall.DefaultMark(), wholeForwardHook(), false, true), nil, forwardHookRules(firewall.DefaultMark(), firewall.ForwardHook{NoTransit: firewall.Families{V4: true}}, false, true), forwardHookRules(firewall.DefaultMark(), wholeForwardHook(), false, true),
		} {
			for range rnd.IntN(4) {
				k.damage(rnd)
			}
			others := k.others()
			s := converge(k.listFor(t, forwardHooks(firewall.DefaultMark())), want)
			if err := k.restore(s.String()); err != nil {
				t.Fatalf("script\n%s\n%v", s, err)
			}
			l := k.listFor(t, forwardHooks(firewall.DefaultMark()))
			if d := cmp.Diff(text(want), text(l.own)); d != "" {
				t.Fatalf("script\n%s\n(-want +got)\n%s", s, d)
			}
			if again := converge(l, want); again.String() != "" || again.repairs != nil {
				t.Fatalf("not done: %s %v\n%s", again, again.repairs, k.dump())
			}
			if d := cmp.Diff(others.dump(), k.others().dump()); d != "" {
				t.Fatalf("others' rules changed:\n%s", d)
			}
		}
	}
}

// The words of the rules are those of iptables-save: what stands there is
// never taken for something else.
func TestForwardHookWords(t *testing.T) {
	for _, h := range forwardHooks(firewall.DefaultMark()) {
		if m := ownRule.FindStringSubmatch(h.rule); m == nil || !strings.HasPrefix(m[1], ownPrefix) || m[1] != h.to.name {
			t.Errorf("%q does not lead to %s", h.rule, h.to)
		}
	}
}
