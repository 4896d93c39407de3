package iptables

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/integration/golden"
)

// TestFormerChains: the rules of an earlier version, which had other names, are replaced,
// each table in one transaction: testdata/earlier-*.rules are what that version made of the
// ruleset.
func TestFormerChains(t *testing.T) {
	eachVariant(t, func(t *testing.T, b *Backend) {
		engineRules(t, b.variant)
		before := ruleDump(t, b.variant)
		for six, file := range map[bool]string{false: "testdata/earlier-ipv4.rules", true: "testdata/earlier-ipv6.rules"} {
			saved, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sh(t, "%s --noflush <<'END'\n%sEND", b.variant.command(six, "restore"), saved)
			is, err := b.list(t.Context(), six)
			if err != nil {
				t.Fatal(err)
			}
			script := converge(is, compile(rich(), b.form(six))).String()
			for _, table := range tables {
				if n := strings.Count(script, "*"+table+"\n"); n != 1 {
					t.Errorf("%d transactions of table %s", n, table)
				}
			}
		}
		if _, err := b.Sync(t.Context(), rich()); err != nil {
			t.Fatal(err)
		}
		golden.Compare(t, "testdata/kernel.golden", ruleDump(t, b.variant))
		if err := b.Apply(t.Context(), firewall.Delta{Remove: rich()}); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(before, ruleDump(t, b.variant)); d != "" {
			t.Errorf("left over:\n%s", d)
		}
	})
}
