package nftables

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

// dumped is what nft shows of all rules, with the handles by which a table that
// was made anew is told from the same one.
func dumped(t testing.TB) string { return sh(t, "nft -a list ruleset") }

// refused runs an nft command that must fail with EPERM.
func refused(t *testing.T, command string) {
	t.Helper()
	out, err := exec.Command("nft", command).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "Operation not permitted") {
		t.Errorf("nft %s: %v\n%s", command, err, out)
	}
}

// What others do to a table with an owner is refused, or leaves it out.
func TestOwnedTable(t *testing.T) {
	nstest.Do(t, func() {
		b := startOwner(t)
		add(t, b, rich())
		want, last := dumped(t), generation(t, b)
		if d := cmp.Diff(inOneForm(readGolden(t, "table.golden")), inOneForm(unowned(sh(t, "nft -s list ruleset")))); d != "" {
			t.Errorf("the content differs from that of a table without owner:\n%s", d)
		}
		sh(t, "nft add table inet other")
		sh(t, "nft flush ruleset")
		for _, command := range []string{
			"delete table inet gangway", "flush table inet gangway", "add table inet gangway { flags dormant; }",
			"flush map inet gangway port4", "add chain inet gangway mine", "insert rule inet gangway apply_mark return",
			"flush chain inet gangway apply_mark", "delete element inet gangway external { \"gw-aaaaaaaaaaaa\" }",
		} {
			refused(t, command)
		}
		if d := cmp.Diff(want, dumped(t)); d != "" {
			t.Errorf("others have changed the table:\n%s", d)
		}
		if now := generation(t, b); now == last {
			t.Error("nobody has changed anything")
		}
		settled(t, b, rich())
		add(t, b, one())
		settled(t, b, join(rich(), one()))
		apply(t, b, firewall.Delta{Remove: join(rich(), one())})
		if got := dumped(t); got != "" {
			t.Errorf("left over:\n%s", got)
		}
	})
}

// unowned takes out of nft's output what it says about the owner.
func unowned(out string) string {
	lines := strings.SplitAfter(out, "\n")
	head, _, _ := strings.Cut(lines[0], " #")
	lines[0] = strings.TrimSuffix(head, "\n") + "\n"
	if len(lines) > 3 && strings.HasPrefix(lines[1], "\tflags") {
		lines = append(lines[:1], lines[3:]...)
	}
	return strings.Join(lines, "")
}

// The end of the owner leaves an orphan, which the next one adopts as it is:
// with its first check, or with its first change if that comes before.
func TestOrphan(t *testing.T) {
	for name, first := range map[string]func(t *testing.T, b *Backend) (transactions uint32, full firewall.Ruleset){
		"check": func(t *testing.T, b *Backend) (uint32, firewall.Ruleset) { settled(t, b, rich()); return 1, rich() },
		"change": func(t *testing.T, b *Backend) (uint32, firewall.Ruleset) {
			add(t, b, one())
			return 1, join(rich(), one())
		},
	} {
		t.Run(name, func(t *testing.T) {
			nstest.Do(t, func() {
				b := startOwner(t)
				add(t, b, rich())
				handle := tableHandle(t)
				owned := sh(t, "nft list ruleset")
				b.Close()
				if d := cmp.Diff(unowned(owned), unowned(sh(t, "nft list ruleset"))); d != "" {
					t.Errorf("the orphan differs:\n%s", d)
				}
				next := startOwner(t)
				before := generation(t, next)
				want, full := first(t, next)
				if n := generation(t, next) - before; n != want {
					t.Errorf("%d transactions, want %d", n, want)
				}
				refused(t, "delete table inet gangway")
				settled(t, next, full)
				apply(t, next, firewall.Delta{Remove: one()})
				if d := cmp.Diff(owned, sh(t, "nft list ruleset")); d != "" {
					t.Errorf("the adopted table differs:\n%s", d)
				}
				if got := tableHandle(t); got != handle {
					t.Errorf("made anew: %s, was %s", got, handle)
				}
			})
		})
	}
}

// tableHandle is the number by which the kernel knows the table.
func tableHandle(t *testing.T) string {
	t.Helper()
	head, _, _ := strings.Cut(dumped(t), "\n")
	_, handle, ok := strings.Cut(head, "# handle ")
	if !ok {
		t.Fatalf("no handle in %q", head)
	}
	return handle
}

// What was done to an orphan is repaired, and it has an owner again.
func TestDamagedOrphan(t *testing.T) {
	for damage, want := range map[string][]string{
		"flush ruleset": {"table inet gangway was missing"},
		"add rule inet gangway apply_mark return":     {"chain apply_mark lacked 0 rules, had 1 others"},
		"flush set inet gangway external":             {"set external lacked 5 elements, had 0 others"},
		"add table inet gangway { flags dormant; }":   nil, // a plain table has other flags: refused
		"delete table inet gangway":                   {"table inet gangway was missing"},
		"add element inet gangway external { \"x\" }": {"set external lacked 0 elements, had 1 others"},
	} {
		t.Run(damage, func(t *testing.T) {
			nstest.Do(t, func() {
				b := startOwner(t)
				add(t, b, rich())
				owned := sh(t, "nft -s list ruleset")
				b.Close()
				sh(t, "nft '%s' || true", damage)
				next := startOwner(t)
				got, err := next.Sync(context.Background(), rich())
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Error(d)
				}
				settled(t, next, rich())
				refused(t, "flush table inet gangway")
				if d := cmp.Diff(owned, sh(t, "nft -s list ruleset")); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

// A connection that was lost is followed by another one, which adopts.
func TestReconnect(t *testing.T) {
	nstest.Do(t, func() {
		b := startOwner(t)
		add(t, b, rich())
		handle := tableHandle(t)
		for range 50 {
			b.kernel.close()
			add(t, b, one())
			b.kernel.close()
			settled(t, b, join(rich(), one()))
			refused(t, "delete table inet gangway")
			b.kernel.close()
			apply(t, b, firewall.Delta{Remove: one()})
			b.kernel.close()
			if _, err := b.kernel.list(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		settled(t, b, rich())
		if got := tableHandle(t); got != handle {
			t.Errorf("made anew: %s, was %s", got, handle)
		}
	})
}

// A refused transaction neither ends the ownership nor leaves answers behind.
func TestRefusedTransaction(t *testing.T) {
	nstest.Do(t, func() {
		b := startOwner(t)
		add(t, b, rich())
		want := dumped(t)
		for range 3 {
			missing := compile(one())
			if err := b.kernel.commit(transaction{table: tableName, gone: missing}); err == nil {
				t.Fatal("what is not there was deleted")
			}
			if !b.kernel.owns {
				t.Fatal("the table was given up")
			}
		}
		if d := cmp.Diff(want, dumped(t)); d != "" {
			t.Errorf("changed by refused transactions:\n%s", d)
		}
		settled(t, b, rich())
	})
}

// The table of an earlier version, or of an older kernel, becomes one with an
// owner in one transaction, which is told once and as no repair; connections
// stay.
func TestUpgrade(t *testing.T) {
	for name, first := range map[string]func(t *testing.T, b *Backend) (count uint32, full firewall.Ruleset){
		"check": func(t *testing.T, b *Backend) (uint32, firewall.Ruleset) { settled(t, b, rich()); return 1, rich() },
		"change": func(t *testing.T, b *Backend) (uint32, firewall.Ruleset) {
			add(t, b, one())
			return 2, join(rich(), one())
		},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.NeedKernel(t, 6, 9)
			nstest.Do(t, func() {
				old := start(t)
				add(t, old, rich())
				old.Close()
				ask := connected(t, old)
				var log bytes.Buffer
				b := startWith(t, Options{Log: logged(&log), Mark: firewall.DefaultMark()})
				before := generation(t, b)
				want, full := first(t, b)
				if n := generation(t, b) - before; n != want {
					t.Errorf("%d transactions, want %d", n, want)
				}
				if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "level=info") {
					t.Errorf("told:\n%s", &log)
				}
				ask()
				settled(t, b, full)
				apply(t, b, firewall.Delta{Remove: one()})
				refused(t, "delete table inet gangway")
				if d := cmp.Diff(inOneForm(readGolden(t, "table.golden")), inOneForm(unowned(sh(t, "nft -s list ruleset")))); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

func logged(to *bytes.Buffer) *logrus.Entry {
	log := logrus.New()
	log.SetOutput(to)
	return logrus.NewEntry(log)
}

// connected opens a connection of the host to a published port, which leads to
// another address of its own, and returns how to use it once more.
func connected(t *testing.T, b *Backend) (ask func()) {
	t.Helper()
	sh(t, "ip link set lo up; ip addr add 10.200.0.9/32 dev lo; ip addr add 10.200.7.1/32 dev lo")
	l, err := net.Listen("tcp", "10.200.0.9:4099")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	port := firewall.Ruleset{Ports: []firewall.Port{published("a", "8", spec.TCP, "10.200.7.1", 99, 99, "10.200.0.9", 4099)}}
	add(t, b, port)
	client, err := net.Dial("tcp", "10.200.7.1:99")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	apply(t, b, firewall.Delta{Remove: port})
	b.Close()
	return func() {
		t.Helper()
		for from, to := range map[net.Conn]net.Conn{client: server, server: client} {
			got := make([]byte, 5)
			_ = to.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := fmt.Fprint(from, "hello"); err != nil {
				t.Error(err)
			}
			if _, err := to.Read(got); err != nil || string(got) != "hello" {
				t.Errorf("got %q, %v", got, err)
			}
		}
	}
}

// An earlier version, which knows nothing of owners, goes on with the orphan:
// it deletes it and makes its own in one transaction.
func TestDowngrade(t *testing.T) {
	nstest.Do(t, func() {
		b := startOwner(t)
		add(t, b, rich())
		b.Close()
		old := start(t)
		before := generation(t, old)
		lines, err := old.Sync(context.Background(), rich())
		if err != nil || len(lines) != 1 {
			t.Errorf("repaired %q, %v", lines, err)
		}
		if n := generation(t, old) - before; n != 1 {
			t.Errorf("%d transactions", n)
		}
		settled(t, old, rich())
		golden(t, "table.golden", sh(t, "nft -s list ruleset"))
	})
}

// Of two that want the table, the second one is told why it cannot have it, and
// takes over as soon as the first one is gone.
func TestTwoOwners(t *testing.T) {
	for name, o := range map[string]Options{"owner": {Log: quiet()}, "earlier version": {Log: quiet(), Shared: true, NoFailClosed: true}} {
		t.Run(name, func(t *testing.T) {
			nstest.Do(t, func() {
				b, second := startOwner(t), startWith(t, o)
				add(t, b, rich())
				want := dumped(t)
				_, syncs := second.Sync(context.Background(), one())
				for what, err := range map[string]error{
					"check":   syncs,
					"change":  second.Apply(context.Background(), firewall.Delta{Add: one()}),
					"cleanup": second.Cleanup(context.Background()),
				} {
					if !errors.Is(err, errOwned) || !strings.Contains(err.Error(), "end the process") {
						t.Errorf("%s: %v", what, err)
					}
				}
				if d := cmp.Diff(want, dumped(t)); d != "" {
					t.Error(d)
				}
				settled(t, b, rich())
				time.AfterFunc(releaseTime/10, b.Close) // a process that takes a moment to end
				if err := second.Cleanup(context.Background()); err != nil {
					t.Error(err)
				}
				if got := dumped(t); got != "" {
					t.Errorf("left over:\n%s", got)
				}
			})
		})
	}
}

// A kernel that does not know the flags says so, and is tried without.
func TestUnknownFlags(t *testing.T) {
	nstest.Do(t, func() {
		b := startOwner(t)
		if err := b.kernel.try(flagOwner | flagPersist | 1<<20); !errors.Is(err, errNoOwner) {
			t.Errorf("unknown flags: %v", err)
		}
		if err := b.kernel.probe(true); err != nil || b.kernel.flags != 0 {
			t.Errorf("flags %#x, %v", b.kernel.flags, err)
		}
		add(t, b, rich())
		golden(t, "table.golden", sh(t, "nft -s list ruleset"))
	})
}

// TestOwnerIsNotListed: what others do to rules of their own costs the owner of
// the table no look at it. A backend that is made to believe in less than there is
// finds out only where it does look.
func TestOwnerIsNotListed(t *testing.T) {
	for name, begin := range map[string]func(testing.TB) *Backend{"owner": startOwner, "shared": start} {
		t.Run(name, func(t *testing.T) {
			nstest.Do(t, func() {
				b := begin(t)
				add(t, b, join(rich(), one()))
				settled(t, b, join(rich(), one()))
				b.known.change(b.known.delta(firewall.Delta{Remove: one()}))
				sh(t, "nft add table inet other")
				lines, err := b.Sync(t.Context(), rich())
				if err != nil {
					t.Fatal(err)
				}
				if looked := len(lines) > 0; looked == b.kernel.owns {
					t.Errorf("repaired %q, and owns the table: %t", lines, b.kernel.owns)
				}
			})
		})
	}
}
