package iptables

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

// scripts keeps what the log says of changes: the command and its input.
type scripts struct{ all [][2]string }

func (*scripts) Levels() []logrus.Level { return logrus.AllLevels }

func (s *scripts) Fire(e *logrus.Entry) error {
	if command, input, ok := strings.Cut(e.Message, " --noflush\n"); ok {
		s.all = append(s.all, [2]string{command, input})
	}
	return nil
}

// TestDebug: with debugging the log has every change as iptables-restore takes it, and in
// another namespace that does the same.
func TestDebug(t *testing.T) {
	for _, v := range []variant{nft, legacy} {
		t.Run(string(v), func(t *testing.T) {
			said, quietly := &scripts{}, &scripts{}
			var after []string // the rules behind each step
			var steps []int    // how many scripts there are by then
			nstest.Do(t, func() {
				b := start(t, v)
				b.log = testkit.Quiet()
				b.log.Logger.SetLevel(logrus.DebugLevel)
				b.log.Logger.AddHook(said)
				for _, do := range []func() error{
					func() error { return b.Apply(t.Context(), firewall.Delta{Add: rich()}) },
					func() error {
						return b.Apply(t.Context(), firewall.Delta{Remove: firewall.Ruleset{Ports: rich().Ports}})
					},
					func() error { return b.Cleanup(t.Context()) },
				} {
					if err := do(); err != nil {
						t.Error(err)
					}
					after, steps = append(after, ruleDump(t, v)), append(steps, len(said.all))
				}
				silent := start(t, v)
				silent.log.Logger.SetLevel(logrus.InfoLevel)
				silent.log.Logger.AddHook(quietly)
				if err := silent.Apply(t.Context(), firewall.Delta{Add: rich()}); err != nil {
					t.Error(err)
				}
			})
			if len(quietly.all) > 0 {
				t.Errorf("without debugging: %q", quietly.all)
			}
			nstest.Do(t, func() {
				done := 0
				for i, want := range after {
					if steps[i] == done {
						t.Errorf("step %d is not in the log", i)
					}
					for ; done < steps[i]; done++ {
						file := filepath.Join(t.TempDir(), "script")
						if err := os.WriteFile(file, []byte(said.all[done][1]), 0o600); err != nil {
							t.Error(err)
						}
						sh(t, "%s --noflush < %s", said.all[done][0], file)
					}
					if d := cmp.Diff(want, ruleDump(t, v)); d != "" {
						t.Errorf("step %d: the log and the rules differ:\n%s", i, d)
					}
				}
			})
		})
	}
}
