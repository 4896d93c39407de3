package rules

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/integration/golden"
)

// goldens are the files of one folder under testdata.
type goldens struct {
	folder string

	mu sync.Mutex
	// written holds what was compared in this run, by name.
	written map[string]string
}

func newGoldens(folder string) *goldens {
	return &goldens{folder: filepath.Join("testdata", folder), written: map[string]string{}}
}

// compare holds lines against the file of that name. With -update the first of
// those that name a file writes it, and the others have to agree.
func (g *goldens) compare(t *testing.T, name string, lines []string) {
	t.Helper()
	got := strings.Join(lines, "\n") + "\n"
	g.mu.Lock()
	before, known := g.written[name]
	if !known {
		g.written[name] = got
	}
	g.mu.Unlock()
	path := filepath.Join(g.folder, name+".golden")
	if known {
		if d := cmp.Diff(before, got); d != "" {
			t.Errorf("%s is not what another combination makes it (-other +this):\n%s", path, d)
		}
		return
	}
	golden.Compare(t, path, got)
}

// settled demands that every file of the folder was used and, if they are to be
// distinct, that no two say the same: what need not differ has to share one.
func (g *goldens) settled(t *testing.T, distinct bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(g.folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".golden")
		if _, used := g.written[name]; used {
			continue
		}
		if !golden.Updating() {
			t.Errorf("%s belongs to no combination; -update removes it", path)
		} else if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
	owner := map[string]string{}
	for name, text := range g.written {
		if other, same := owner[text]; same && distinct {
			t.Errorf("%s and %s are equal: the combinations either differ, or name the same golden file", name, other)
		}
		owner[text] = name
	}
}

// read returns the lines of a golden file.
func read(t *testing.T, folder, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", folder, name+".golden"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}
