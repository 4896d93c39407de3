package driver

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// TestAdmitPolicy: what does not hold, what could be got around, and what the host cannot keep
// is refused; of a container also what the network locks, and what its source does not tell.
func TestAdmitPolicy(t *testing.T) {
	deny := config.Policy{Egress: "deny"}
	for _, c := range []struct {
		name   string
		o      Options
		change func(n *model.Network)
		own    config.Policy
		want   string
	}{
		{"nothing", Options{Unpoliced: "old", Unguarded: "old"}, func(*model.Network) {}, config.Policy{}, ""},
		{"a policy", Options{}, func(n *model.Network) { n.Options.Policy = deny }, config.Policy{}, ""},
		{"an old kernel", Options{Unpoliced: "too old"}, func(n *model.Network) { n.Options.Policy = deny }, config.Policy{}, "this host cannot keep it: too old"},
		{"no IPv6", Options{}, func(n *model.Network) { n.Options.Policy = config.Policy{Deny: "2001:db8::1"} }, config.Policy{}, "the network has no IPv6"},
		{"an adopted bridge", Options{}, func(n *model.Network) { n.Options.Policy, n.Adopted = deny, true }, config.Policy{}, "was there before"},
		{"who comes to it", Options{}, func(n *model.Network) { n.Options.Policy, n.Adopted = config.Policy{Ingress: "none"}, true }, config.Policy{}, ""},
		{"another gateway", Options{}, func(n *model.Network) { n.Options.Policy, n.Router4 = deny, netip.MustParseAddr("10.0.0.9") }, config.Policy{}, "another machine"},
		{"its own", Options{}, func(*model.Network) {}, deny, ""},
		{"its own on a locked network", Options{}, func(n *model.Network) { n.Options.Lock = true }, deny, "gangway.lock=true"},
		{"its own without anti-spoofing", Options{}, func(n *model.Network) { n.Options.AntiSpoofing = config.SpoofingAllowed }, deny, "gangway.anti_spoofing=false"},
		{"its own without a filter", Options{Unguarded: "no cls_bpf"}, func(*model.Network) {}, deny, "no cls_bpf"},
		{"its own, over the network's", Options{}, func(n *model.Network) { n.Options.Policy = deny }, config.Policy{Egress: "open", Allow: "10.0.0.1"}, "allows everything"},
	} {
		n := &model.Network{ID: strings.Repeat("a", 64), Bridge: "gw-a", Subnet4: netip.MustParsePrefix("10.0.0.0/24")}
		c.change(n)
		d := New(c.o)
		err := d.admitPolicy(d.state(), n)
		if err == nil {
			err = d.admitOwnPolicy(d.state(), n, &model.Endpoint{ID: strings.Repeat("e", 64), Options: config.Endpoint{Policy: c.own}})
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestAdmitsByPolicy: where a policy says who may come, a relay, which hides that, serves the
// host itself and the container's own network.
func TestAdmitsByPolicy(t *testing.T) {
	to := netip.MustParseAddr("10.0.0.2")
	links := map[int]spec.Origin{1: {Name: "lo", Loopback: true}, 2: {Name: "eth0"}, 3: {Name: "gw-a", Owner: "a", Marked: true}}
	for texts, want := range map[config.Policy][]bool{
		{}:                               {true, true, true},
		{Ingress: "any", Egress: "deny"}: {true, true, true},
		{Ingress: "lan"}:                 {true, false, true},
		{Ingress: "none", Mode: "audit"}: {true, true, true},
	} {
		d := New(Options{Origins: &someOrigins{links: links}})
		d.state().Apply(model.Change{Network: model.NetworkChange{After: &model.Network{ID: "a", Bridge: "gw-a", Subnet4: netip.MustParsePrefix("10.0.0.0/24"), Options: config.Network{Policy: texts}}}})
		for i, ok := range want {
			if got := d.Admits(i+1, to, false); got != ok {
				t.Errorf("%+v: link %d: %t", texts, i+1, got)
			}
		}
	}
}
