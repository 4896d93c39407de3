package link_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/link"
	"github.com/gangway-net/gangway/driver/spec"
)

// routingWorld are two bridges, a table that leads elsewhere and one that leads nowhere.
const routingWorld = `ip link set lo up
ip link add gw-a type bridge
ip link add gw-b type bridge
ip link add tun0 type bridge
ip link set gw-a up
ip link set gw-b up
ip link set tun0 up
ip addr add 10.1.0.1/24 dev gw-a
ip addr add 10.2.0.1/24 dev gw-b
ip addr add 192.0.2.1/24 dev tun0
ip addr add fd01::1/64 dev gw-a nodad
ip addr add fd02::1/64 dev gw-b nodad
ip addr add fd99::1/64 dev tun0 nodad
ip route add default via 192.0.2.9 table 100
ip -6 route add default via fd99::9 table 100
ip route add unreachable default table 101
ip -6 route add unreachable default table 101`

// TestRoutingRules: the rules are those that ip rule shows, as far as they may be about
// packets that are forwarded.
func TestRoutingRules(t *testing.T) {
	mainRule := spec.RoutingRule{Priority: 32766, Table: spec.TableMain}
	b := netip.MustParsePrefix("10.2.0.0/24")
	for _, tt := range []struct {
		rule string // without the family
		want *spec.RoutingRule
	}{
		{"from 10.2.0.0/24 lookup 100 priority 100", &spec.RoutingRule{Priority: 100, From: b, Table: 100}},
		{"to 10.2.0.0/24 lookup main priority 1", &spec.RoutingRule{Priority: 1, To: b, Table: spec.TableMain}},
		{"iif gw-b lookup 100000 priority 100", &spec.RoutingRule{Priority: 100, By: "gw-b", Table: 100000}},
		{"not from 10.2.0.0/24 lookup 100 priority 100", &spec.RoutingRule{Priority: 100, From: b, Not: true, Table: 100}},
		{"from 10.2.0.0/24 prohibit priority 100", &spec.RoutingRule{Priority: 100, From: b, Refuses: true}},
		{"from 10.2.0.0/24 blackhole priority 100", &spec.RoutingRule{Priority: 100, From: b, Refuses: true}},
		{"from all lookup main suppress_prefixlength 0 priority 100", &spec.RoutingRule{Priority: 100, Table: spec.TableMain}},
		{"from all lookup main suppress_prefixlength 16 priority 100", &spec.RoutingRule{Priority: 100, Table: spec.TableMain, Sifts: true}},
		{"to 10.2.0.0/24 lookup main suppress_prefixlength 0 priority 100", &spec.RoutingRule{Priority: 100, To: b, Table: spec.TableMain}},
		{"from all lookup main suppress_ifgroup 7 priority 100", &spec.RoutingRule{Priority: 100, Table: spec.TableMain, Sifts: true}},
		{"from 10.2.0.0/24 ipproto tcp lookup 100 priority 100", &spec.RoutingRule{Priority: 100, From: b, Partly: true, Table: 100}},
		{"from 10.2.0.0/24 goto 32766 priority 100", &spec.RoutingRule{Priority: 100, From: b, Partly: true}},
		{"not fwmark 0xca6c lookup 51820 priority 100", &spec.RoutingRule{Priority: 100, Table: 51820}},
		{"fwmark 0/0xff lookup 100 priority 100", &spec.RoutingRule{Priority: 100, Table: 100}},
		{"fwmark 0x80000/0xff0000 lookup 100 priority 100", nil},
		{"from all tos 0x10 lookup 100 priority 100", nil},
		{"from all oif tun0 lookup 100 priority 100", nil},
		{"from all l3mdev priority 1000", nil},
		{"from all nop priority 100", nil},
	} {
		inside(t, func(f fixture) {
			before, err := f.RoutingRules(t.Context(), false)
			f.ok(err)
			six, err := f.RoutingRules(t.Context(), true)
			f.ok(err)
			fallback := spec.RoutingRule{Priority: 32767, Table: 253}
			if !slices.Equal(before, []spec.RoutingRule{mainRule, fallback}) || !slices.Equal(six, []spec.RoutingRule{mainRule}) {
				t.Errorf("without rules of others: %v, %v", before, six)
			}
			f.sh("ip rule add " + tt.rule)
			got, err := f.RoutingRules(t.Context(), false)
			f.ok(err)
			want := []spec.RoutingRule{mainRule, fallback}
			if tt.want != nil {
				want = append([]spec.RoutingRule{*tt.want}, want...)
			}
			if d := cmp.Diff(want, got, comparePrefixes()); d != "" {
				t.Errorf("%s (-want +got):\n%s", tt.rule, d)
			}
		})
	}
}

// TestExitOf: a packet that comes by a bridge leaves where the rules lead it.
func TestExitOf(t *testing.T) {
	inside(t, func(f fixture) {
		for line := range strings.Lines(routingWorld) {
			f.sh(line)
		}
		f.set("net/ipv4/ip_forward", "1")
		f.set("net/ipv6/conf/all/forwarding", "1")
		f.set("net/ipv4/conf/all/rp_filter", "0")
		f.set("net/ipv4/conf/gw-b/rp_filter", "0")
		ask := func(what string, want spec.Exit, ways ...string) {
			t.Helper()
			for i, w := range [][3]string{{"gw-b", "10.2.0.2", "10.1.0.2"}, {"gw-b", "fd02::2", "fd01::2"}} {
				if len(ways) == 1 && ways[0] == "4" && i == 1 {
					continue
				}
				got, known, err := f.ExitOf(t.Context(), spec.Passage{By: w[0], From: netip.MustParseAddr(w[1]), To: netip.MustParseAddr(w[2])})
				if err != nil || !known || got != want {
					t.Errorf("%s: %s leaves by %+v, %t, %v, want %+v", what, w[1], got, known, err, want)
				}
			}
		}
		both := func(line string) {
			t.Helper()
			f.sh("ip rule " + line)
			f.sh("ip -6 rule " + strings.NewReplacer("10.2.0.0/24", "fd02::/64", "10.1.0.0/24", "fd01::/64").Replace(line))
		}
		bridge := spec.Exit{Link: "gw-a", Table: spec.TableMain}
		ask("no rule", bridge)
		both("add from 10.2.0.0/24 lookup 100 priority 200")
		ask("from the network", spec.Exit{Link: "tun0", Table: 100})
		both("add to 10.1.0.0/24 lookup main priority 199")
		ask("kept", bridge)
		both("del to 10.1.0.0/24 lookup main priority 199")
		both("add from 10.2.0.0/24 lookup 101 priority 100")
		ask("no way", spec.Exit{})
		both("add iif gw-b prohibit priority 50")
		ask("refused", spec.Exit{})
		both("del iif gw-b prohibit priority 50")
		both("del from 10.2.0.0/24 lookup 101 priority 100")
		both("add from 10.1.0.0/24 lookup 100 priority 150")
		both("add from 10.2.0.0/24 to 10.1.0.0/24 lookup main priority 10")
		f.set("net/ipv4/conf/gw-b/rp_filter", "1")
		p := spec.Passage{By: "gw-b", From: netip.MustParseAddr("10.2.0.2"), To: netip.MustParseAddr("10.1.0.2")}
		if got, known, err := f.ExitOf(t.Context(), p); known || err != nil {
			t.Errorf("not taken from the link: %+v, %t, %v", got, known, err)
		}
		p.By = "gw-x"
		if got, known, err := f.ExitOf(t.Context(), p); known || err != nil {
			t.Errorf("by no link: %+v, %t, %v", got, known, err)
		}
	})
}

// BenchmarkRoutingRules is what each check costs on a host without rules of others, and
// what one question about a way costs where there are some.
func BenchmarkRoutingRules(b *testing.B) {
	h, err := link.New(link.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	b.Run("rules", func(b *testing.B) {
		for b.Loop() {
			if _, err := h.RoutingRules(b.Context(), false); err != nil {
				b.Fatal(err)
			}
		}
	})
	f := fixture{h, b}
	for line := range strings.Lines(routingWorld) {
		f.sh(line)
	}
	defer func() {
		for _, name := range []string{"gw-a", "gw-b", "tun0"} {
			f.sh("ip link del " + name)
		}
	}()
	b.Run("way", func(b *testing.B) {
		p := spec.Passage{By: "gw-b", From: netip.MustParseAddr("10.2.0.2"), To: netip.MustParseAddr("10.1.0.2")}
		for b.Loop() {
			if _, _, err := h.ExitOf(b.Context(), p); err != nil {
				b.Fatal(err)
			}
		}
	})
}
