package driver

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// TestPrefixFollows: a network has the prefix of today from the start and when that is another one,
// which is no repair; without one it is closed. After a restart it is as before, and flows of the day before are
// dropped at each change.
func TestPrefixFollows(t *testing.T) {
	ctx := t.Context()
	f := newFakeHost()
	has := func(prefixes ...string) {
		f.prefixes = nil
		for _, p := range prefixes {
			f.prefixes = append(f.prefixes, spec.HostPrefix{Prefix: netip.MustParsePrefix(p)})
		}
	}
	has("2001:db8:100::/56")
	d := newTestDriver(t, f, "boot")
	r := networkRequest(netA, "10.0.0.0/24", "10.0.0.1")
	r.IPv6 = []PoolData{{Subnet: netip.MustParsePrefix("fd00:80::/64"), Gateway: netip.MustParsePrefix("fd00:80::1/64")}}
	r.Options = map[string]any{"com.docker.network.enable_ipv6": true, "com.docker.network.generic": map[string]any{"gangway.ipv6": "prefix"}}
	must(t, d.CreateNetwork(ctx, r), d.CreateNetwork(ctx, networkRequest(netB, "10.1.0.0/24", "10.1.0.1")))
	want := func(when, outside string) {
		t.Helper()
		got := rulesOf[firewall.Translation](f)
		if len(got) != 1 || got[0].Inside.String() != "fd00:80::/64" || got[0].Outside.IsValid() != (outside != "") || outside != "" && got[0].Outside.String() != outside {
			t.Errorf("%s: %v, want %q", when, got, outside)
		}
		prefixShown(t, d, when, outside)
	}
	want("at first", "2001:db8:100:ff::/64")
	d.Reconcile(ctx) // the first look
	for i, day := range [][]string{{"2001:db8:200::/56"}, {}, {"2001:db8:300:10::/60"}, {"2001:db8:100::/56"}} {
		outside := []string{"2001:db8:200:ff::/64", "", "2001:db8:300:1f::/64", "2001:db8:100:ff::/64"}[i]
		has(day...)
		before := f.renumbered
		if fixed := d.Reconcile(ctx); fixed != 0 || len(d.writer.Open()) > 0 {
			t.Errorf("%v: %d repairs, open: %v", day, fixed, d.writer.Open())
		}
		want(strings.Join(day, ""), outside)
		if f.renumbered != before+1 {
			t.Errorf("%v: flows were looked for %d times", day, f.renumbered-before)
		}
	}
	if d.Reconcile(ctx); f.renumbered != 5 {
		t.Errorf("nothing has changed, and flows were looked for: %d", f.renumbered)
	}
	for _, n := range rulesOf[firewall.Translation](f) {
		delete(f.rules, ruleID{n.Kind(), n.Key()})
	}
	if fixed := d.Reconcile(ctx); fixed != 1 || f.renumbered != 6 {
		t.Errorf("%d repairs of rules, and flows that began without them were looked for %d times", fixed, f.renumbered-5)
	}
	want("healed", "2001:db8:100:ff::/64")
	d = newTestDriver(t, f, "boot")
	want("restarted", "2001:db8:100:ff::/64")
}

// prefixShown wants it in what the driver tells.
func prefixShown(t *testing.T, d *Driver, when, outside string) {
	t.Helper()
	shown := d.Networks(t.Context())
	i := slices.IndexFunc(shown, func(n NetworkStatus) bool { return n.ID == netA })
	if got := shown[i].Outside; outside != "" && got.String() != outside || outside == "" && got.IsValid() {
		t.Errorf("%s: %s is shown", when, got)
	}
	closed := slices.ContainsFunc(d.Status(t.Context()).Causes, func(c cause.Cause) bool { return strings.Contains(c.What, "gangway.ipv6=prefix") })
	if closed != (outside == "") {
		t.Errorf("%s: told as closed: %t", when, closed)
	}
}

// TestPrefixShared: of two networks that would have the same addresses outside the first one has them, and the other once
// that is gone.
func TestPrefixShared(t *testing.T) {
	ctx := t.Context()
	f := newFakeHost()
	f.prefixes = []spec.HostPrefix{{Prefix: netip.MustParsePrefix("2001:db8:100::/56")}}
	d := newTestDriver(t, f, "boot")
	for id, options := range map[string]map[string]any{netA: {"gangway.ipv6": "prefix"}, netB: {"gangway.ipv6": "prefix", "gangway.ipv6.subnet": "0xff"}} {
		n := map[string]string{netA: "0", netB: "1"}[id]
		r := networkRequest(id, "10."+n+".0.0/24", "10."+n+".0.1")
		r.IPv6 = []PoolData{{Subnet: netip.MustParsePrefix("fd00:8" + n + "::/64"), Gateway: netip.MustParsePrefix("fd00:8" + n + "::1/64")}}
		r.Options = map[string]any{"com.docker.network.enable_ipv6": true, "com.docker.network.generic": options}
		must(t, d.CreateNetwork(ctx, r))
	}
	outside := func(id string) (p netip.Prefix) {
		t.Helper()
		d.Reconcile(ctx)
		for _, r := range rulesOf[firewall.Translation](f) {
			if r.NetworkID == id {
				p = r.Outside
			}
		}
		return p
	}
	first, second := min(netA, netB), max(netA, netB)
	if a, b := outside(first), outside(second); a.String() != "2001:db8:100:ff::/64" || b.IsValid() {
		t.Errorf("the first has %s, the second %s", a, b)
	}
	must(t, d.DeleteNetwork(ctx, first))
	if b := outside(second); b.String() != "2001:db8:100:ff::/64" {
		t.Errorf("alone it has %s", b)
	}
}

// HostPrefixes is what a test says.
func (f *fakeHost) HostPrefixes(context.Context) ([]spec.HostPrefix, error) {
	unlock, err := f.step()
	if err != nil {
		return nil, err
	}
	defer unlock()
	return slices.Clone(f.prefixes), nil
}

// DropRenumbered counts.
func (f *fakeHost) DropRenumbered(_ context.Context, outside map[netip.Prefix]netip.Prefix, networks []netip.Prefix) error {
	if len(outside) > 0 && len(networks) > 0 {
		f.renumbered++
	}
	return nil
}
