package iptables

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/golden"
	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

// start makes a backend of one variant, as if the engine used that one.
func start(t *testing.T, v variant) *Backend {
	t.Helper()
	b, err := New(context.Background(), Options{Log: testkit.Quiet(), Mark: firewall.DefaultMark()})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(b.installed, v) {
		t.Fatalf("iptables-%s is not installed", v)
	}
	b.variant, b.installed = v, []variant{v}
	return b
}

func sh(t *testing.T, format string, args ...any) string {
	t.Helper()
	command := fmt.Sprintf(format, args...)
	out, err := exec.Command("sh", "-c", command).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

var noise = regexp.MustCompile(`(?m)^(#.*\n|:.* (ACCEPT|-) \[\d+:\d+\]\n|\*.*\n|COMMIT\n)`)

// ruleDump lists the rules of both families, without tables and counters.
func ruleDump(t *testing.T, v variant) string {
	t.Helper()
	both := ""
	for _, six := range []bool{false, true} {
		for _, table := range tables {
			dump := sh(t, "%s -t %s 2>/dev/null", v.command(six, "save"), table)
			both += strings.TrimSuffix(v.command(six, ""), "-"+string(v)) + " " + table + "\n" + noise.ReplaceAllString(dump, "")
		}
	}
	return both
}

// eachVariant runs a test in a namespace of its own for each variant.
func eachVariant(t *testing.T, f func(t *testing.T, b *Backend)) {
	for _, v := range []variant{nft, legacy} {
		t.Run(string(v), func(t *testing.T) {
			nstest.Do(t, func() { f(t, start(t, v)) })
		})
	}
}

// engineRules puts an engine's rules where they belong, beside a user's.
func engineRules(t *testing.T, v variant) {
	t.Helper()
	sh(t, `%s --noflush <<'END'
*filter
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -j DOCKER
-A DOCKER-USER -s 192.0.2.66/32 -j DROP
COMMIT
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
COMMIT
END`, v.command(false, "restore"))
}

// The kernel holds the same rules whichever variant took them, and hands them
// back in the words they were given in.
func TestKernelHoldsRules(t *testing.T) {
	ctx := context.Background()
	eachVariant(t, func(t *testing.T, b *Backend) {
		engineRules(t, b.variant)
		before := ruleDump(t, b.variant)
		if err := b.Apply(ctx, firewall.Delta{Add: rich()}); err != nil {
			t.Fatal(err)
		}
		golden.Compare(t, "testdata/kernel.golden", ruleDump(t, b.variant))
		if repaired, err := b.Sync(ctx, rich()); repaired != nil || err != nil {
			t.Errorf("Sync found %q, %v", repaired, err)
		}
		if err := b.Apply(ctx, firewall.Delta{Remove: rich()}); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(before, ruleDump(t, b.variant)); d != "" {
			t.Errorf("left over:\n%s", d)
		}
	})
}

// What others do to the rules between two changes neither breaks the next one
// nor outlives Sync.
func TestChangeBehindOurBack(t *testing.T) {
	ctx := context.Background()
	one := firewall.Delta{Add: firewall.Ruleset{Ports: []firewall.Port{port("a", "9", spec.TCP, "0.0.0.0", 99, 99, "10.200.0.9", 99)}}}
	full := rich()
	full.Ports = append(full.Ports, one.Add.Ports...)
	for _, damage := range []string{
		"%[1]s -F", "%[1]s -t nat -F", "%[1]s -F; %[1]s -X", "%[1]s -t nat -F; %[1]s -t nat -X",
		"%[1]s -t nat -D GANGWAY-DNAT 1", "%[1]s -t nat -I GANGWAY-DNAT -j RETURN", "%[1]s -D FORWARD -j GANGWAY-FORWARD",
		"%[1]s -A FORWARD -j GANGWAY-FORWARD", "%[1]s -t nat -N GANGWAY-OLD", "%[1]s -P FORWARD DROP",
		"echo '*nat\n-A OUTPUT -j RETURN\nCOMMIT' | %[1]s-restore",
	} {
		t.Run(damage, func(t *testing.T) {
			eachVariant(t, func(t *testing.T, b *Backend) {
				if err := b.Apply(ctx, firewall.Delta{Add: rich()}); err != nil {
					t.Fatal(err)
				}
				sh(t, damage, b.variant.command(false, ""))
				if err := b.Apply(ctx, one); err != nil {
					t.Fatal(err)
				}
				if _, err := b.Sync(ctx, full); err != nil {
					t.Fatal(err)
				}
				if again, err := b.Sync(ctx, full); again != nil || err != nil {
					t.Errorf("the second Sync found %q, %v", again, err)
				}
				is, err := b.list(ctx, false)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(text(compile(full, form{})), text(is.own)); d != "" {
					t.Errorf("(-want +got)\n%s", d)
				}
			})
		})
	}
}

// broken puts a command into PATH that fails for one table, and takes the rest.
func broken(t *testing.T, b *Backend, table string) (repair func()) {
	t.Helper()
	dir, name := t.TempDir(), b.variant.command(false, "restore")
	real, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\nsed '/^[*]%[1]s$/{n;s/.*/-A GANGWAY-NONE -j ACCEPT/}' | %[2]s \"$@\"\n", table, real)
	if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	path := os.Getenv("PATH")
	os.Setenv("PATH", dir+":"+path)
	t.Cleanup(func() { os.Setenv("PATH", path) })
	return func() { os.Setenv("PATH", path) }
}

// When one table fails, the tables that went before it are taken back. As long
// as the kernel refuses that too, the error says so and the next Sync repairs it.
func TestFailureInOneTable(t *testing.T) {
	ctx := context.Background()
	for _, table := range []string{"filter", "nat", "raw"} {
		t.Run(table, func(t *testing.T) {
			eachVariant(t, func(t *testing.T, b *Backend) {
				engineRules(t, b.variant)
				before := ruleDump(t, b.variant)
				repair := broken(t, b, table)
				err := b.Apply(ctx, firewall.Delta{Add: rich()})
				if err == nil || !strings.Contains(err.Error(), "change the rules: run iptables-") || !strings.Contains(err.Error(), "failed") {
					t.Errorf("error %v", err)
				}
				if d := cmp.Diff(before, ruleDump(t, b.variant)); d != "" {
					t.Errorf("not as before:\n%s", d)
				}
				repair()
				if err := b.Apply(ctx, firewall.Delta{Add: rich()}); err != nil {
					t.Fatal(err)
				}
				if repaired, err := b.Sync(ctx, rich()); repaired != nil || err != nil {
					t.Errorf("Sync found %q, %v", repaired, err)
				}
			})
		})
	}
}

// What a change did not do because it failed is not forgotten with it: the next one
// brings back what others have taken away meanwhile.
func TestFlushAfterFailure(t *testing.T) {
	ctx := context.Background()
	one := firewall.Delta{Add: firewall.Ruleset{Ports: []firewall.Port{port("a", "9", spec.TCP, "0.0.0.0", 99, 99, "10.200.0.9", 99)}}}
	eachVariant(t, func(t *testing.T, b *Backend) {
		if _, err := b.Sync(ctx, rich()); err != nil {
			t.Fatal(err)
		}
		before := ruleDump(t, b.variant)
		repair := broken(t, b, "nat")
		if err := b.Apply(ctx, one); err == nil {
			t.Fatal("no error")
		}
		repair()
		for _, table := range tables {
			sh(t, "%[1]s -t %[2]s -F; %[1]s -t %[2]s -X", b.variant.command(false, ""), table)
		}
		if err := b.Apply(ctx, one); err != nil {
			t.Fatal(err)
		}
		if err := b.Apply(ctx, firewall.Delta{Remove: one.Add}); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(before, ruleDump(t, b.variant)); d != "" {
			t.Error(d)
		}
	})
}

// DOCKER-USER is asked as soon as there is one, and can go with the engine.
func TestUserChain(t *testing.T) {
	ctx := context.Background()
	one := firewall.Ruleset{Ports: []firewall.Port{port("a", "9", spec.TCP, "0.0.0.0", 99, 99, "10.200.0.9", 99)}}
	ask := "-A GANGWAY-FORWARD -j DOCKER-USER"
	eachVariant(t, func(t *testing.T, b *Backend) {
		if _, err := b.Sync(ctx, rich()); err != nil {
			t.Fatal(err)
		}
		bare := ruleDump(t, b.variant)
		for range 2 {
			engineRules(t, b.variant)
			for _, d := range []firewall.Delta{{Add: one}, {Remove: one}} {
				if err := b.Apply(ctx, d); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := b.Sync(ctx, rich()); err != nil {
				t.Fatal(err)
			}
			if rules := ruleDump(t, b.variant); !strings.Contains(rules, ask) {
				t.Errorf("nobody asks DOCKER-USER:\n%s", rules)
			}
			for _, table := range tables {
				sh(t, "%[1]s -t %[2]s -F; %[1]s -t %[2]s -X", b.variant.command(false, ""), table)
			}
			for _, d := range []firewall.Delta{{Add: one}, {Remove: one}} {
				if err := b.Apply(ctx, d); err != nil {
					t.Fatal(err)
				}
			}
			if d := cmp.Diff(bare, ruleDump(t, b.variant)); d != "" {
				t.Error(d)
			}
		}
	})
}

// An engine that starts after gangway and uses the other variant takes the
// rules along.
func TestFollowEngine(t *testing.T) {
	ctx := context.Background()
	for _, to := range []variant{nft, legacy} {
		t.Run(string(to), func(t *testing.T) {
			nstest.Do(t, func() {
				b, err := New(ctx, Options{Log: testkit.Quiet(), Mark: firewall.DefaultMark()})
				if err != nil {
					t.Fatal(err)
				}
				from := nft
				if to == nft {
					from = legacy
				}
				b.variant = from
				if err = b.Apply(ctx, firewall.Delta{Add: rich()}); err != nil {
					t.Fatal(err)
				}
				engineRules(t, to)
				if _, err = b.Sync(ctx, rich()); err != nil {
					t.Fatal(err)
				}
				golden.Compare(t, "testdata/kernel.golden", ruleDump(t, to))
				if left := ruleDump(t, from); strings.Contains(left, "-A") {
					t.Errorf("left in %s:\n%s", from, left)
				}
				again, err := b.Sync(ctx, rich())
				if again != nil || err != nil {
					t.Errorf("the second Sync found %q, %v", again, err)
				}
				// A new daemon starts there.
				next, err := New(ctx, Options{Log: testkit.Quiet(), Mark: firewall.DefaultMark()})
				if err != nil || next.variant != to {
					t.Errorf("a new backend uses %q, %v", next.variant, err)
				}
				if err = next.Cleanup(ctx); err != nil {
					t.Error(err)
				}
				if left := ruleDump(t, to); strings.Contains(left, "GANGWAY") {
					t.Errorf("left by Cleanup:\n%s", left)
				}
			})
		})
	}
}

// A change whose caller gave up is taken back.
func TestCancelled(t *testing.T) {
	eachVariant(t, func(t *testing.T, b *Backend) {
		before := ruleDump(t, b.variant)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := b.Apply(ctx, firewall.Delta{Add: rich()}); err == nil {
			t.Error("no error")
		}
		if d := cmp.Diff(before, ruleDump(t, b.variant)); d != "" {
			t.Error(d)
		}
	})
}

func TestMissingCommands(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := New(context.Background(), Options{Log: testkit.Quiet(), Mark: firewall.DefaultMark()})
	if err == nil || !strings.Contains(err.Error(), "apt-get install iptables") {
		t.Errorf("error %v", err)
	}
}

func TestMissingPrivilege(t *testing.T) {
	if os.Getenv("GANGWAY_TEST_UNPRIVILEGED") != "" {
		_, err := New(context.Background(), Options{Log: testkit.Quiet(), Mark: firewall.DefaultMark()})
		t.Fatalf("New says: %v", err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("setpriv", "--bounding-set=-net_admin,-net_raw", exe, "-test.run=^TestMissingPrivilege$")
	cmd.Env = append(os.Environ(), "GANGWAY_TEST_UNPRIVILEGED=1")
	out, _ := cmd.CombinedOutput()
	if !strings.Contains(string(out), "gangway needs root or CAP_NET_ADMIN") {
		t.Errorf("it says:\n%s", out)
	}
}

// A table that iptables cannot read is named.
func TestIncompatibleTable(t *testing.T) {
	nstest.Do(t, func() {
		sh(t, "nft 'add table ip nat; add chain ip nat PREROUTING { type nat hook prerouting priority -100; }; add rule ip nat PREROUTING meta mark set numgen inc mod 2'")
		_, err := New(context.Background(), Options{Log: testkit.Quiet(), Mark: firewall.DefaultMark()})
		if err == nil || !strings.Contains(err.Error(), "cannot read table nat") {
			t.Errorf("error %v", err)
		}
	})
}

func bareRules() rules { return rules(bare()) }
