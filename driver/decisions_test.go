package driver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/policy"
)

// fakeUses are the kernel's: each policy that it is asked for has an entry.
type fakeUses struct {
	asked int
	err   error
}

func (f *fakeUses) Uses(_ context.Context, texts []config.Policy) (all []policy.Usage, err error) {
	f.asked = len(texts)
	for _, p := range texts {
		all = append(all, policy.Usage{ID: "id of " + p.Egress, Texts: p, Entries: []policy.Use{
			{Entry: policy.Entry{Option: policy.OptionEgress, Value: p.Egress}, Packets: 3},
			{Entry: policy.Entry{Option: policy.OptionDeny, Value: "203.0.113.0/24"}}, {Entry: policy.Entry{Option: policy.OptionDeny, Value: "host:22"}, Packets: 2},
		}})
	}
	return all, f.err
}

// policed is a driver with two networks, which have the same policy, and a container on the
// first that has one of its own, beside one that has not.
func policed(t *testing.T) (*Driver, *fakeUses) {
	t.Helper()
	f := newFakeHost()
	uses := &fakeUses{}
	d := newTestDriver(t, f, "boot", func(o *Options) { o.Uses = uses })
	for i, network := range []string{netA, netB} {
		r := networkRequest(network, fmt.Sprintf("10.%d.0.0/24", i), fmt.Sprintf("10.%d.0.1", i))
		r.Options = generic("gangway.egress", "deny", "gangway.egress.deny", "203.0.113.0/24,host:22", "gangway.ingress", "10.9.0.0/24")
		must(t, d.CreateNetwork(t.Context(), r))
	}
	container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
	own := CreateEndpointRequest{NetworkID: netA, EndpointID: ep2, IPv4: netip.MustParsePrefix("10.0.0.3/24"), Options: config.EndpointOptions{
		"gangway.egress": json.RawMessage(`"internet"`), "gangway.mode": json.RawMessage(`"audit"`),
	}}
	_, err := d.CreateEndpoint(t.Context(), own)
	must(t, err)
	return d, uses
}

// TestDecisions: each network and each container with a policy of its own is told of with what
// its entries have decided, and with how many others it is counted; one without an own
// policy has its network's.
func TestDecisions(t *testing.T) {
	d, uses := policed(t)
	want := func(of string, most int, lines ...string) {
		t.Helper()
		all, err := d.decisions(t.Context(), of, most)
		must(t, err)
		var got []string
		for _, one := range all {
			got = append(got, fmt.Sprintf("%.4s %.4s %s +%d %s %d", one.NetworkID, one.EndpointID, one.Policy, one.Sharers, one.Verdict(one.Entries[0]), one.Entries[0].Packets))
		}
		slices.Sort(lines)
		if slices.Sort(got); !slices.Equal(got, lines) {
			t.Errorf("of %q: %q, want %q", of, got, lines)
		}
	}
	a, b, own := netA[:4]+"  id of deny +1 refused 3", netB[:4]+"  id of deny +1 refused 3", netA[:4]+" "+ep2[:4]+" id of internet +0 audited 3"
	want("", 0, a, b, own)
	if uses.asked != 2 {
		t.Errorf("the kernel is asked for %d policies, of which there are 2", uses.asked)
	}
	want(netA, 0, a, own)
	want(netB, 0, b)
	want(ep1, 0, a)
	want(ep2, 0, own)
	want("nobody", 0)
	want("", 1, a, b)
	if m := d.Measures(t.Context()); len(m.Policies) != 3 {
		t.Errorf("measures: %+v", m.Policies)
	}
	uses.err = errors.New("no memory")
	if _, err := d.Decisions(t.Context(), ""); err == nil {
		t.Error("the kernel's error is none")
	}
	d.o.Uses = nil
	if all, err := d.Decisions(t.Context(), ""); err != nil || len(all) != 0 {
		t.Errorf("where there are no policies: %v (%v)", all, err)
	}
}

// TestDroppedBy: what a policy has refused is told of by entry, in sums and events, whose it is
// too; when a container goes, its sums are its network's.
func TestDroppedBy(t *testing.T) {
	d, _ := policed(t)
	c := &fakeCounters{}
	d.o.Refused = c
	look(t, d)
	bridge := d.state().Networks[netA].Bridge
	refusal := func(counter string, o policy.Option, addr string, packets uint64) firewall.Refusal {
		r := firewall.Refusal{Counter: counter, Reason: firewall.Policy, Option: o, Bridge: bridge, Packets: packets}
		if addr != "" {
			r.Addr = netip.MustParseAddr(addr)
		}
		return r
	}
	c.refused = []firewall.Refusal{
		refusal("1", policy.OptionEgress, "10.0.0.2", 5), refusal("2", policy.OptionEgress, "10.0.0.3", 7), refusal("3", policy.OptionDeny, "10.0.0.2", 2),
		refusal("4", policy.OptionSource, "", 9), refusal("5", policy.OptionIngress, "10.0.0.2", 1),
	}
	lines := func() (all []string) {
		for _, one := range d.Dropped(t.Context()) {
			all = append(all, fmt.Sprintf("%.4s %d %s %t", one.EndpointID, one.Packets, one.By, one.By.Own))
		}
		slices.Sort(all)
		return all
	}
	look(t, d)
	one, two := ep1[:4], ep2[:4]
	want := []string{" 9 source false", one + " 1 gangway.ingress=10.9.0.0/24 false", one + " 2 gangway.egress.deny=host:22 false", one + " 5 gangway.egress=deny false", two + " 7 gangway.egress=internet true"}
	slices.Sort(want)
	if got := lines(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	told := d.Events(t.Context(), 0, 0)
	if len(told) == 0 || !strings.Contains(told[len(told)-1].Text, "5 policy: gangway.egress=deny (network ") {
		t.Errorf("events %+v", told)
	}
	must(t, d.Leave(t.Context(), netA, ep1), d.DeleteEndpoint(t.Context(), netA, ep1))
	c.refused = c.refused[3:]
	look(t, d)
	if got := lines(); !slices.Contains(got, " 5 gangway.egress=deny false") || !slices.Contains(got, " 2 gangway.egress.deny=host:22 false") {
		t.Errorf("when the container is gone: %q", got)
	}
}

// TestDeciding: the entry of one packet is found, where the kernel tells of the option.
func TestDeciding(t *testing.T) {
	d, _ := policed(t)
	bridge := d.state().Networks[netA].Bridge
	addr := netip.MustParseAddrPort
	for _, c := range []struct {
		r    firewall.Refused
		want string
	}{
		{firewall.Refused{Option: policy.OptionDeny, In: bridge, From: addr("10.0.0.2:9"), To: addr("203.0.113.9:443")}, "gangway.egress.deny=203.0.113.0/24 false"},
		{firewall.Refused{Option: policy.OptionDeny, In: bridge, From: addr("10.0.0.2:9"), To: addr("10.0.0.1:22")}, "gangway.egress.deny=host:22 false"},
		{firewall.Refused{Option: policy.OptionDeny, In: bridge, From: addr("10.0.0.2:9"), To: addr("1.2.3.4:80")}, "gangway.egress.deny false"},
		{firewall.Refused{Option: policy.OptionEgress, In: bridge, From: addr("10.0.0.3:9"), To: addr("1.2.3.4:80")}, "gangway.egress=internet true"},
		{firewall.Refused{Option: policy.OptionHost, In: bridge, From: addr("10.0.0.2:9"), To: addr("10.0.0.1:80")}, "gangway.host=dns false"},
		{firewall.Refused{Option: policy.OptionIngress, In: "eth0", Out: bridge, From: addr("192.0.2.9:9"), To: addr("10.0.0.2:80")}, "gangway.ingress=10.9.0.0/24 false"},
		{firewall.Refused{Option: policy.OptionSource, In: bridge, From: addr("192.0.2.9:9"), To: addr("1.2.3.4:80")}, "source false"},
		{firewall.Refused{In: bridge, From: addr("10.0.0.2:9"), To: addr("10.0.0.9:80")}, " false"},
		{firewall.Refused{Option: policy.OptionEgress, In: "gw-gone", From: addr("10.0.0.2:9"), To: addr("1.2.3.4:80")}, "gangway.egress false"},
	} {
		c.r.Protocol = "tcp"
		p := packet(d.state(), c.r)
		if got := fmt.Sprint(p.By, " ", p.By.Own); got != c.want {
			t.Errorf("%+v: %s, want %s", c.r, got, c.want)
		}
		if p.By.Incoming() != (c.r.Option == policy.OptionIngress) {
			t.Errorf("%+v: comes in: %t", c.r, p.By.Incoming())
		}
	}
}

// TestPortsAskedBy: a port that not everybody may ask for says who may.
func TestPortsAskedBy(t *testing.T) {
	d, _ := policed(t)
	for _, p := range d.Ports(t.Context()) {
		if strings.Join(p.Ingress, ",") != "10.9.0.0/24" {
			t.Errorf("%+v", p)
		}
	}
	_, open := withContainer(t)
	for _, p := range open.Ports(t.Context()) {
		if p.Ingress != nil {
			t.Errorf("%+v", p)
		}
	}
}
