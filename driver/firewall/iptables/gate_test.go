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

// gateOf makes a gate that knows one variant only.
func gateOf(t *testing.T, v variant) *Gate {
	t.Helper()
	g, err := NewGate(testkit.Quiet(), firewall.DefaultMark())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(g.installed, v) {
		t.Fatalf("iptables-%s is not installed", v)
	}
	g.installed = []variant{v}
	return g
}

func eachGate(t *testing.T, f func(t *testing.T, g *Gate, v variant)) {
	for _, v := range []variant{nft, legacy} {
		t.Run(string(v), func(t *testing.T) {
			nstest.Do(t, func() { f(t, gateOf(t, v), v) })
		})
	}
}

// wholeGate is all that a gate can be for.
func wholeGate() firewall.Gate {
	return firewall.Gate{Networks: true, Closed: firewall.Families{V4: true, V6: true}}
}

func syncGate(t *testing.T, g *Gate, open bool) []string {
	t.Helper()
	want := firewall.Gate{}
	if open {
		want = wholeGate()
	}
	lines, err := g.Sync(context.Background(), want, false)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// The kernel holds the gate as it was written, where FORWARD decides something
// and nowhere else: the engine of the test has no IPv6.
func TestGateInKernel(t *testing.T) {
	eachGate(t, func(t *testing.T, g *Gate, v variant) {
		if syncGate(t, g, true); g.Placed() {
			t.Error("placed on a bare host")
		}
		engineRules(t, v)
		before := ruleDump(t, v)
		if lines := syncGate(t, g, true); len(lines) == 0 || !g.Placed() {
			t.Errorf("repaired %q, placed %t", lines, g.Placed())
		}
		golden.Compare(t, "testdata/gate.golden", ruleDump(t, v))
		if lines := syncGate(t, g, true); lines != nil {
			t.Errorf("the second Sync found %q", lines)
		}
		if syncGate(t, g, false); g.Placed() {
			t.Error("placed, but closed")
		}
		if d := cmp.Diff(before, ruleDump(t, v)); d != "" {
			t.Errorf("left over:\n%s", d)
		}
	})
}

// A policy is reason enough for the gate, and what was needed goes with it.
func TestGateFollowsPolicy(t *testing.T) {
	eachGate(t, func(t *testing.T, g *Gate, v variant) {
		for _, step := range []struct {
			policy string
			placed bool
		}{{"DROP", true}, {"ACCEPT", false}, {"DROP", true}} {
			sh(t, "%s -P FORWARD %s", v.command(false, ""), step.policy)
			if syncGate(t, g, true); g.Placed() != step.placed {
				t.Errorf("policy %s: placed %t", step.policy, g.Placed())
			}
		}
	})
}

// The gate and the backend take over from one another, whatever the other has
// left.
func TestGateTakesOver(t *testing.T) {
	ctx := context.Background()
	eachGate(t, func(t *testing.T, g *Gate, v variant) {
		engineRules(t, v)
		b := start(t, v)
		if _, err := b.Sync(ctx, rich()); err != nil {
			t.Fatal(err)
		}
		backend := ruleDump(t, v)
		syncGate(t, g, true)
		golden.Compare(t, "testdata/gate.golden", ruleDump(t, v))
		if _, err := b.Sync(ctx, rich()); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(backend, ruleDump(t, v)); d != "" {
			t.Errorf("back to the backend:\n%s", d)
		}
	})
}

// A table that iptables cannot read is nobody's who uses iptables.
func TestGateIncompatible(t *testing.T) {
	nstest.Do(t, func() {
		g := gateOf(t, nft)
		sh(t, `nft 'add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }
			add set ip filter s { type ipv4_addr; }; add rule ip filter FORWARD ip saddr @s ct state new accept'`)
		before := sh(t, "nft list ruleset")
		if lines := syncGate(t, g, true); lines != nil || g.Placed() {
			t.Errorf("repaired %q, placed %t", lines, g.Placed())
		}
		if d := cmp.Diff(before, sh(t, "nft list ruleset")); d != "" {
			t.Error(d)
		}
	})
}

// From wherever the kernel is, the gate comes to stand and goes without a
// trace, and finds nothing to do then.
func TestGateConverges(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	for range 1000 {
		k := bare()
		if rnd.IntN(2) == 0 {
			if err := k.restore(converge(k.list(t, false), compile(pick(rnd, rich()), form{mark: firewall.DefaultMark(), failClosed: true})).String()); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []rules{
			gateRules(firewall.DefaultMark(), wholeGate(), false, true), nil, gateRules(firewall.DefaultMark(), firewall.Gate{Closed: firewall.Families{V4: true}}, false, true), gateRules(firewall.DefaultMark(), wholeGate(), false, true),
		} {
			for range rnd.IntN(4) {
				k.damage(rnd)
			}
			others := k.others()
			s := converge(k.listFor(t, gateHooks(firewall.DefaultMark())), want)
			if err := k.restore(s.String()); err != nil {
				t.Fatalf("script\n%s\n%v", s, err)
			}
			l := k.listFor(t, gateHooks(firewall.DefaultMark()))
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
func TestGateWords(t *testing.T) {
	for _, h := range gateHooks(firewall.DefaultMark()) {
		if m := ownRule.FindStringSubmatch(h.rule); m == nil || !strings.HasPrefix(m[1], ownPrefix) || m[1] != h.to.name {
			t.Errorf("%q does not lead to %s", h.rule, h.to)
		}
	}
}
