package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/model"
)

// policies keeps named policies as a driver does, and answers questions with what it was told.
type policies struct {
	kept       map[string]model.NamedPolicy
	exceptions []driver.ExceptionStatus
	// cut ends learning before its time.
	cut func(context.Context)
}

func (p *policies) Policies() (all []driver.PolicyStatus) {
	for _, k := range p.kept {
		all = append(all, driver.PolicyStatus{Name: k.Name, Text: k.Text, Policy: k.Policy, Networks: []string{net1}, Endpoints: []string{}})
	}
	slices.SortFunc(all, func(a, b driver.PolicyStatus) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (p *policies) ApplyPolicies(_ context.Context, all []model.NamedPolicy, dry bool) (out []driver.PolicyOutcome, err error) {
	for _, next := range all {
		o := driver.PolicyOutcome{Name: next.Name, Action: driver.PolicyCreated, After: next.Text, Networks: []string{net1, net2}, Endpoints: []string{ep1}}
		if was, known := p.kept[next.Name]; known {
			o.Action, o.Before = driver.PolicyChanged, was.Text
			if was == next {
				o.Action = driver.PolicyUnchanged
			}
		}
		if out = append(out, o); !dry {
			p.kept[next.Name] = next
		}
	}
	return out, nil
}

func (p *policies) LearnPolicy(ctx context.Context, of driver.Whom, span time.Duration, started func() error, tell func(driver.Learned) error) error {
	if of.NetworkID == net2 {
		return errors.New("a policy of it is learned already")
	}
	if err := started(); err != nil {
		return err
	}
	if err := tell(driver.Learned{Flow: fmt.Sprintf("tcp %s -> 192.0.2.9:443 for %s", of.EndpointID, span)}); err != nil {
		return err
	}
	last := driver.Learned{Policy: &config.Policy{Egress: "deny", Allow: "192.0.2.9:443/tcp,a.example", Ingress: "none", Host: "53"}, Flows: 2, Lost: 1, Seconds: int64(span / time.Second)}
	if p.cut != nil {
		p.cut(ctx)
		last.Seconds, last.Cut = 192, true
	}
	return tell(last)
}

func (p *policies) RemovePolicy(_ context.Context, name string) error {
	if _, known := p.kept[name]; !known {
		return new(driver.UnknownPolicyError)
	}
	return model.Conflictf("policy %s is in use by network %s: remove these first, or apply it with other words", name, model.Short(net1))
}

func (p *policies) Exceptions() []driver.ExceptionStatus { return p.exceptions }

func (p *policies) Except(_ context.Context, of driver.Whom, x model.Exception) error {
	p.exceptions = append(p.exceptions, driver.ExceptionStatus{Whom: of, Deny: x.Deny, To: x.To, Until: x.Until})
	return nil
}

func (p *policies) Unexcept(_ context.Context, of driver.Whom, to string) error {
	before := len(p.exceptions)
	p.exceptions = slices.DeleteFunc(p.exceptions, func(x driver.ExceptionStatus) bool { return x.Whom == of && x.To == to })
	if len(p.exceptions) == before {
		return fmt.Errorf("no exception for %s", to)
	}
	return nil
}

func (p *policies) ExplainPolicy(of driver.Whom) (driver.PolicyExplanation, error) {
	until := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	return driver.PolicyExplanation{Whom: of, Policy: config.Policy{Name: "agents", Egress: "deny"}, Lines: []driver.PolicyLine{
		{Word: "egress", Value: "deny", From: "policy", Source: "agents"},
		{Word: "egress", Value: "internet", From: "setting", Source: "GANGWAY_DEFAULT_EGRESS", Unused: true},
		{Word: "egress.allow", Value: "10.0.5.7:5432/tcp", From: "network", Source: "gangway.egress.allow"},
		{Word: "ingress", Value: "any", From: "default"},
		{Word: "egress.allow", Value: "10.0.5.9", From: "exception", Source: "container", Until: &until},
	}, Learned: []driver.LearnedName{{Name: "registry.example", Address: netip.MustParseAddr("192.0.2.7"), Ports: ":443/tcp", Until: until}}}, nil
}

func (p *policies) TestPolicy(_ context.Context, of driver.Whom, to string) (driver.PolicyVerdict, error) {
	v := driver.PolicyVerdict{Whom: of, To: to, Rule: driver.PolicyLine{Word: "egress", Value: "deny", From: "policy", Source: "agents"}}
	if to == "10.0.5.7:5432" {
		v.Allowed, v.Rule = true, driver.PolicyLine{Word: "egress.allow", Value: "10.0.5.7:5432/tcp", From: "network", Source: "gangway.egress.allow"}
	}
	if strings.HasPrefix(to, "192.0.2.7:") {
		v.Learned = []driver.LearnedName{{Name: "registry.example", Address: netip.MustParseAddr("192.0.2.7"), Ports: ":443/tcp", Until: time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)}}
	}
	if strings.HasPrefix(to, "10.1.") {
		v.Audit, v.Note = true, "10.1.0.2 is on network "+model.Short(net1)
	}
	return v, nil
}

const agentsFile = `# what agents reach
name: agents
egress: deny
egress.allow:
  - 10.0.5.7:5432/tcp   # the database
host: dns
`

// TestPolicy: each command below policy, its answer and its exit code.
func TestPolicy(t *testing.T) {
	i := namedHost()
	i.policies = &policies{kept: map[string]model.NamedPolicy{}}
	dir := host(t, i)
	folder := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("agents.yml", agentsFile)
	write("wider.yml", strings.Replace(agentsFile, "dns", "any", 1)+"---\nname: guests\negress: internet\n")
	write("wrong.yml", "name: agents\negres: deny\n")
	lines := []string{
		"policy ls", "policy apply --dry-run agents.yml", "policy apply agents.yml", "policy apply agents.yml", "policy apply --dry-run agents.yml",
		"policy apply --dry-run wider.yml", "policy apply wider.yml wrong.yml", "policy apply agents.yml agents.yml", "policy apply wider.yml", "policy show agents", "policy show agnts",
		"policy apply", "policy apply none.yml", "policy rm agents", "policy rm gone",
		"policy allow shop-web-1 10.0.5.9:443", "policy deny shop_front metadata", "policy allow nobody 10.0.5.9", "policy allow shop_front", "policy allow shop_front lan --for 1ms", "policy ls", "policy ls --json",
		"policy revoke shop-web-1 10.0.5.9:443", "policy revoke shop-web-1 10.0.5.9:443", "policy explain shop-web-1", "policy explain shop_front --json",
		"policy test shop-web-1 10.0.5.7:5432", "policy test shop-web-1 10.0.5.7:22", "policy test shop-web-1 10.1.0.2:22", "policy test shop-web-1 192.0.2.7:22", "policy test shop-web-1",
		"policy learn shop-web-1 --for 2m", "policy learn shop-web-1 --for 2m --json", "policy learn nobody", "policy learn shop-web-1 --for 1ms",
	}
	for n, line := range lines {
		for _, file := range []string{"agents.yml", "wider.yml", "wrong.yml", "none.yml"} {
			line = strings.ReplaceAll(line, file, filepath.Join(folder, file))
		}
		lines[n] = line
	}
	compare(t, "policy", strings.ReplaceAll(transcript(t, dir, lines...), folder+"/", ""))
	if r := gangway(t, dir, "policy", "allow", "shop_front", "lan", "--for", "1h"); r.code != 0 || !strings.Contains(r.stdout, "network shop_front allow lan, until 2") {
		t.Errorf("%+v", r)
	}
	if until := i.policies.exceptions[len(i.policies.exceptions)-1].Until; until == nil || time.Until(*until) > time.Hour+time.Second || time.Until(*until) < 50*time.Minute {
		t.Errorf("it ends %v", until)
	}
	for line, want := range map[string]string{"policy show ": "agents\nguests\n", "policy explain ": "shop-web-1\n", "policy a": "allow\t"} {
		args := append([]string{"__complete"}, strings.Split(line, " ")...)
		if r := gangway(t, dir, args...); r.code != 0 || !strings.Contains(r.stdout, want) {
			t.Errorf("%q completes to %q", line, r.stdout)
		}
	}
}

// TestLearnCut: who interrupts learning has what was learned until then, which is a regular end; a daemon that ends it says
// so; and one that does not answer keeps nobody.
func TestLearnCut(t *testing.T) {
	i := namedHost()
	released, release := context.WithCancel(t.Context())
	for _, c := range []struct {
		what        string
		interrupted bool
		wait        func(context.Context) // before the daemon tells of the policy
		code        int
		stderr      string
		policy      bool
	}{
		{"the daemon ends", false, nil, exitProblem, "the daemon ends: cut short after 3m12s of 1h0m0s", true},
		{"interrupted", true, func(ctx context.Context) { <-ctx.Done() }, exitOK, "\ncut short after 3m12s of 1h0m0s", true},
		{"no answer", true, func(context.Context) { <-released.Done() }, exitProblem, "has not said what was learned", false},
	} {
		ctx, interrupt := context.WithCancel(t.Context())
		i.policies = &policies{cut: func(asked context.Context) {
			if c.interrupted {
				interrupt()
				c.wait(asked)
			}
		}}
		r := gangwayUntil(ctx, host(t, i), "policy", "learn", "shop-web-1", "--for", "1h", "--timeout", "1s")
		interrupt()
		if r.code != c.code || !strings.Contains(r.stderr, c.stderr) || strings.Contains(r.stdout, "# cut short") != c.policy || strings.Contains(r.stdout, "192.0.2.9:443/tcp") != c.policy {
			t.Errorf("%s: %+v", c.what, r)
		}
	}
	release()
}

// TestDiff: what goes and what comes, and nothing else.
func TestDiff(t *testing.T) {
	for _, c := range []struct{ before, after, want string }{
		{"", "a\nb\n", "+ a|+ b"}, {"a\n", "", "- a"}, {"a\nb\nc\n", "a\nc\nd\n", "  a|- b|  c|+ d"}, {"a\n", "a\n", "  a"}, {"x\na\n", "a\nx\n", "- x|  a|+ x"},
	} {
		if got := strings.Join(diff(c.before, c.after), "|"); got != c.want {
			t.Errorf("%q to %q: %q, want %q", c.before, c.after, got, c.want)
		}
	}
	large := func(line string) string { return strings.Repeat(line+"\n", 3000) }
	if got := diff(large("a"), large("b")); len(got) != 6000 || got[0] != "- a" || got[5999] != "+ b" {
		t.Errorf("%d lines of large texts", len(got))
	}
}
