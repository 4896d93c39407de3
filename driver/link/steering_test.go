package link_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/spec"
)

// wayOut is that of a bridge with both families, by containers with such last parts of their addresses; "" for none.
func wayOut(b spec.Bridge, four, six string) spec.Steering {
	addr := func(prefix, last string) (a netip.Addr) {
		if last != "" {
			a = netip.MustParseAddr(prefix + last)
		}
		return a
	}
	return spec.Steering{Bridge: b.Name, NetworkID: b.NetworkID, Ways: []spec.Way{
		{Subnet: netip.MustParsePrefix("10.7.0.0/24"), Via: addr("10.7.0.", four)}, {Subnet: netip.MustParsePrefix("fd07::/64"), Via: addr("fd07::", six)},
	}}
}

// rules are those of gangway's, and routes those of the table that they lead to, of both families.
func (f fixture) steered() string {
	f.t.Helper()
	var lines []string
	add := func(text string) {
		for line := range strings.Lines(text) {
			line = strings.NewReplacer("proto 71", "", "linkdown", "", "\t", " ").Replace(line)
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
	}
	for _, family := range []string{"-4", "-6"} {
		for line := range strings.Lines(f.sh("ip " + family + " rule")) {
			rule, table, is := strings.Cut(strings.TrimSpace(line), " lookup ")
			if !strings.HasPrefix(rule, "475") && !strings.HasPrefix(rule, "476") {
				continue
			}
			if add(rule); is {
				add(f.sh("ip " + family + " route show table " + strings.Fields(table)[0]))
			}
		}
	}
	return strings.Join(lines, "\n")
}

// expected are the rules and routes of a bridge that is left by these addresses.
func expected(bridge, four, six string) string {
	by := func(via, subnet string) string {
		first, way := "", ""
		if via != "" {
			first, way = "4757: from "+via+" iif gw-x goto 4760\n4758: from "+via+" iif gw-x blackhole\n", "default via "+via+" dev gw-x metric 256 onlink"
		}
		return first + "4759: from all iif gw-x\n" + strings.Replace(subnet, "WAY", way, 1) + "4760: from all iif gw-x nop\n"
	}
	six = strings.ReplaceAll(by(six, "fd07::/64 dev gw-x metric 256 pref medium\nWAY pref medium\nblackhole default dev lo metric 1048576 pref medium\n"), "\n pref medium", "")
	four = strings.ReplaceAll(by(four, "WAY\nblackhole default metric 1048576\n10.7.0.0/24 dev gw-x scope link metric 256\n"), "gw-x\n\n", "gw-x\n")
	return strings.TrimSuffix(strings.ReplaceAll(four+six, "gw-x", bridge), "\n")
}

// TestSteering: what comes by a bridge goes by its gateway, or nowhere; what of that somebody takes away comes back, what
// somebody adds goes, and without the way out there is nothing left.
func TestSteering(t *testing.T) {
	inside(t, func(f fixture) {
		ctx := context.Background()
		b := dualStack()
		f.ensure(b, "bridge "+b.Name+" was missing: created")
		before := f.dump() + f.sh("ip rule") + f.sh("ip -6 rule")
		f.steer(wayOut(b, "", ""), 10)
		rules := func(four, six string) string { return expected(b.Name, four, six) }
		f.leadsBy(rules("", ""))
		f.steer(wayOut(b, "5", "5"), 6)
		both := rules("10.7.0.5", "fd07::5")
		f.leadsBy(both)
		// Another one takes its place.
		f.steer(wayOut(b, "6", ""), 9)
		f.leadsBy(rules("10.7.0.6", ""))
		f.steer(wayOut(b, "5", "5"), 9)
		f.leadsBy(both)
		for _, damage := range []string{
			"ip rule del pref 4757", "ip rule del pref 4758", "ip -6 rule del pref 4759", "ip rule del pref 4760",
			"ip route flush table all proto 71", "ip -6 route flush table all proto 71",
			"ip rule add pref 4757 from 10.7.0.9 iif " + b.Name + " goto 4760 proto 71",
			"ip link set " + b.Name + " down",
		} {
			f.sh(damage)
			if strings.HasSuffix(damage, "down") {
				_, err := f.EnsureBridge(ctx, b)
				f.ok(err)
			}
			amiss, err := f.Amiss(ctx, []spec.Object{wayOut(b, "5", "5")})
			if err != nil || len(amiss) != 1 {
				t.Errorf("after %s: %v, %v", damage, amiss, err)
			}
			if _, err = f.EnsureSteering(ctx, wayOut(b, "5", "5")); err != nil {
				t.Errorf("after %s: %v", damage, err)
			}
			f.leadsBy(both)
		}
		f.set("net/ipv4/conf/all/send_redirects", "1")
		f.steer(wayOut(b, "5", "5"), 1)
		// Rules of others stay.
		f.sh("ip rule add pref 100 iif " + b.Name + " lookup 7")
		f.ok(f.DeleteSteering(ctx, wayOut(b, "5", "5")))
		f.sh("ip rule del pref 100")
		if left := f.steered(); left != "" {
			t.Errorf("left:\n%s", left)
		}
		if d := cmp.Diff(before, f.dump()+f.sh("ip rule")+f.sh("ip -6 rule")); d != "" {
			t.Errorf("before and after:\n%s", d)
		}
		// A bridge that is made anew has none of what one of its name had.
		f.steer(wayOut(b, "5", "5"), 14)
		f.sh("ip link del " + b.Name)
		f.ensure(b, "bridge "+b.Name+" was missing: created")
		if left := f.steered(); left != "" {
			t.Errorf("of a bridge before:\n%s", left)
		}
		// Nor does one that is nobody's leave any.
		f.steer(wayOut(b, "5", "5"), 15)
		_, err := f.Prune(ctx, nil, nil)
		f.ok(err)
		if left := f.steered(); left != "" {
			t.Errorf("of a bridge of nobody:\n%s", left)
		}
	})
}

// steer makes a way out, of which so many things were missing or there besides, and none the second time.
func (f fixture) steer(s spec.Steering, want int) {
	f.t.Helper()
	for _, want := range []int{want, 0} {
		fixed, err := f.EnsureSteering(context.Background(), s)
		if err != nil || len(fixed) != want {
			f.t.Errorf("%s: %v, %d lines, want %d:\n%s", s, err, len(fixed), want, strings.Join(fixed, "\n"))
		}
	}
	if amiss, err := f.Amiss(context.Background(), []spec.Object{s}); err != nil || len(amiss) > 0 {
		f.t.Errorf("amiss: %v, %v", amiss, err)
	}
}

func (f fixture) leadsBy(want string) {
	f.t.Helper()
	if d := cmp.Diff(want, f.steered()); d != "" {
		f.t.Errorf("rules and routes (-want +got):\n%s", d)
	}
}
