package nftables

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/integration/nstest"
)

// script keeps the text of debugging messages as it is.
type script struct{ bytes.Buffer }

func (*script) Levels() []logrus.Level { return logrus.AllLevels }

func (s *script) Fire(e *logrus.Entry) error {
	if text, ok := strings.CutPrefix(e.Message, "nft -f -\n"); ok {
		s.WriteString(text)
	}
	return nil
}

// TestDebug: with debugging the log has every change of the table, as commands that nft
// takes and that do the same.
func TestDebug(t *testing.T) {
	nstest.Do(t, func() {
		log, said := quiet(), &script{}
		log.Logger.AddHook(said)
		log.Logger.SetLevel(logrus.DebugLevel)
		b := startWith(t, Options{Log: log, Shared: true, Valveless: true})
		listing := func() []string { return unordered(sh(t, "nft -s list ruleset")) }
		replay := func() {
			t.Helper()
			file := filepath.Join(t.TempDir(), "script")
			if err := os.WriteFile(file, said.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			sh(t, "nft -f %s", file)
			said.Reset()
		}
		same := func(what string, want []string) {
			t.Helper()
			if d := cmp.Diff(want, listing()); d != "" {
				t.Errorf("%s: nft and the log differ (-was +is):\n%s", what, d)
			}
		}
		add(t, b, one())
		if got := said.String(); !strings.HasPrefix(got, "add table inet gangway\n") {
			t.Errorf("the table is made: %q", got)
		}
		said.Reset()
		without := listing()
		add(t, b, join(rich(), sample()))
		with, added := listing(), said.String()
		said.Reset()
		apply(t, b, firewall.Delta{Remove: join(rich(), sample())})
		same("removed", without)
		removed := said.String()
		for _, s := range sets(table(tableName)) {
			if want := "add element inet gangway " + s.Name + " {"; s.kind != counting && !strings.Contains(added, want) {
				t.Errorf("no element of %s is added", s.Name)
			}
		}
		said.Reset()
		said.WriteString(added)
		replay()
		same("added as the log says", with)
		said.WriteString(removed)
		replay()
		same("removed as the log says", without)
		apply(t, b, firewall.Delta{Remove: one()})
		if got := said.String(); got != "delete table inet gangway\n" {
			t.Errorf("the table is removed: %q", got)
		}
		quietly := start(t)
		said.Reset()
		add(t, quietly, one())
		if said.Len() != 0 {
			t.Errorf("without debugging: %q", said.String())
		}
	})
}

// unordered is a listing whose elements have an order: nft shows them as they come.
func unordered(listing string) []string {
	var all []string
	block := ""
	for line := range strings.Lines(listing) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutSuffix(line, " {"); ok {
			block = name
		}
		for word := range strings.SplitSeq(strings.TrimSuffix(strings.TrimPrefix(line, "elements = { "), " }"), ",") {
			all = append(all, block+": "+strings.TrimSpace(word))
		}
	}
	slices.Sort(all)
	return all
}
