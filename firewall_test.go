package main

import (
	"context"
	"errors"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

// output runs a command in the namespace of the test.
func output(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v", name, args, err)
	}
	return string(out)
}

// gangwayRules says what there is of gangway in nf_tables and in iptables.
func gangwayRules(t *testing.T) (table bool, saved string) {
	t.Helper()
	for line := range strings.Lines(output(t, "", "iptables-nft-save")) {
		if strings.Contains(line, "GANGWAY-") {
			saved += line
		}
	}
	return strings.Contains(output(t, "", "nft", "list", "tables"), "inet gangway\n"), saved
}

// A host whose setting changes from one backend to the other has no rule of the
// first one left after the first check, and those of the second at once.
func TestFirewallSwitch(t *testing.T) {
	network := firewall.Ruleset{Networks: []firewall.Network{{
		ID: strings.Repeat("a", 64), Bridge: "gw-aaaaaaaaaaaa", ICC: true,
		Masquerade: []netip.Prefix{netip.MustParsePrefix("10.200.0.0/24")},
	}}}
	for _, order := range [][]string{{"nftables", "iptables"}, {"iptables", "nftables"}, {"nftables", "iptables", "nftables"}} {
		t.Run(strings.Join(order, " then "), func(t *testing.T) {
			nstest.Do(t, func() {
				// What an engine has: with it the nftables backend needs iptables, too.
				output(t, "*filter\n:FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\nCOMMIT\n", "iptables-nft-restore")
				last := func() {}
				for _, setting := range order {
					last() // as its process ends
					b, err := newFirewall(t.Context(), setting, firewall.DefaultMark(), testkit.Quiet())
					if err != nil {
						t.Fatal(err)
					}
					if c, ok := b.(interface{ Close() }); ok {
						last = c.Close
						t.Cleanup(c.Close)
					}
					if b.Name() != setting {
						t.Fatalf("%s: the backend is %s", setting, b.Name())
					}
					if _, err := b.Sync(t.Context(), network); err != nil {
						t.Fatal(err)
					}
					if p := firewall.ProtectionOf(b); p.Meaning() == "" {
						t.Errorf("%s: the protection is %q", setting, p)
					}
					table, saved := gangwayRules(t)
					if want := setting == "nftables"; table != want {
						t.Errorf("%s: table inet gangway is there: %t", setting, table)
					}
					if hook := strings.Contains(saved, "--mark 0x4000000/0xc000000 -j ACCEPT"); hook != (setting == "nftables") {
						t.Errorf("%s: the FORWARD hook is there: %t", setting, hook)
					}
					if masquerade := strings.Contains(saved, "MASQUERADE"); masquerade != (setting == "iptables") {
						t.Errorf("%s: iptables masquerade: %t", setting, masquerade)
					}
					if lines, err := b.Sync(t.Context(), network); lines != nil || err != nil {
						t.Errorf("%s: the second check repaired %q, %v", setting, lines, err)
					}
				}
			})
		})
	}
}

// Beside an engine in nftables mode the backend is nftables, and stays out of
// the iptables that are installed, but decide nothing.
func TestFirewallBesideNftablesEngine(t *testing.T) {
	nstest.Do(t, func() {
		for _, family := range []string{"ip", "ip6"} {
			output(t, "table "+family+` docker-bridges {
				chain filter-FORWARD {
					type filter hook forward priority filter; policy accept;
					oifname "docker0" drop
				}
			}
			`, "nft", "-f", "-")
		}
		b, err := newFirewall(t.Context(), "auto", firewall.DefaultMark(), testkit.Quiet())
		if err != nil {
			t.Fatal(err)
		}
		if c, ok := b.(interface{ Close() }); ok {
			t.Cleanup(c.Close)
		}
		full := firewall.Ruleset{Networks: []firewall.Network{{ID: strings.Repeat("a", 64), Bridge: "gw-aaaaaaaaaaaa", ICC: true}}}
		if _, err := b.Sync(t.Context(), full); err != nil {
			t.Fatal(err)
		}
		if table, _ := gangwayRules(t); b.Name() != "nftables" || !table {
			t.Errorf("the backend is %s, table inet gangway is there: %t", b.Name(), table)
		}
		for _, tool := range []string{"iptables-nft-save", "ip6tables-nft-save", "iptables-legacy-save", "ip6tables-legacy-save"} {
			if saved := output(t, "", tool); strings.Contains(saved, "GANGWAY") {
				t.Errorf("%s:\n%s", tool, saved)
			}
		}
	})
}

// stubBackend takes everything and notes when it was called.
type stubBackend struct {
	firewall.Backend
	calls []string
	errs  []error
}

func (s *stubBackend) call(name string) (err error) {
	s.calls = append(s.calls, name)
	if len(s.errs) > 0 {
		err, s.errs = s.errs[0], s.errs[1:]
	}
	return err
}

func (s *stubBackend) Sync(context.Context, firewall.Ruleset) ([]string, error) {
	return nil, s.call("sync")
}

func (s *stubBackend) Cleanup(context.Context) error { return s.call("cleanup") }

func (s *stubBackend) Close() {}

// Leftovers stay as long as the new rules are not in place, are removed once,
// and tried again if that fails.
func TestSuccessor(t *testing.T) {
	broken := errors.New("broken")
	fresh, old := &stubBackend{errs: []error{broken}}, &stubBackend{errs: []error{broken}}
	s := &successor{Backend: fresh, old: old, log: testkit.Quiet()}
	for i, want := range []struct {
		err     error
		cleanup int
	}{{broken, 0}, {nil, 1}, {nil, 2}, {nil, 2}} {
		_, err := s.Sync(t.Context(), firewall.Ruleset{})
		if !errors.Is(err, want.err) || len(old.calls) != want.cleanup {
			t.Errorf("check %d: %v, leftovers removed %d times, want %v, %d", i+1, err, len(old.calls), want.err, want.cleanup)
		}
	}
}

// TestFirewallMark: bits that a rule of the host uses are refused where somebody chose
// them, and told where nobody did.
func TestFirewallMark(t *testing.T) {
	nstest.Do(t, func() {
		output(t, "*mangle\n-A PREROUTING -j MARK --set-xmark 0x4000100/0x4000100\nCOMMIT\n", "iptables-nft-restore")
		for mark, refused := range map[firewall.Mark]bool{
			firewall.DefaultMark():         false,
			{Accept: 0x100, Drop: 0x200}:   true,
			{Accept: 0x1000, Drop: 0x2000}: false,
		} {
			shared, err := checkMark(t.Context(), mark)
			if (err != nil) != refused || refused && !strings.Contains(err.Error(), "GANGWAY_MARK") {
				t.Errorf("%+v: %v", mark, err)
			}
			if (shared != "") != (mark == firewall.DefaultMark()) {
				t.Errorf("%+v: told %q", mark, shared)
			}
		}
	})
}
