package iptables

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/golden"
)

// id makes an engine's id of a letter.
func id(c string) string { return strings.Repeat(c, 64) }

func prefixes(s ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, p := range s {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

func port(network, endpoint string, proto spec.Protocol, host string, first, last uint16, container string, to uint16) firewall.Port {
	return firewall.Port{NetworkID: id(network), EndpointID: id(endpoint), Published: spec.Published{
		Proto: proto, HostIP: netip.MustParseAddr(host), First: first, Last: last,
		ContainerIP: netip.MustParseAddr(container), ContainerFirst: to,
	}}
}

// rich is a ruleset with one of everything.
func rich() firewall.Ruleset {
	both := firewall.Families{V4: true, V6: true}
	return firewall.Ruleset{
		Outside:   []spec.Outside{{Name: "eth0"}, {Name: "br-lan", Bridge: true}},
		NoTransit: both,
		HighPorts: []firewall.HighPorts{{Proto: spec.UDP, First: 40000, Last: 51819}, {Proto: spec.SCTP, First: 60000, Last: 60000}},
		Direct: []firewall.Direct{
			{NetworkID: id("a"), EndpointID: id("1"), Clients: netip.MustParsePrefix("10.200.1.0/24"), Addr: netip.MustParseAddr("10.200.0.2")},
			{NetworkID: id("a"), EndpointID: id("1"), Clients: netip.MustParsePrefix("fd00:d::/64"), Addr: netip.MustParseAddr("fd00:a::2")},
		},
		PreservedPorts: []firewall.PreservedPorts{
			{NetworkID: id("a"), EndpointID: id("1"), Addr: netip.MustParseAddr("10.200.0.2"), First: 5000, Last: 5003},
			{NetworkID: id("a"), EndpointID: id("1"), Addr: netip.MustParseAddr("fd00:a::2"), First: 20000, Last: 29999},
			{NetworkID: id("e"), EndpointID: id("6"), Addr: netip.MustParseAddr("10.200.4.2"), Source: netip.MustParseAddr("192.0.2.7"), First: 53, Last: 53},
		},
		Translations: []firewall.Translation{
			{NetworkID: id("7"), Bridge: "gw-777777777777", Inside: netip.MustParsePrefix("fd00:7::/64"), Outside: netip.MustParsePrefix("2001:db8:1:ff::/64")},
			{NetworkID: id("8"), Bridge: "gw-888888888888", Inside: netip.MustParsePrefix("fd00:8::/80")},
		},
		Inward: []firewall.Inward{
			{NetworkID: id("7"), EndpointID: id("1"), Proto: spec.TCP, Outside: netip.MustParseAddr("2001:db8:1:ff::2"), Inside: netip.MustParseAddr("fd00:7::2"), First: 80, Last: 80},
			{NetworkID: id("7"), EndpointID: id("1"), Proto: spec.UDP, Outside: netip.MustParseAddr("2001:db8:1:ff::2"), Inside: netip.MustParseAddr("fd00:7::2"), First: 5000, Last: 5100},
		},
		Networks: []firewall.Network{
			{ID: id("a"), Bridge: "gw-aaaaaaaaaaaa", ICC: true, Subnets: prefixes("10.200.0.0/24", "fd00:a::/64"),
				Masquerade: prefixes("10.200.0.0/24", "fd00:a::/64"), Hairpin: prefixes("10.200.0.0/24", "fd00:a::/64")},
			{ID: id("b"), Bridge: "mine", Hairpin: prefixes("10.200.1.0/24")},
			{ID: id("c"), Bridge: "gw-cccccccccccc", ICC: true, Internal: true},
			{ID: id("9"), Bridge: "gw-999999999999", ICC: true, Internal: true, Gateways: []netip.Addr{netip.MustParseAddr("10.200.5.5"), netip.MustParseAddr("fd00:9::5")}},
			{ID: id("d"), Bridge: "gw-dddddddddddd", ICC: true, Routed: both, Subnets: prefixes("10.200.3.0/24", "fd00:d::/64")},
			{ID: id("e"), Bridge: "gw-eeeeeeeeeeee", ICC: true, Unprotected: both, Subnets: prefixes("10.200.4.0/24", "fd00:e::/64"),
				Masquerade: prefixes("10.200.4.0/24", "fd00:e::/64"), Source: []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")}},
		},
		Open: []firewall.Open{
			{NetworkID: id("d"), EndpointID: id("5"), Bridge: "gw-dddddddddddd", Proto: spec.TCP, Addr: netip.MustParseAddr("10.200.3.2"), First: 80, Last: 80},
			{NetworkID: id("d"), EndpointID: id("5"), Bridge: "gw-dddddddddddd", Proto: spec.UDP, Addr: netip.MustParseAddr("fd00:d::2"), First: 80, Last: 90},
			{NetworkID: id("a"), EndpointID: id("1"), Bridge: "gw-aaaaaaaaaaaa", From: "wg0", Proto: spec.SCTP, Addr: netip.MustParseAddr("10.200.0.2"), First: 7, Last: 8},
		},
		Peers: []firewall.Peer{
			{NetworkID: id("d"), EndpointID: id("5"), Asks: true, Bridge: "gw-dddddddddddd", Other: "gw-aaaaaaaaaaaa", Addr: netip.MustParseAddr("10.200.3.2"), Proto: spec.TCP, Span: spec.Span{First: 5432, Last: 5432}},
			{NetworkID: id("d"), EndpointID: id("5"), Asks: true, Bridge: "gw-dddddddddddd", Other: "gw-aaaaaaaaaaaa", Addr: netip.MustParseAddr("fd00:d::2")},
			{NetworkID: id("a"), EndpointID: id("1"), Bridge: "gw-aaaaaaaaaaaa", Other: "gw-dddddddddddd", Addr: netip.MustParseAddr("10.200.0.2")},
			{NetworkID: id("a"), EndpointID: id("1"), Bridge: "gw-aaaaaaaaaaaa", Other: "gw-dddddddddddd", Addr: netip.MustParseAddr("fd00:a::2"), Proto: spec.SCTP, Span: spec.Span{First: 1, Last: 65535}},
		},
		Ports: []firewall.Port{
			port("a", "1", spec.TCP, "0.0.0.0", 80, 80, "10.200.0.2", 80),
			port("a", "1", spec.TCP, "0.0.0.0", 8000, 8000, "10.200.0.2", 8080),
			port("a", "1", spec.UDP, "192.0.2.1", 5000, 5010, "10.200.0.2", 5000),
			port("a", "2", spec.TCP, "127.0.0.1", 9000, 9010, "10.200.0.3", 90),
			port("b", "3", spec.SCTP, "0.0.0.0", 7000, 7000, "10.200.1.2", 7001),
			port("a", "1", spec.TCP, "::", 80, 80, "fd00:a::2", 80),
			port("a", "1", spec.TCP, "::", 8000, 8000, "fd00:a::2", 8080),
			port("a", "1", spec.UDP, "2001:db8::1", 5000, 5010, "fd00:a::2", 6000),
			// Relayed: no rule.
			port("b", "3", spec.TCP, "::", 8001, 8001, "10.200.1.2", 80),
		},
	}
}

func text(r rules) string {
	var b strings.Builder
	for _, c := range r.chains() {
		fmt.Fprintf(&b, "%s\n", c)
		for _, l := range r[c] {
			fmt.Fprintf(&b, "\t%s\n", l)
		}
	}
	return b.String()
}

func TestCompile(t *testing.T) {
	golden.Compare(t, "testdata/compile-ipv4.golden", text(compile(rich(), form{mark: firewall.DefaultMark(), failClosed: true, user: true})))
	golden.Compare(t, "testdata/compile-ipv6.golden", text(compile(rich(), form{mark: firewall.DefaultMark(), six: true, failClosed: true, user: true})))
	if r := compile(firewall.Ruleset{}, form{mark: firewall.DefaultMark(), failClosed: true, user: true}); len(r) != 0 {
		t.Errorf("nothing compiles to %v", r)
	}
}

// half returns about half of a list.
func half[T any](rnd *rand.Rand, all []T) []T {
	return slices.DeleteFunc(slices.Clone(all), func(T) bool { return rnd.IntN(2) == 0 })
}

// without returns the elements of a that b lacks.
func without[T comparable](a, b []T) []T {
	return slices.DeleteFunc(slices.Clone(a), func(v T) bool { return slices.Contains(b, v) })
}

// pick returns some of a set's elements.
func pick(rnd *rand.Rand, set firewall.Ruleset) firewall.Ruleset {
	var some firewall.Ruleset
	for _, n := range set.Networks {
		if rnd.IntN(2) == 0 {
			some.Networks = append(some.Networks, n)
		}
	}
	for _, p := range set.Ports {
		if rnd.IntN(2) == 0 {
			some.Ports = append(some.Ports, p)
		}
	}
	for _, o := range set.Open {
		if rnd.IntN(2) == 0 {
			some.Open = append(some.Open, o)
		}
	}
	some.Direct, some.PreservedPorts, some.Outside = half(rnd, set.Direct), half(rnd, set.PreservedPorts), half(rnd, set.Outside)
	for _, p := range set.HighPorts {
		if n := rnd.IntN(3); n > 0 {
			p.First -= uint16(n)
			some.HighPorts = append(some.HighPorts, p)
		}
	}
	some.NoTransit = firewall.Families{V4: set.NoTransit.V4 && rnd.IntN(2) == 0, V6: set.NoTransit.V6 && rnd.IntN(2) == 0}
	return some
}

// minus returns the elements of a that b lacks.
func minus(a, b firewall.Ruleset) firewall.Ruleset {
	var rest firewall.Ruleset
	for _, n := range a.Networks {
		if !slices.ContainsFunc(b.Networks, func(m firewall.Network) bool { return reflect.DeepEqual(n, m) }) {
			rest.Networks = append(rest.Networks, n)
		}
	}
	for _, p := range a.Ports {
		if !slices.Contains(b.Ports, p) {
			rest.Ports = append(rest.Ports, p)
		}
	}
	for _, o := range a.Open {
		if !slices.Contains(b.Open, o) {
			rest.Open = append(rest.Open, o)
		}
	}
	rest.Direct, rest.PreservedPorts, rest.Outside = without(a.Direct, b.Direct), without(a.PreservedPorts, b.PreservedPorts), without(a.Outside, b.Outside)
	rest.HighPorts = without(a.HighPorts, b.HighPorts)
	rest.NoTransit = a.NoTransit.Without(b.NoTransit)
	return rest
}

// The way to a ruleset leaves no trace: any sequence of deltas gives what
// compile gives for where it ends.
func TestWithIsCompile(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, six := range []bool{false, true} {
		now, is := firewall.Ruleset{}, compile(firewall.Ruleset{}, form{mark: firewall.DefaultMark(), six: six, failClosed: true, user: true})
		for range 300 {
			next := pick(rnd, rich())
			before := text(is)
			changed := is.with(firewall.Delta{Remove: minus(now, next), Add: minus(next, now)}, form{mark: firewall.DefaultMark(), six: six, failClosed: true, user: true})
			if text(is) != before {
				t.Fatal("with changed what it was called on")
			}
			now, is = next, changed
			if d := cmp.Diff(text(compile(now, form{mark: firewall.DefaultMark(), six: six, failClosed: true, user: true})), text(is)); d != "" {
				t.Fatalf("(-compile +with):\n%s", d)
			}
		}
	}
}

// Adding what is there and removing what is gone change nothing.
func TestWithTwice(t *testing.T) {
	once := compile(rich(), form{mark: firewall.DefaultMark(), failClosed: true, user: true})
	if d := cmp.Diff(text(once), text(once.with(firewall.Delta{Add: rich()}, form{mark: firewall.DefaultMark(), failClosed: true, user: true}))); d != "" {
		t.Errorf("add twice:\n%s", d)
	}
	gone := once.with(firewall.Delta{Remove: rich()}, form{mark: firewall.DefaultMark(), failClosed: true, user: true})
	if len(gone) != 0 {
		t.Errorf("left over: %v", gone)
	}
	if again := gone.with(firewall.Delta{Remove: rich()}, form{mark: firewall.DefaultMark(), failClosed: true, user: true}); len(again) != 0 {
		t.Errorf("remove twice: %v", again)
	}
	// What is removed and added in one delta stays.
	if d := cmp.Diff(text(once), text(once.with(firewall.Delta{Remove: rich(), Add: rich()}, form{mark: firewall.DefaultMark(), failClosed: true, user: true}))); d != "" {
		t.Errorf("replace by itself:\n%s", d)
	}
}

// A family that is not closed has nothing without networks, whatever the other has;
// and what a network needs then is known all the same.
func TestClosedAlone(t *testing.T) {
	alone := firewall.Ruleset{Outside: rich().Outside, NoTransit: firewall.Families{V4: true}}
	for _, six := range []bool{false, true} {
		f := form{six: six, failClosed: true, user: true}
		is, want := compile(alone, f), map[bool]int{false: 1, true: 0}[six]
		if n := len(is.chains()); n != want {
			t.Errorf("IPv6 %t: %d chains, want %d:\n%s", six, n, want, text(is))
		}
		full := alone
		full.Networks = rich().Networks
		if d := cmp.Diff(text(compile(full, f)), text(is.with(firewall.Delta{Add: firewall.Ruleset{Networks: full.Networks}}, f))); d != "" {
			t.Errorf("IPv6 %t, with networks (-compile +with):\n%s", six, d)
		}
	}
}

// TestRangesListed: the ranges of ports are those of what the kernel lists, where nobody
// has told them, and what is added takes their place.
func TestRangesListed(t *testing.T) {
	full, f := rich(), form{mark: firewall.DefaultMark(), failClosed: true, user: true}
	listed := maps.Clone(compile(full, f))
	delete(listed, highPorts)
	delete(listed, remembered)
	if d := cmp.Diff(text(compile(full, f)), text(listed.with(firewall.Delta{}, f))); d != "" {
		t.Errorf("listed (-compile +with):\n%s", d)
	}
	add := []firewall.HighPorts{{Proto: spec.UDP, First: 50000, Last: 50001}, {Proto: spec.TCP, First: 33000, Last: 65535}}
	full.HighPorts = append(add, full.HighPorts[1])
	if d := cmp.Diff(text(compile(full, f)), text(listed.with(firewall.Delta{Add: firewall.Ruleset{HighPorts: add}}, f))); d != "" {
		t.Errorf("added (-compile +with):\n%s", d)
	}
	full.HighPorts = nil
	if d := cmp.Diff(text(compile(full, f)), text(listed.with(firewall.Delta{Remove: firewall.Ruleset{HighPorts: rich().HighPorts}}, f))); d != "" {
		t.Errorf("removed (-compile +with):\n%s", d)
	}
}

// The order of the elements is not the order of the rules.
func TestCompileShuffled(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	want := text(compile(rich(), form{mark: firewall.DefaultMark(), failClosed: true, user: true}))
	for range 50 {
		set := rich()
		rnd.Shuffle(len(set.Networks), reflect.Swapper(set.Networks))
		rnd.Shuffle(len(set.Ports), reflect.Swapper(set.Ports))
		if d := cmp.Diff(want, text(compile(set, form{mark: firewall.DefaultMark(), failClosed: true, user: true}))); d != "" {
			t.Fatalf("order matters:\n%s", d)
		}
	}
}
