package driver

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
)

// fakeLearned is what names have opened.
type fakeLearned []policy.Learned

func (f fakeLearned) Learned(of []policy.Who) (all []policy.Learned) {
	for _, l := range f {
		if slices.Contains(of, l.Who) {
			all = append(all, l)
		}
	}
	return all
}

func (f fakeLearned) Names(who policy.Who, to netip.Addr) (names []string) {
	for _, l := range f {
		if l.Who == who && l.To == to {
			names = append(names, l.Name)
		}
	}
	return names
}

// TestLearnedNames: an address that is open since a name has it is allowed with the name beside
// it, for who has learned it and for all who have the policy; a name is asked for as itself.
func TestLearnedNames(t *testing.T) {
	f := newFakeHost()
	const allow = "a.example:443/tcp,*.b.example:443/tcp,*.c.example:8443"
	ports, until := config.Ports{Proto: 6, First: 443, Last: 443}, time.Now().Add(time.Hour).UTC().Round(time.Second)
	one := policy.Who{Addr: netip.MustParseAddr("10.0.0.2")}
	var names fakeLearned
	d := newTestDriver(t, f, "boot", func(o *Options) { o.Learned = &names })
	must(t, d.CreateNetwork(t.Context(), policyRequest(netA, "10.0.0.0/24", "10.0.0.1", "gangway.egress", "deny", "gangway.egress.allow", allow, "gangway.egress.deny", "no.c.example")))
	container(t, d, netA, ep1, "10.0.0.2/24")
	container(t, d, netA, ep2, "10.0.0.3/24")
	e, err := d.ExplainPolicy(Whom{netA, ep1})
	must(t, err)
	texts := e.Policy
	learn := func(who policy.Who, name, to string, until time.Time) {
		names = append(names, policy.Learned{Who: who, Name: name, To: netip.MustParseAddr(to), Ports: ports, Until: until})
	}
	learn(policy.Who{Policy: texts}, "a.example", "192.0.2.7", until)
	learn(one, "a.example", "192.0.2.7", until.Add(-time.Minute))
	learn(one, "x.b.example", "192.0.2.8", until)
	learn(policy.Who{Addr: netip.MustParseAddr("10.9.0.9")}, "y.b.example", "192.0.2.9", until)
	if e, err = d.ExplainPolicy(Whom{netA, ep1}); err != nil || len(e.Learned) != 2 || e.Learned[0] != (LearnedName{"a.example", netip.MustParseAddr("192.0.2.7"), ":443/tcp", until}) || e.Learned[1].Name != "x.b.example" {
		t.Errorf("%+v, %v", e.Learned, err)
	}
	for _, c := range []struct{ endpoint, to, want string }{
		{ep1, "192.0.2.7:443", "true egress.allow *.b.example:443/tcp,a.example:443/tcp [a.example]"},
		{ep1, "192.0.2.7:80", "false egress deny [a.example]"},
		{ep1, "192.0.2.8:443", "true egress.allow *.b.example:443/tcp,a.example:443/tcp [x.b.example]"},
		{ep2, "192.0.2.8:443", "false egress deny []"},
		{ep2, "192.0.2.7:443", "true egress.allow *.b.example:443/tcp,a.example:443/tcp [a.example]"},
		{"", "192.0.2.7:443", "true egress.allow *.b.example:443/tcp,a.example:443/tcp [a.example]"},
		{ep1, "x.b.example:443", "true egress.allow *.b.example:443/tcp,a.example:443/tcp [x.b.example]"},
		{ep1, "X.b.example.:80", "false egress deny [x.b.example] answered"},
		{ep1, "other.example:443", "false egress deny [] refused"},
		{ep1, "no.c.example:8443", "false egress.deny no.c.example [] refused"},
		{ep1, "yes.c.example:8443/udp", "true egress.allow *.c.example:8443 []"},
	} {
		v, err := d.TestPolicy(t.Context(), Whom{netA, c.endpoint}, c.to)
		must(t, err)
		var learned []string
		for _, l := range v.Learned {
			learned = append(learned, l.Name)
		}
		got := fmt.Sprint(v.Allowed, " ", v.Rule.Word, " ", v.Rule.Value, " ", learned)
		for note, word := range map[string]string{"the question is refused": " refused", "the question is answered, and the addresses in the answer stay closed for this": " answered"} {
			if v.Note == note {
				got += word
			}
		}
		if got != c.want {
			t.Errorf("%.4s to %s: %s (%s), want %s", c.endpoint, c.to, got, v.Note, c.want)
		}
	}
}

// TestNamesOfRefused: what is refused beside an allowed name has that name.
func TestNamesOfRefused(t *testing.T) {
	f := newFakeHost()
	to := netip.MustParseAddr("192.0.2.8")
	names := fakeLearned{{Who: policy.Who{Addr: netip.MustParseAddr("10.0.0.2")}, Name: "x.example", To: to}}
	d := newTestDriver(t, f, "boot", func(o *Options) { o.Learned = names })
	must(t, d.CreateNetwork(t.Context(), policyRequest(netA, "10.0.0.0/24", "10.0.0.1", "gangway.egress", "deny", "gangway.egress.allow", "*.example:443")))
	container(t, d, netA, ep1, "10.0.0.2/24")
	p := DroppedPacket{By: PolicyEntry{Entry: policy.Entry{Option: policy.OptionEgress}}, From: Party{NetworkID: netA, EndpointID: ep1}, To: Party{Addr: to}}
	if got := d.namesRefused(p); !slices.Equal(got, []string{"x.example"}) {
		t.Errorf("%q", got)
	}
	p.To.Addr = netip.MustParseAddr("192.0.2.9")
	if got := d.namesRefused(p); len(got) > 0 {
		t.Errorf("%q", got)
	}
}
