package nftables

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/nstest"
)

func apply(t testing.TB, b *Backend, d firewall.Delta) {
	t.Helper()
	if err := b.Apply(context.Background(), d); err != nil {
		t.Fatal(err)
	}
}

func add(t testing.TB, b *Backend, r firewall.Ruleset) {
	t.Helper()
	apply(t, b, firewall.Delta{Add: r})
}

// settled demands that there is nothing to repair.
func settled(t *testing.T, b *Backend, full firewall.Ruleset) {
	t.Helper()
	if repaired, err := b.Sync(context.Background(), full); repaired != nil || err != nil {
		t.Errorf("Sync found %q, %v", repaired, err)
	}
}

func generation(t *testing.T, b *Backend) uint32 {
	t.Helper()
	n, err := b.kernel.generation()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// one is a port beside those of rich.
func one() firewall.Ruleset {
	return firewall.Ruleset{Ports: []firewall.Port{published("a", "9", spec.TCP, "0.0.0.0", 99, 99, "10.200.0.9", 99)}}
}

// narrow are ranges of ports in the place of those of rich.
func narrow() firewall.Ruleset {
	return firewall.Ruleset{HighPorts: []firewall.HighPorts{{Proto: spec.UDP, First: 50000, Last: 50999}, {Proto: spec.TCP, First: 32768, Last: 65534}}}
}

func join(a, b firewall.Ruleset) firewall.Ruleset {
	return firewall.Ruleset{
		Networks: slices.Concat(a.Networks, b.Networks), Ports: slices.Concat(a.Ports, b.Ports), Open: slices.Concat(a.Open, b.Open),
		Peers:  slices.Concat(a.Peers, b.Peers),
		Direct: slices.Concat(a.Direct, b.Direct), PreservedPorts: slices.Concat(a.PreservedPorts, b.PreservedPorts), Outside: slices.Concat(a.Outside, b.Outside),
		Translations: slices.Concat(a.Translations, b.Translations), Inward: slices.Concat(a.Inward, b.Inward),
		NoTransit: a.NoTransit.With(b.NoTransit), HighPorts: slices.Concat(a.HighPorts, b.HighPorts),
	}
}

// The kernel holds what it was given, shows it in nft's own words, and hands
// it back.
func TestKernelHoldsTable(t *testing.T) {
	nstest.Do(t, func() {
		b := start(t)
		if got := sh(t, "nft list ruleset"); got != "" {
			t.Fatalf("New left behind:\n%s", got)
		}
		add(t, b, rich())
		golden(t, "table.golden", sh(t, "nft -s list ruleset"))
		settled(t, b, rich())
		settled(t, start(t), rich())
		apply(t, start(t), firewall.Delta{Remove: rich()})
		if got := sh(t, "nft list ruleset"); got != "" {
			t.Errorf("left over:\n%s", got)
		}
	})
}

// A delta is one transaction, a check none.
func TestTransactions(t *testing.T) {
	nstest.Do(t, func() {
		b := start(t)
		last := generation(t, b)
		for _, step := range []struct {
			name  string
			do    func()
			count uint32
		}{
			{"everything", func() { add(t, b, rich()) }, 1},
			{"the first check", func() { settled(t, b, rich()) }, 0},
			{"one port", func() { add(t, b, one()) }, 1},
			{"the same once more", func() { add(t, b, one()) }, 0},
			{"the next check", func() { settled(t, b, join(rich(), one())) }, 0},
			{"another range", func() { add(t, b, narrow()) }, 1},
			{"the range as before", func() {
				apply(t, b, firewall.Delta{Remove: narrow(), Add: firewall.Ruleset{HighPorts: rich().HighPorts}})
			}, 1},
			{"the check behind it", func() { settled(t, b, join(rich(), one())) }, 0},
			{"remove and add", func() { apply(t, b, firewall.Delta{Remove: join(rich(), one()), Add: rich()}) }, 1},
			{"remove everything", func() { apply(t, b, firewall.Delta{Remove: rich()}) }, 1},
			{"nothing", func() { apply(t, b, firewall.Delta{}) }, 0},
		} {
			step.do()
			now := generation(t, b)
			if now-last != step.count {
				t.Errorf("%s: %d transactions, want %d", step.name, now-last, step.count)
			}
			last = now
		}
	})
}

// What others do to the table between two changes neither breaks the next one
// nor outlives Sync.
func TestChangeBehindOurBack(t *testing.T) {
	full := join(rich(), one())
	for _, damage := range []string{
		"delete table inet gangway", "flush table inet gangway", "flush ruleset",
		"flush map inet gangway port4", "flush set inet gangway masquerade4", "flush map inet gangway range_udp4",
		"add element inet gangway port4 { tcp . 99 : 10.9.9.9 . 99 }",
		"add element inet gangway port4 { tcp . 98 comment \"mine\" : 10.9.9.9 . 99 }",
		"add element inet gangway within { \"x\" . \"y\" : accept }",
		"add element inet gangway masquerade4 { 10.1.0.0/16 }",
		"add element inet gangway range_tcp4 { 5-9 : 10.0.0.1 }",
		"add chain inet gangway mine", "add set inet gangway mine { type ipv4_addr; }",
		"add table ip gangway-mine",
		"insert rule inet gangway apply_mark return",
		"delete element inet gangway range_udp4 { 20000-29999 }",
		"delete element inet gangway masquerade6 { fd00:a::/64 }",
		"delete element inet gangway external { \"gw-aaaaaaaaaaaa\" }",
		"add table inet gangway { flags dormant; }",
		"flush chain inet gangway high_port4", "flush chain inet gangway high_port6",
		"insert rule inet gangway high_port4 meta l4proto udp masquerade to :1024-1025",
		"insert rule inet gangway high_port6 meta l4proto udp ip6 saddr @masquerade6 masquerade to :32768-65535 fully-random",
		"delete table inet gangway; add table inet gangway",
		"delete table inet gangway; add table inet gangway; add set inet gangway port4 { type ipv4_addr; }",
	} {
		t.Run(damage, func(t *testing.T) {
			nstest.Do(t, func() {
				b := start(t)
				add(t, b, rich())
				sh(t, "nft '%s'", damage)
				add(t, b, one())
				if _, err := b.Sync(context.Background(), full); err != nil {
					t.Fatal(err)
				}
				settled(t, b, full)
				settled(t, start(t), full)
				apply(t, b, firewall.Delta{Remove: one()})
				golden(t, "table.golden", sh(t, "nft -s list table inet gangway"))
			})
		})
	}
}

// TestRangesAnew: the range of ports that rules give is what was told last, without
// being told what it was before, and it is found when somebody else changes it.
func TestRangesAnew(t *testing.T) {
	nstest.Do(t, func() {
		b := start(t)
		add(t, b, rich())
		table := func() string { return sh(t, "nft -a list table inet gangway | head -1") }
		was, full := table(), rich()
		full.HighPorts = append(narrow().HighPorts, full.HighPorts[1])
		add(t, start(t), narrow())
		settled(t, start(t), full)
		add(t, start(t), firewall.Ruleset{HighPorts: rich().HighPorts})
		got, err := start(t).Sync(context.Background(), full)
		if want := []string{"chains high_port4 and high_port6 had another range of ports"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("another range: %q, %v", got, err)
		}
		settled(t, start(t), full)
		if is := table(); is != was {
			t.Errorf("the table was made anew: %s, was %s", is, was)
		}
		if list := sh(t, "nft list chain inet gangway high_port6"); strings.Count(list, "meta l4proto udp ip6 saddr @masquerade6 masquerade to :50000-50999 fully-random") != 1 || strings.Contains(list, "51819") {
			t.Errorf("the kernel has\n%s", list)
		}
	})
}

// What Sync repairs, it names.
func TestRepairs(t *testing.T) {
	for damage, want := range map[string][]string{
		"delete table inet gangway":                                  {"table inet gangway was missing"},
		"flush chain inet gangway apply_mark":                        {"chain apply_mark lacked 2 rules, had 0 others"},
		"add rule inet gangway apply_mark return":                    {"chain apply_mark lacked 0 rules, had 1 others"},
		"add chain inet gangway mine":                                {"chain mine was not gangway's"},
		"add set inet gangway mine { type mark; }":                   {"set mine was not gangway's"},
		"flush chain inet gangway high_port6":                        {"chain high_port6 lacked 6 rules, had 0 others"},
		"flush set inet gangway external":                            {"set external lacked 5 elements, had 0 others"},
		"add element inet gangway external { \"x\" }":                {"set external lacked 0 elements, had 1 others"},
		"add rule inet gangway deny meta mark set meta mark and 0x1": {"chain deny lacked 0 rules, had 1 others"},
	} {
		t.Run(damage, func(t *testing.T) {
			nstest.Do(t, func() {
				b := start(t)
				add(t, b, rich())
				sh(t, "nft '%s'", damage)
				got, err := b.Sync(context.Background(), rich())
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Error(d)
				}
				golden(t, "table.golden", sh(t, "nft -s list ruleset"))
			})
		})
	}
}

// A change of many megabytes is one transaction, too: every port of a protocol
// in both families, none of which can be part of an interval.
func TestAllPortsShifted(t *testing.T) {
	nstest.Do(t, func() {
		b := start(t)
		networks := firewall.Ruleset{Networks: rich().Networks}
		add(t, b, networks)
		before := generation(t, b)
		all := firewall.Ruleset{Ports: []firewall.Port{
			published("a", "1", spec.UDP, "0.0.0.0", 2, 65535, "10.200.0.2", 1),
			published("a", "1", spec.UDP, "2001:db8::1", 2, 65535, "fd00:a::2", 1),
		}}
		add(t, b, all)
		if n := generation(t, b) - before; n != 1 {
			t.Errorf("%d transactions", n)
		}
		settled(t, start(t), join(networks, all))
		apply(t, b, firewall.Delta{Remove: all})
		settled(t, start(t), networks)
	})
}

// fakeForwardHook takes note of what it is told, and of whether the table was there.
type fakeForwardHook struct {
	t     *testing.T
	calls []string
	err   error
	// absent says that no iptables needs the FORWARD hook.
	absent bool
}

func (g *fakeForwardHook) Sync(_ context.Context, want firewall.ForwardHook, _ bool) ([]string, error) {
	call := "close"
	switch {
	case want.Networks:
		call = "open"
	case want.NoTransit != firewall.Families{}:
		call = "families"
	}
	if strings.Contains(sh(g.t, "nft list tables"), "inet gangway") {
		call += " with table"
	}
	g.calls = append(g.calls, call)
	return nil, g.err
}

func (g *fakeForwardHook) Placed() bool     { return !g.absent }
func (g *fakeForwardHook) UsesLegacy() bool { return false }

// The FORWARD hook never stands open without the table behind it.
func TestForwardHookOrder(t *testing.T) {
	nstest.Do(t, func() {
		g := &fakeForwardHook{t: t}
		b := start(t)
		b.forwardHook = forwardHook{iptables: g}
		networks := firewall.Ruleset{Networks: rich().Networks}
		add(t, b, networks)
		add(t, b, one())
		apply(t, b, firewall.Delta{Remove: join(networks, one())})
		settledWith(t, b, firewall.Ruleset{})
		if _, err := b.Sync(context.Background(), networks); err != nil {
			t.Fatal(err)
		}
		settledWith(t, b, networks)
		if _, err := b.Sync(context.Background(), firewall.Ruleset{}); err != nil {
			t.Fatal(err)
		}
		want := []string{"open with table", "close with table", "close", "open with table", "open with table", "close with table"}
		if d := cmp.Diff(want, g.calls); d != "" {
			t.Error(d)
		}
	})
}

// A family without transit keeps the FORWARD hook when the last network goes.
func TestForwardHookOfClosed(t *testing.T) {
	nstest.Do(t, func() {
		g := &fakeForwardHook{t: t}
		b := start(t)
		b.forwardHook = forwardHook{iptables: g}
		networks, closed := firewall.Ruleset{Networks: rich().Networks}, firewall.Ruleset{NoTransit: firewall.Families{V6: true}}
		add(t, b, networks)
		add(t, b, closed)
		apply(t, b, firewall.Delta{Remove: networks})
		settledWith(t, b, closed)
		apply(t, b, firewall.Delta{Remove: closed})
		want := []string{"open with table", "open with table", "families with table", "families with table", "close"}
		if d := cmp.Diff(want, g.calls); d != "" {
			t.Error(d)
		}
	})
}

// A change asks for the FORWARD hook once more as soon as an iptables has come, and looks
// for one only where others have changed nf_tables.
func TestForwardHookLate(t *testing.T) {
	nstest.Do(t, func() {
		g := &fakeForwardHook{t: t, absent: true}
		b := start(t)
		b.forwardHook = forwardHook{iptables: g}
		add(t, b, firewall.Ruleset{Networks: rich().Networks})
		change := func(calls int) {
			t.Helper()
			add(t, b, one())
			apply(t, b, firewall.Delta{Remove: one()})
			if len(g.calls) != calls {
				t.Errorf("FORWARD hook was told %v, want %d calls", g.calls, calls)
			}
		}
		change(1)
		if looked, now := b.forwardHook.looked, generation(t, b); looked != now {
			t.Errorf("last looked at generation %d, now it is %d: own changes were taken for those of others", looked, now)
		}
		sh(t, "nft add table ip other")
		change(1)
		sh(t, "nft add table ip filter")
		sh(t, "nft add chain ip filter FORWARD")
		change(2)
		change(2)
	})
}

func settledWith(t *testing.T, b *Backend, full firewall.Ruleset) {
	t.Helper()
	settled(t, b, full)
}

// A network that cannot be let through iptables is not there.
func TestForwardHookFails(t *testing.T) {
	nstest.Do(t, func() {
		broken := errors.New("iptables is broken")
		b := start(t)
		add(t, b, one())
		before := sh(t, "nft -s list ruleset")
		b.forwardHook = forwardHook{iptables: &fakeForwardHook{t: t, err: broken}}
		err := b.Apply(context.Background(), firewall.Delta{Add: firewall.Ruleset{Networks: rich().Networks}})
		if !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
		if d := cmp.Diff(before, sh(t, "nft -s list ruleset")); d != "" {
			t.Errorf("left behind:\n%s", d)
		}
	})
}

func TestExplain(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{unix.EPERM, "CAP_NET_ADMIN"},
		{unix.EMSGSIZE, "send buffer"},
		{unix.EOPNOTSUPP, "GANGWAY_FIREWALL=iptables"},
		{unix.EBUSY, unix.EBUSY.Error()},
	} {
		if got := explain(c.err); !errors.Is(got, c.err) || !strings.Contains(got.Error(), c.want) {
			t.Errorf("%v is explained as %q, want %q", c.err, got, c.want)
		}
	}
	if !errors.Is(explain(unix.EOPNOTSUPP), ErrUnsupported) {
		t.Error("EOPNOTSUPP is not ErrUnsupported")
	}
}
