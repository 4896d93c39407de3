// Package golden compares what tests make with files that were read and
// approved, and writes these files anew where a test is run with -update.
//
// Invariant: without -update it writes nothing. It does not decide what belongs
// into a file: a test hands over the whole text.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files, and the parts of pages that are made of the code")

// Updating says whether files are to be written instead of compared.
func Updating() bool { return *update }

// Compare holds got against the file at path, from the folder of the test's
// package, and fails the test with the difference in lines. With -update it
// writes the file, and its folder if there is none.
func Compare(t testing.TB, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", path, diff)
	}
}
