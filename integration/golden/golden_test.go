package golden

import (
	"os"
	"path/filepath"
	"testing"
)

// witness is a test that remembers whether it failed.
type witness struct {
	testing.TB
	failed bool
}

func (w *witness) Helper()               {}
func (w *witness) Errorf(string, ...any) { w.failed = true }

// TestCompare: a difference fails and writes nothing; with -update it is
// written, and holds from then on.
func TestCompare(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "file.golden")
	before := *update
	t.Cleanup(func() { *update = before })
	compare := func(updating bool, got string) bool {
		*update = updating
		w := &witness{TB: t}
		Compare(w, path, got)
		return !w.failed
	}
	if !compare(true, "one\n") || !compare(false, "one\n") {
		t.Error("what was written does not hold")
	}
	if compare(false, "two\n") {
		t.Error("a difference holds")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "one\n" {
		t.Errorf("the file is %q, %v", text, err)
	}
}
