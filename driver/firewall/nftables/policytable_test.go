package nftables

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

func newPolicyTable(t *testing.T, shared bool) *PolicyTable {
	t.Helper()
	p, err := NewPolicyTable(t.Context(), testkit.Quiet(), shared)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// bindings are some of everything: two networks and containers on them, of which some have
// equal policies.
func bindings() []policy.Binding {
	agents := config.Policy{Egress: "internet", Allow: "10.0.5.7:5432/tcp,10.0.5.0/24:443,[fd00:5::7]:5432,private:8000-8100/udp,host:9000,registry.example:443/tcp,*.packages.example,nas.:8000-8100", Deny: "metadata,1.2.3.4:25,host:9001", Ingress: "lan,443=any,22/tcp=10.8.0.0/24", Host: "dns,8080/tcp"}
	shut := config.Policy{Egress: "deny", Ingress: "none", Host: "none"}
	strict := config.Policy{Egress: "deny", Allow: "registry.example:443,*.packages.example", Names: "strict"}
	audit := config.Policy{Egress: "deny", Ingress: "none", Host: "none", Mode: "audit"}
	of := func(network, endpoint, bridge, four, six string, texts config.Policy) policy.Binding {
		b := policy.Binding{NetworkID: id(network), Bridge: bridge, Subnets: prefixes(four+"0/24", six+"/64"), Texts: texts}
		if endpoint != "" {
			b.EndpointID = id(endpoint)
			b.Addrs = []netip.Addr{netip.MustParseAddr(four + endpoint), netip.MustParseAddr(six + endpoint)}
		}
		return b
	}
	return []policy.Binding{
		of("a", "", "gw-a", "10.1.0.", "fd00:1::", agents), of("a", "2", "gw-a", "10.1.0.", "fd00:1::", shut), of("a", "3", "gw-a", "10.1.0.", "fd00:1::", audit),
		of("b", "4", "gw-b", "10.2.0.", "fd00:2::", shut), of("b", "5", "gw-b", "10.2.0.", "fd00:2::", agents), of("b", "6", "gw-b", "10.2.0.", "fd00:2::", config.Policy{}), of("b", "7", "gw-b", "10.2.0.", "fd00:2::", strict),
		of("c", "", "gw-c", "10.3.0.", "fd00:3::", config.Policy{Egress: "open", Ingress: "any", Host: "any", Deny: "private"}),
	}
}

// tableText is what nft lists, sorted: sets and chains come in the order in which they were
// made.
func tableText(t *testing.T) string {
	t.Helper()
	text := strings.TrimSuffix(strings.TrimSpace(unowned(sh(t, "nft -s list ruleset"))), "\n}")
	blocks := strings.Split(text, "\n\n")
	slices.Sort(blocks)
	return strings.Join(blocks, "\n\n")
}

// TestPolicyTable: the table is what the bindings say, whatever led there; goes with the last
// one; and what others do to it is repaired.
func TestPolicyTable(t *testing.T) {
	for _, shared := range []bool{false, true} {
		nstest.Do(t, func() { policyTableComesAndGoes(t, newPolicyTable(t, shared), shared) })
	}
}

func policyTableComesAndGoes(t *testing.T, p *PolicyTable, shared bool) {
	t.Helper()
	if got := tableText(t); got != "" {
		t.Fatalf("the trial has left:\n%s", got)
	}
	all := bindings()
	p.Serve(policy.Serving{Questions: 10053, Connections: 10117})
	repaired, err := p.Sync(t.Context(), all, false)
	if want := []string{"table inet gangway-policy was missing"}; err != nil || !slices.Equal(repaired, want) {
		t.Fatalf("%v, %v", repaired, err)
	}
	want := tableText(t)
	if shared {
		golden(t, "policy.golden", want)
	}
	settled := func(what string) {
		t.Helper()
		p.seen = 0
		if lines, err := p.Repair(t.Context()); len(lines) > 0 || err != nil {
			t.Errorf("%s: %v (%v)", what, lines, err)
		}
		if d := cmp.Diff(want, tableText(t)); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
	settled("made")
	policyTableWithout(t, p, all, settled)
	policyTableOther(t, p, all[len(all)-1:])
	settled("the network before has its bridge again")
	policyTableLogs(t, p)
	settled("logged")
	if err := p.Apply(t.Context(), all, nil, false); err != nil {
		t.Fatal(err)
	}
	if got := tableText(t); got != "" {
		t.Errorf("without anybody:\n%s", got)
	}
	if err := p.Apply(t.Context(), nil, all, false); err != nil {
		t.Fatal(err)
	}
	settled("made by a change")
}

// policyTableOther: another network has the bridge meanwhile.
func policyTableOther(t *testing.T, p *PolicyTable, was []policy.Binding) {
	t.Helper()
	other := slices.Clone(was)
	other[0].NetworkID, other[0].Subnets = id("d"), prefixes("10.9.0.0/24", "fd00:9::/64")
	if err := p.Apply(t.Context(), was, other, false); err != nil {
		t.Fatal(err)
	}
	if lines, err := p.Repair(t.Context()); len(lines) > 0 || err != nil {
		t.Errorf("of another network: %v (%v)", lines, err)
	}
	p.seen = 0
	if lines, err := p.Repair(t.Context()); len(lines) > 0 || err != nil {
		t.Errorf("of another network, when all is compared: %v (%v)", lines, err)
	}
	if text := tableText(t); strings.Contains(text, "10.3.0.") || strings.Contains(text, "fd00:3:") {
		t.Errorf("the network before is still there:\n%s", text)
	}
	if err := p.Apply(t.Context(), other, was, false); err != nil {
		t.Fatal(err)
	}
}

// TestPolicyTableDamage: where anybody can change the table, all that somebody does to it is
// undone, and told.
func TestPolicyTableDamage(t *testing.T) {
	nstest.Do(t, func() {
		p := newPolicyTable(t, true)
		if _, err := p.Sync(t.Context(), bindings(), false); err != nil {
			t.Fatal(err)
		}
		want := tableText(t)
		id := p.state.policies[bindings()[1].Texts].id
		for _, damage := range []string{
			"flush ruleset", "delete table inet gangway-policy", "flush chain inet gangway-policy out_" + id + "_4",
			"flush chain inet gangway-policy prerouting", `delete element inet gangway-policy guarded { "gw-a" }`,
			`delete element inet gangway-policy out4 { "gw-a" . 10.1.0.2 }`, "flush map inet gangway-policy in_network6",
			"add rule inet gangway-policy refuse_egress counter", "insert rule inet gangway-policy forward accept",
			"add set inet gangway-policy mine { type ipv4_addr; }", "add chain inet gangway-policy mine",
			"add element inet gangway-policy public4 { 10.0.0.0/8 }", "add table inet gangway-policy { flags dormant; }",
		} {
			sh(t, "nft '%s'", damage)
			if lines, err := p.Repair(t.Context()); err != nil || len(lines) == 0 {
				t.Errorf("%s: repaired %v (%v)", damage, lines, err)
			}
			if d := cmp.Diff(want, tableText(t)); d != "" {
				t.Errorf("%s: %s", damage, d)
			}
			// A change over damage succeeds as well.
			sh(t, "nft '%s'", damage)
			one := bindings()[:1]
			if err := p.Apply(t.Context(), one, nil, false); err != nil {
				t.Errorf("a change after %s: %v", damage, err)
			}
			if err := p.Apply(t.Context(), nil, one, false); err != nil {
				t.Errorf("a change after %s: %v", damage, err)
			}
			if _, err := p.Repair(t.Context()); err != nil {
				t.Errorf("after %s: %v", damage, err)
			}
			if d := cmp.Diff(want, tableText(t)); d != "" {
				t.Errorf("after a change over %s: %s", damage, d)
			}
		}
	})
}

// TestPolicyTableSuccessor: what a process has left stays as it is until the next one knows
// all bindings, and is what that one adds to.
func TestPolicyTableSuccessor(t *testing.T) {
	for _, shared := range []bool{false, true} {
		nstest.Do(t, func() {
			first := newPolicyTable(t, shared)
			all := bindings()
			if _, err := first.Sync(t.Context(), all, false); err != nil {
				t.Fatal(err)
			}
			want := tableText(t)
			first.Close()
			same := func(what string) {
				t.Helper()
				if d := cmp.Diff(want, tableText(t)); d != "" {
					t.Errorf("%s: %s", what, d)
				}
			}
			same("nobody's")
			next := newPolicyTable(t, shared)
			if lines, err := next.Repair(t.Context()); err != nil || len(lines) > 0 {
				t.Errorf("%v (%v)", lines, err)
			}
			same("unknown")
			for i := range all {
				if err := next.Apply(t.Context(), nil, all[i:i+1], false); err != nil {
					t.Fatal(err)
				}
				same("added to")
			}
			if lines, err := next.Sync(t.Context(), all, false); err != nil || len(lines) > 0 {
				t.Errorf("%v (%v)", lines, err)
			}
			same("known")
		})
	}
}

func policyTableLogs(t *testing.T, p *PolicyTable) {
	t.Helper()
	for _, log := range []bool{true, false} {
		if err := p.Apply(t.Context(), nil, nil, log); err != nil {
			t.Fatal(err)
		}
		if has := strings.Contains(tableText(t), "log prefix"); has != log {
			t.Errorf("logs: %t instead of %t", has, log)
		}
	}
}

// policyTableWithout takes each binding away and gives it again.
func policyTableWithout(t *testing.T, p *PolicyTable, all []policy.Binding, settled func(what string)) {
	t.Helper()
	for i, b := range all {
		if err := p.Apply(t.Context(), []policy.Binding{b}, nil, false); err != nil {
			t.Fatalf("without %s: %v", b, err)
		}
		p.seen = 0
		if lines, err := p.Repair(t.Context()); len(lines) > 0 || err != nil {
			t.Errorf("without %d: %v (%v)", i, lines, err)
		}
		if err := p.Apply(t.Context(), nil, []policy.Binding{b}, false); err != nil {
			t.Fatalf("with %s again: %v", b, err)
		}
		settled(fmt.Sprint("with ", i, " again"))
	}
}
