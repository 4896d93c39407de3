package nftables

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	nft "github.com/google/nftables"
	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

// loadFormer loads tables as earlier versions made them and somebody has saved them: they
// are nobody's. The fail-closed one drops what these rules have not marked.
const loadFormer = `nft -f - <<'END'
table inet gangway-valve {
	chain valve { type filter hook forward priority filter + 1; policy drop; }
}
table arp gangway-pace {
	chain pace { type filter hook input priority filter; policy accept; }
}
table ip6 gangway-pace {
	chain pace { type filter hook input priority raw; policy accept; }
}
END`

// TestFormerTables: what a file brings back of an earlier version is removed at the next
// check, whether there is a table of today's name or not.
func TestFormerTables(t *testing.T) {
	testkit.NeedKernel(t, 5, 12)
	left := []string{"table inet gangway-valve was left over"}
	limits := []string{"table arp gangway-pace was left over", "table ip6 gangway-pace was left over"}
	nstest.Do(t, func() {
		v, p := newFailClosed(t), newNeighbourLimit(t)
		gone := func() {
			t.Helper()
			if got := sh(t, "nft list tables"); strings.Contains(got, "valve") || strings.Contains(got, "pace") {
				t.Errorf("left over:\n%s", got)
			}
		}
		for _, bridges := range [][]string{some, some, nil, some} {
			sh(t, loadFormer)
			failClose(t, v, bridges, left...)
			limit(t, p, firewall.Families{V4: len(bridges) > 0, V6: len(bridges) > 0}, limits...)
			gone()
			failClose(t, v, bridges)
		}
		if got := strings.Count(dumped(t), `"gw-aaaaaaaaaaaa"`); got != 1 {
			t.Errorf("%d bridges are left", got)
		}
	})
}

// TestFormerTableInOneStep: at no moment are both tables there, or none.
func TestFormerTableInOneStep(t *testing.T) {
	testkit.NeedKernel(t, 5, 12)
	nstest.Do(t, func() {
		sh(t, loadFormer)
		log, said := quiet(), &script{}
		log.Logger.AddHook(said)
		log.Logger.SetLevel(logrus.DebugLevel)
		v, err := NewFailClosed(t.Context(), log, firewall.DefaultMark())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(v.Close)
		before, err := v.wire.generation()
		if err != nil {
			t.Fatal(err)
		}
		failClose(t, v, []string{"mine"}, "table inet gangway-valve was left over")
		if now, err := v.wire.generation(); err != nil || now != before+1 {
			t.Errorf("%d transactions, %v", now-before, err)
		}
		const want = "delete table inet gangway-valve\nadd table inet gangway-fail-closed\nadd element inet gangway-fail-closed bridges { \"mine\" }\n"
		if said.String() != want {
			t.Errorf("told %q, want %q", said, want)
		}
	})
}

// TestFormerTableOfABackend: a backend that makes no fail-closed table removes both that a
// file has brought; one that makes it removes the earlier one.
func TestFormerTableOfABackend(t *testing.T) {
	testkit.NeedKernel(t, 5, 12)
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprintf("shared %t", shared), func(t *testing.T) {
			nstest.Do(t, func() {
				b := startWith(t, Options{Log: quiet(), Mark: firewall.DefaultMark(), Shared: shared})
				add(t, b, rich())
				sh(t, loadFormer)
				if b.failClosed.idle {
					sh(t, "nft add table inet gangway-fail-closed")
				}
				lines, err := b.Sync(t.Context(), rich())
				if err != nil || !slices.Contains(lines, "table inet gangway-valve was left over") {
					t.Errorf("%q, %v", lines, err)
				}
				got := sh(t, "nft list tables")
				if strings.Contains(got, "valve") || strings.Contains(got, "fail-closed") == b.failClosed.idle {
					t.Errorf("tables:\n%s", got)
				}
				settled(t, b, rich())
			})
		})
	}
}

// TestFormerTableOfAProcess: the table of an earlier version that still runs is waited for,
// and removed by nobody else.
func TestFormerTableOfAProcess(t *testing.T) {
	testkit.NeedKernel(t, 5, 12)
	nstest.Do(t, func() {
		var old wire
		if _, err := old.open(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(old.close)
		const name = "gangway-valve"
		if err := old.commit(name, flagOwner, func(c *nft.Conn) error { c.AddTable(table(name)); return nil }); err != nil {
			t.Fatal(err)
		}
		v := newFailClosed(t)
		failClose(t, v, nil)
		if _, err := v.Sync(t.Context(), some); !errors.Is(err, errOwned) {
			t.Errorf("beside a process that goes on: %v", err)
		}
		old.close()
		failClose(t, v, some)
		if got := sh(t, "nft list tables"); strings.Contains(got, "valve") {
			t.Errorf("left over:\n%s", got)
		}
	})
}
