package policed

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/integration/testkit"
)

// record notes who is called for what, as backend, table and flows.
type record struct {
	calls  []string
	fails  map[string]error
	told   []policy.Binding
	log    bool
	mended []string
	at     policy.Serving
}

func (r *record) call(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	r.calls = append(r.calls, text)
	return r.fails[text]
}

type fakeRules struct {
	firewall.Backend
	*record
}

func (f fakeRules) Apply(context.Context, firewall.Delta) error { return f.call("rules") }

func (f fakeRules) Repair(context.Context) ([]string, error) { return nil, f.call("repair rules") }

func (f fakeRules) Sync(context.Context, firewall.Ruleset) ([]string, error) {
	return nil, f.call("sync rules")
}

type fakeTable struct {
	firewall.Counter
	*record
}

func names(all []policy.Binding) string {
	var out []string
	for _, b := range all {
		out = append(out, b.NetworkID+b.EndpointID+b.Texts.Egress)
	}
	return strings.Join(out, ",")
}

func (f fakeTable) Apply(_ context.Context, remove, add []policy.Binding, log bool) error {
	err := f.call("policies -%s +%s log %t", names(remove), names(add), log)
	if err == nil {
		f.told = slices.DeleteFunc(f.told, func(b policy.Binding) bool {
			return slices.ContainsFunc(remove, func(r policy.Binding) bool { return r.Key() == b.Key() })
		})
		f.told, f.log = append(f.told, add...), log
	}
	return err
}

func (f fakeTable) Repair(context.Context) ([]string, error) {
	return f.mended, f.call("repair policies")
}

func (f fakeTable) Sync(_ context.Context, all []policy.Binding, log bool) ([]string, error) {
	f.told, f.log = all, log
	return nil, f.call("sync policies %s", names(all))
}

func (f fakeTable) Uses(_ context.Context, texts []config.Policy) ([]policy.Usage, error) {
	return []policy.Usage{{ID: "used"}}, f.call("uses of %d", len(texts))
}

func (f fakeTable) Told() ([]policy.Binding, bool) { return f.told, f.log }

func (f fakeTable) Serve(at policy.Serving) { f.at = at }

func (f fakeTable) Names(policy.Who, netip.Addr) []string { return nil }

func (f fakeTable) Learned([]policy.Who) []policy.Learned { return nil }

// Follow and FollowAll are those of a resolver.
func (f fakeTable) Follow(remove, add []policy.Binding) (policy.Serving, error) {
	return policy.Serving{Questions: 10053}, f.call("follow -%s +%s", names(remove), names(add))
}

func (f fakeTable) FollowAll(all []policy.Binding) (policy.Serving, error) {
	return policy.Serving{Questions: 10054}, f.call("follow all %s", names(all))
}

func (f fakeTable) Close() {}

func (f fakeTable) DropForbidden(context.Context, policy.Judge) error { return f.call("end flows") }

func layered() (*Backend, *record) {
	r := &record{fails: map[string]error{}}
	return New(Options{Backend: fakeRules{record: r}, Table: fakeTable{record: r}, Flows: fakeTable{record: r}, Log: testkit.Quiet()}), r
}

func binding(network, egress string) policy.Binding {
	return policy.Binding{NetworkID: network, Bridge: "gw-" + network, Texts: config.Policy{Egress: egress}}
}

func (r *record) want(t *testing.T, calls ...string) {
	t.Helper()
	if !slices.Equal(r.calls, calls) {
		t.Errorf("%q, want %q", r.calls, calls)
	}
	r.calls = nil
}

// TestOrder: policies come before rules and go after them, are repaired first, and flows that
// they forbid end after a start, a repair and a change, until that succeeds.
func TestOrder(t *testing.T) {
	b, r := layered()
	ctx := t.Context()
	n, other := binding("n", "deny"), binding("m", "deny")
	if _, err := b.Sync(ctx, firewall.Ruleset{Policies: []policy.Binding{n}}); err != nil {
		t.Error(err)
	}
	r.want(t, "sync policies ndeny", "end flows", "sync rules")
	apply := func(d firewall.Delta) {
		t.Helper()
		if err := b.Apply(ctx, d); err != nil {
			t.Error(err)
		}
	}
	apply(firewall.Delta{Add: firewall.Ruleset{Policies: []policy.Binding{other}}})
	r.want(t, "policies - +mdeny log false", "rules")
	apply(firewall.Delta{Remove: firewall.Ruleset{Policies: []policy.Binding{other}}})
	r.want(t, "rules", "policies -mdeny + log false")
	apply(firewall.Delta{Remove: firewall.Ruleset{Policies: []policy.Binding{n}}, Add: firewall.Ruleset{Policies: []policy.Binding{binding("n", "internet")}}})
	r.want(t, "policies -ndeny +ninternet log false", "rules", "end flows")
	apply(firewall.Delta{Running: true, Remove: firewall.Ruleset{Policies: []policy.Binding{binding("n", "internet")}}, Add: firewall.Ruleset{Policies: []policy.Binding{other}}})
	r.want(t, "policies -ninternet +mdeny log false", "rules", "end flows")
	apply(firewall.Delta{Running: true, Remove: firewall.Ruleset{Policies: []policy.Binding{other}}, Add: firewall.Ruleset{Policies: []policy.Binding{n}}})
	r.want(t, "policies -mdeny +ndeny log false", "rules", "end flows")
	apply(firewall.Delta{Add: firewall.Ruleset{Log: true}})
	r.want(t, "policies - + log true", "rules")
	apply(firewall.Delta{})
	r.want(t, "rules")
	r.mended, r.fails["end flows"] = []string{"table was missing"}, errors.New("no")
	for range 2 {
		if lines, err := b.Repair(ctx); err != nil || len(lines) != len(r.mended) {
			t.Error(lines, err)
		}
		r.want(t, "repair policies", "end flows", "repair rules")
		r.mended = nil
	}
	delete(r.fails, "end flows")
	for _, want := range [][]string{{"repair policies", "end flows", "repair rules"}, {"repair policies", "repair rules"}} {
		if _, err := b.Repair(ctx); err != nil {
			t.Error(err)
		}
		r.want(t, want...)
	}
}

// TestFollow: the resolver hears of bindings before rules lead questions to it, and the table
// of its port; where it cannot answer, nothing changes.
func TestFollow(t *testing.T) {
	r := &record{fails: map[string]error{}}
	b := New(Options{Backend: fakeRules{record: r}, Table: fakeTable{record: r}, Flows: fakeTable{record: r}, Resolver: fakeTable{record: r}, Names: fakeTable{record: r}, Log: testkit.Quiet()})
	n := binding("n", "deny")
	if _, err := b.Sync(t.Context(), firewall.Ruleset{Policies: []policy.Binding{n}}); err != nil || r.at.Questions != 10054 {
		t.Error(r.at, err)
	}
	r.want(t, "follow all ndeny", "sync policies ndeny", "end flows", "sync rules")
	gone := firewall.Delta{Remove: firewall.Ruleset{Policies: []policy.Binding{n}}}
	if err := b.Apply(t.Context(), gone); err != nil || r.at.Questions != 10053 {
		t.Error(r.at, err)
	}
	r.want(t, "rules", "follow -ndeny +", "policies -ndeny + log false")
	r.fails["follow - +ndeny"] = errors.New("no port")
	if err := b.Apply(t.Context(), firewall.Delta{Add: firewall.Ruleset{Policies: []policy.Binding{n}}}); err == nil {
		t.Error("a change whose names nobody answers succeeded")
	}
	r.want(t, "follow - +ndeny")
}

// TestFailures: rules that fail take policies back, policies that fail let no rule come; and
// where there is no table, nothing that has a policy passes.
func TestFailures(t *testing.T) {
	b, r := layered()
	ctx := t.Context()
	d := firewall.Delta{Add: firewall.Ruleset{Policies: []policy.Binding{binding("n", "deny")}}}
	r.fails["rules"] = errors.New("no rules")
	if err := b.Apply(ctx, d); err == nil {
		t.Error("a change that failed succeeded")
	}
	r.want(t, "policies - +ndeny log false", "rules", "policies -ndeny + log false")
	r.fails["policies - +ndeny log false"] = errors.New("no policies")
	if err := b.Apply(ctx, d); err == nil {
		t.Error("a change without its policies succeeded")
	}
	r.want(t, "policies - +ndeny log false")
	r.fails["repair policies"] = errors.New("no policies")
	if _, err := b.Repair(ctx); err == nil {
		t.Error("a repair without its policies succeeded")
	}
	r.want(t, "repair policies")

	why := errors.New("old kernel")
	b = New(Options{Backend: fakeRules{record: &record{}}, Why: why, Log: testkit.Quiet()})
	if err := b.Apply(ctx, d); !errors.Is(err, why) {
		t.Error(err)
	}
	if _, err := b.Sync(ctx, d.Add); !errors.Is(err, why) {
		t.Error(err)
	}
	if err := b.Apply(ctx, firewall.Delta{}); err != nil {
		t.Error(err)
	}
}

// TestUses: the table is asked; where there is none, nothing has decided.
func TestUses(t *testing.T) {
	b, r := layered()
	if used, err := b.Uses(t.Context(), []config.Policy{{}}); err != nil || len(used) != 1 {
		t.Errorf("%v (%v)", used, err)
	}
	r.want(t, "uses of 1")
	if used, err := New(Options{}).Uses(t.Context(), nil); err != nil || len(used) != 0 {
		t.Errorf("without a table: %v (%v)", used, err)
	}
}
