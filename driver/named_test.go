package driver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/policy"
)

func policyOf(name string, p config.Policy) model.NamedPolicy {
	return model.NamedPolicy{Name: name, Text: "name: " + name + "\n", Policy: p}
}

func policyRequest(id, subnet, gateway string, options ...string) CreateNetworkRequest {
	r := networkRequest(id, subnet, gateway)
	r.Options = generic(options...)
	return r
}

func applied(t *testing.T, d *Driver, all ...model.NamedPolicy) []PolicyOutcome {
	t.Helper()
	out, err := d.ApplyPolicies(t.Context(), all, false)
	must(t, err)
	return out
}

// inForce is what the kernel has for a network, or for one container.
func inForce(f *fakeHost, network, endpoint string) (texts config.Policy, there bool) {
	for _, b := range rulesOf[policy.Binding](f) {
		if b.NetworkID == network && b.EndpointID == endpoint {
			return b.Texts, true
		}
	}
	return texts, false
}

func wantIs(t *testing.T, f *fakeHost, network, endpoint, egress, allow string) {
	t.Helper()
	got, there := inForce(f, network, endpoint)
	if egress == "" && there || egress != "" && (got.Egress != egress || got.Allow != allow) {
		t.Errorf("%s %s: %+v, want egress %q, allow %q", network, endpoint, got, egress, allow)
	}
}

// withPolicy is a driver with a policy that network A names, and a container on network B.
func withPolicy(t *testing.T, p model.NamedPolicy) (*fakeHost, *Driver) {
	t.Helper()
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	ctx := t.Context()
	if out := applied(t, d, p); out[0].Action != PolicyCreated {
		t.Errorf("%+v", out)
	}
	must(t, d.CreateNetwork(ctx, policyRequest(netA, "10.0.0.0/24", "10.0.0.1", "gangway.policy", p.Name)))
	must(t, d.CreateNetwork(ctx, networkRequest(netB, "10.1.0.0/24", "10.1.0.1")))
	container(t, d, netA, ep1, "10.0.0.2/24")
	r := endpointRequest(netB, ep2, "10.1.0.2/24")
	r.Options = config.EndpointOptions{"gangway.policy": []byte(`"` + p.Name + `"`)}
	must(t, endpointErr(d.CreateEndpoint(ctx, r)), joinErr(d.Join(ctx, netB, ep2, "/netns/2", nil)))
	return f, d
}

// TestUnknownPolicy: nobody can name a policy that is not there.
func TestUnknownPolicy(t *testing.T) {
	d := newTestDriver(t, newFakeHost(), "boot")
	err := d.CreateNetwork(t.Context(), policyRequest(netA, "10.0.0.0/24", "10.0.0.1", "gangway.policy", "agents"))
	if err == nil || !strings.Contains(err.Error(), `gangway.policy names "agents"`) {
		t.Errorf("of a network: %v", err)
	}
	must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	r := endpointRequest(netA, ep1, "10.0.0.2/24")
	r.Options = config.EndpointOptions{"gangway.policy": []byte(`"agents"`)}
	if err = endpointErr(d.CreateEndpoint(t.Context(), r)); err == nil || !strings.Contains(err.Error(), `gangway.policy names "agents"`) {
		t.Errorf("of a container: %v", err)
	}
}

// TestNamedPolicies: what is applied counts for running containers of all networks that name
// it, in one step; the same again changes nothing, and a restart changes nothing.
func TestNamedPolicies(t *testing.T) {
	deny := policyOf("agents", config.Policy{Egress: "deny", Allow: "10.9.0.1"})
	f, d := withPolicy(t, deny)
	ctx := t.Context()
	wantIs(t, f, netA, "", "deny", "10.9.0.1")
	wantIs(t, f, netA, ep1, "", "")
	wantIs(t, f, netB, "", "", "")
	wantIs(t, f, netB, ep2, "deny", "10.9.0.1")

	f.ops = 0
	if out := applied(t, d, deny); out[0].Action != PolicyUnchanged || f.ops != 0 {
		t.Errorf("the same again: %+v, and %d steps", out, f.ops)
	}
	internet := policyOf("agents", config.Policy{Egress: "internet"})
	out, err := d.ApplyPolicies(ctx, []model.NamedPolicy{internet}, true)
	must(t, err)
	if o := out[0]; f.ops != 0 || o.Action != PolicyChanged || !slices.Equal(o.Networks, []string{netA}) || !slices.Equal(o.Endpoints, []string{ep2}) || o.Before != deny.Text {
		t.Errorf("tried only: %+v, and %d steps", o, f.ops)
	}
	if f.running != 0 {
		t.Errorf("%d changes under running containers, and there was none", f.running)
	}
	applied(t, d, internet, policyOf("others", config.Policy{Mode: "audit"}))
	if f.running != 1 {
		t.Errorf("%d changes under running containers, want one for all", f.running)
	}
	wantIs(t, f, netA, "", "internet", "none")
	wantIs(t, f, netB, ep2, "internet", "none")
	inSync(t, f, d)

	d = newTestDriver(t, f, "boot")
	if all := d.Policies(); len(all) != 2 || all[0].Name != "agents" || all[0].Text != internet.Text || all[0].Policy != internet.Policy {
		t.Errorf("after a restart: %+v", all)
	}
	inSync(t, f, d)
}

// TestRemovePolicy: a policy stays while somebody names it, who is told; after that nothing is
// left behind.
func TestRemovePolicy(t *testing.T) {
	f, d := withPolicy(t, policyOf("agents", config.Policy{Egress: "deny"}))
	ctx := t.Context()
	applied(t, d, policyOf("others", config.Policy{Mode: "audit"}))
	err := d.RemovePolicy(ctx, "agents")
	if err == nil || !strings.Contains(err.Error(), "network "+model.Short(netA)) || !strings.Contains(err.Error(), "endpoint "+model.Short(ep2)) {
		t.Errorf("in use: %v", err)
	}
	var unknown *UnknownPolicyError
	if err = d.RemovePolicy(ctx, "agent"); !errors.As(err, &unknown) || !strings.Contains(err.Error(), "did you mean agents?") {
		t.Error(err)
	}
	must(t, d.RemovePolicy(ctx, "others"), d.DeleteNetwork(ctx, netA), d.DeleteNetwork(ctx, netB), d.RemovePolicy(ctx, "agents"))
	if len(rulesOf[policy.Binding](f)) > 0 || len(d.Policies()) > 0 {
		t.Errorf("left behind: %+v, %+v", rulesOf[policy.Binding](f), d.Policies())
	}
}

// TestNamedPoliciesAllOrNone: a policy that contradicts itself or somebody's options, or whose
// change fails, changes nothing of any.
func TestNamedPoliciesAllOrNone(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	applied(t, d, policyOf("a", config.Policy{Egress: "deny"}))
	must(t, d.CreateNetwork(t.Context(), policyRequest(netA, "10.0.0.0/24", "10.0.0.1", "gangway.policy", "a", "gangway.egress.allow", "10.9.0.1")))
	before := f.picture()
	for want, p := range map[string]config.Policy{
		"can never match":        {Egress: "deny", Allow: "10.0.0.5", Deny: "private"},
		"network aaaaaaaaaaaa":   {Egress: "open"},
		"egress allows everythi": {Egress: "open", Allow: "10.0.0.5"},
	} {
		_, err := d.ApplyPolicies(t.Context(), []model.NamedPolicy{policyOf("b", config.Policy{Mode: "audit"}), policyOf("a", p)}, false)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", p, err, want)
		}
	}
	for n := 1; ; n++ {
		f.ops, f.failAt = 0, n
		_, err := d.ApplyPolicies(t.Context(), []model.NamedPolicy{policyOf("b", config.Policy{Mode: "audit"}), policyOf("a", config.Policy{Egress: "internet"})}, false)
		if f.ops < n {
			must(t, err)
			break
		}
		f.failAt = 0
		if after := f.picture(); err == nil || len(d.Policies()) != 1 {
			t.Fatalf("fault %d: %v, policies %+v", n, err, d.Policies())
		} else if got, _ := inForce(f, netA, ""); got.Egress != "deny" {
			t.Fatalf("fault %d: not as before: %+v\n%+v", n, before, after)
		}
		inSync(t, f, d)
	}
	wantIs(t, f, netA, "", "internet", "10.9.0.1")
}

// TestMissingPolicy: where a policy is named that is not there, all is closed: the state with it
// was lost.
func TestMissingPolicy(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	applied(t, d, policyOf("a", config.Policy{Mode: "audit"}))
	must(t, d.CreateNetwork(t.Context(), policyRequest(netA, "10.0.0.0/24", "10.0.0.1", "gangway.policy", "a")))
	delete(f.stored, model.PolicyKeys+"a")
	d = newTestDriver(t, f, "boot")
	got, _ := inForce(f, netA, "")
	if want := (config.Policy{Egress: "deny", Allow: "none", Deny: "none", Ingress: "none", Host: "none", Mode: "enforce"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if lines := d.missingPolicies(); !slices.Equal(lines, []string{"policy a is not there, and network aaaaaaaaaaaa names it"}) {
		t.Errorf("%q", lines)
	}
	e, err := d.ExplainPolicy(Whom{NetworkID: netA})
	if must(t, err); e.Lines[0].From != string(model.OfMissing) || e.Lines[0].Source != "a" {
		t.Errorf("%+v", e.Lines)
	}
	applied(t, d, policyOf("a", config.Policy{Egress: "deny", Host: "any"}))
	if lines := d.missingPolicies(); len(lines) > 0 {
		t.Errorf("%q", lines)
	}
	wantIs(t, f, netA, "", "deny", "none")
}

// TestExcept: an exception counts at once and over a restart, is told, goes when its time is over
// or somebody takes it back, and one that can never match is refused.
func TestExcept(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	ctx := t.Context()
	must(t, d.CreateNetwork(ctx, policyRequest(netA, "10.0.0.0/24", "10.0.0.1", "gangway.egress", "deny", "gangway.egress.deny", "metadata", "gangway.lock", "true")))
	container(t, d, netA, ep1, "10.0.0.2/24")
	container(t, d, netA, ep2, "10.0.0.3/24")
	one, all := Whom{netA, ep1}, Whom{NetworkID: netA}
	soon := time.Now().Add(time.Hour)
	must(t, d.Except(ctx, one, model.Exception{To: "10.9.0.1:443/tcp"}), d.Except(ctx, all, model.Exception{To: "10.9.0.2", Until: &soon}))
	wantIs(t, f, netA, "", "deny", "10.9.0.2")
	wantIs(t, f, netA, ep1, "deny", "10.9.0.1:443/tcp,10.9.0.2")
	wantIs(t, f, netA, ep2, "", "")
	d = newTestDriver(t, f, "boot")
	inSync(t, f, d)
	wantIs(t, f, netA, ep1, "deny", "10.9.0.1:443/tcp,10.9.0.2")
	if f.running != 2 {
		t.Errorf("%d changes under running containers, want two", f.running)
	}
	if len(d.Exceptions()) != 2 {
		t.Errorf("%+v", d.Exceptions())
	}
	for want, x := range map[string]model.Exception{
		"can never match: gangway.egress.deny has metadata": {To: "169.254.169.254"},
		"the network has no IPv6":                           {To: "2001:db8::1"},
		"over already":                                      {To: "10.9.0.3", Until: &time.Time{}},
		"is not one destination":                            {To: "10.9.0.3,10.9.0.4"},
		"did you mean internet?":                            {To: "intenet"},
	} {
		if err := d.Except(ctx, one, x); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", x, err, want)
		}
	}
	if next := d.endExceptions(ctx, time.Now()); !next.Equal(soon) {
		t.Errorf("the next one ends %s, want %s", next, soon)
	}
	if next := d.endExceptions(ctx, soon); !next.IsZero() {
		t.Errorf("the next one ends %s, and there is none", next)
	}
	wantIs(t, f, netA, "", "deny", "none")
	wantIs(t, f, netA, ep1, "deny", "10.9.0.1:443/tcp")
	must(t, d.Except(ctx, one, model.Exception{To: "10.9.0.1", Deny: true}))
	if got, _ := inForce(f, netA, ep1); got.Deny != "10.9.0.1,metadata" {
		t.Errorf("denied: %+v", got)
	}
	var unknown *UnknownPolicyError
	must(t, d.Unexcept(ctx, one, "10.9.0.1"), d.Unexcept(ctx, one, "10.9.0.1:443/tcp"))
	if err := d.Unexcept(ctx, one, "10.9.0.1"); !errors.As(err, &unknown) {
		t.Error(err)
	}
	wantIs(t, f, netA, ep1, "", "")
	inSync(t, f, d)
}

// TestExceptionEndsWhileDown: one whose time is over when the daemon starts never counts again.
func TestExceptionEndsWhileDown(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	ctx := t.Context()
	must(t, d.CreateNetwork(ctx, policyRequest(netA, "10.0.0.0/24", "10.0.0.1", "gangway.egress", "deny")))
	container(t, d, netA, ep1, "10.0.0.2/24")
	past := time.Now().Add(-time.Second)
	for _, of := range []Whom{{NetworkID: netA}, {netA, ep1}} {
		must(t, d.changeExceptions(ctx, of, func(_ *model.State, _ *model.Network, _ *model.Endpoint, was *model.Exceptions) (*model.Exceptions, error) {
			return was.With(model.Exception{To: "10.9.0.1", Until: &past}), nil
		}))
	}
	wantIs(t, f, netA, "", "deny", "10.9.0.1")
	for range 2 {
		d = newTestDriver(t, f, "boot")
		wantIs(t, f, netA, "", "deny", "none")
		wantIs(t, f, netA, ep1, "", "")
		if len(d.Exceptions()) > 0 {
			t.Errorf("%+v", d.Exceptions())
		}
	}
}

// TestExplainAndTest: each line says where it comes from, and the verdict is that of the line
// which decides.
func TestExplainAndTest(t *testing.T) {
	f := newFakeHost()
	f.facts = map[string]string{"192.0.2.1": "eth0"}
	d := newTestDriver(t, f, "boot", func(o *Options) { o.Policy = config.Policy{Host: "none", Egress: "internet"} })
	ctx := t.Context()
	applied(t, d, policyOf("db", config.Policy{Egress: "deny", Allow: "10.9.0.1:5432/tcp,10.9.0.2", Ingress: "lan"}))
	must(t, d.CreateNetwork(ctx, policyRequest(netA, "10.0.0.0/24", "10.0.0.1", "gangway.policy", "db", "gangway.egress.deny", "metadata")))
	must(t, d.CreateNetwork(ctx, networkRequest(netB, "10.1.0.0/24", "10.1.0.1")))
	r := endpointRequest(netA, ep1, "10.0.0.2/24")
	r.Options = config.EndpointOptions{"gangway.host": []byte(`"53"`)}
	must(t, endpointErr(d.CreateEndpoint(ctx, r)), joinErr(d.Join(ctx, netA, ep1, "/netns/1", nil)), d.Except(ctx, Whom{netA, ep1}, model.Exception{To: "10.9.0.3"}))
	e, err := d.ExplainPolicy(Whom{netA, ep1})
	must(t, err)
	var got []string
	for _, l := range e.Lines {
		text := l.Word + " " + l.Value + ": " + l.From + " " + l.Source
		if l.Unused {
			text = "(" + text + ")"
		}
		got = append(got, text)
	}
	want := []string{
		"egress deny: policy db", "(egress internet: setting GANGWAY_DEFAULT_EGRESS)",
		"egress.allow 10.9.0.1:5432/tcp: policy db", "egress.allow 10.9.0.2: policy db",
		"egress.deny metadata: network gangway.egress.deny",
		"ingress lan: policy db", "host 53: container gangway.host", "(host none: setting GANGWAY_DEFAULT_HOST)", "mode enforce: default ",
		"egress.allow 10.9.0.3: exception container",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q,\nwant %q", got, want)
	}
	for to, want := range map[string]PolicyVerdict{
		"10.9.0.1:5432":      {Allowed: true, Rule: PolicyLine{Word: "egress.allow", Value: "10.9.0.1:5432/tcp", From: "policy", Source: "db"}},
		"10.9.0.1:5432/udp":  {Rule: PolicyLine{Word: "egress", Value: "deny", From: "policy", Source: "db"}},
		"10.9.0.2":           {Allowed: true, Rule: PolicyLine{Word: "egress.allow", Value: "10.9.0.2", From: "policy", Source: "db"}},
		"10.9.0.3:1/sctp":    {Allowed: true, Rule: PolicyLine{Word: "egress.allow", Value: "10.9.0.3", From: "exception", Source: "container"}},
		"169.254.169.254:80": {Rule: PolicyLine{Word: "egress.deny", Value: "metadata", From: "network", Source: "gangway.egress.deny"}},
		"192.0.2.1:53/udp":   {Allowed: true, Rule: PolicyLine{Word: "host", Value: "53", From: "container", Source: "gangway.host"}},
		"192.0.2.1:22":       {Rule: PolicyLine{Word: "host", Value: "53", From: "container", Source: "gangway.host"}},
		"10.0.0.9:80":        {Allowed: true},
		"10.1.0.2:80":        {Rule: PolicyLine{Word: "egress", Value: "deny", From: "policy", Source: "db"}},
	} {
		v, err := d.TestPolicy(ctx, Whom{netA, ep1}, to)
		must(t, err)
		want.Whom, want.To, want.Note = v.Whom, to, v.Note
		if fmt.Sprint(v) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, want %+v", to, v, want)
		}
	}
	if v, _ := d.TestPolicy(ctx, Whom{netA, ep1}, "10.1.0.2:80"); !strings.Contains(v.Note, "isolated") {
		t.Errorf("%+v", v)
	}
	for to, want := range map[string]string{"10.9.0.0/24": "want one address", "10.9.0.1:1-2": "want one address", "lan": "want one address", "*.example:1": "want one address", "a.example:1": "no names in it", "2001:db8::1": "no addresses of the family"} {
		if _, err := d.TestPolicy(ctx, Whom{netA, ep1}, to); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", to, err)
		}
	}
}

// TestPolicyLock: gangway.lock keeps containers from naming a policy of their own.
func TestPolicyLock(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	applied(t, d, policyOf("a", config.Policy{Egress: "deny"}), policyOf("open", config.Policy{Egress: "open"}))
	must(t, d.CreateNetwork(t.Context(), policyRequest(netA, "10.0.0.0/24", "10.0.0.1", "gangway.policy", "a", "gangway.lock", "true")))
	r := endpointRequest(netA, ep1, netip.MustParsePrefix("10.0.0.2/24").String())
	r.Options = config.EndpointOptions{"gangway.policy": []byte(`"open"`)}
	if err := endpointErr(d.CreateEndpoint(t.Context(), r)); err == nil || !strings.Contains(err.Error(), "gangway.lock=true") {
		t.Error(err)
	}
}

// randomPolicy is randomStep for what concerns policies.
func randomPolicy(t *testing.T, rng *rand.Rand, d *Driver, of Whom) {
	ctx := t.Context()
	if rng.IntN(2) == 0 {
		of.EndpointID = ""
	}
	switch rng.IntN(4) {
	case 0:
		_, _ = d.ApplyPolicies(ctx, []model.NamedPolicy{policyOf("some", config.Policy{Egress: config.Egresses()[rng.IntN(3)]})}, false)
	case 1:
		_ = d.RemovePolicy(ctx, "some")
	case 2:
		_ = d.Except(ctx, of, model.Exception{To: "10.9.0.1", Deny: rng.IntN(2) == 0})
	case 3:
		_ = d.Unexcept(ctx, of, "10.9.0.1")
	}
}
