package packaging

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
	"github.com/gangway-net/gangway/integration/testkit"
)

// The versions that are packaged for the tests, the older first.
const (
	older = "1.0.0"
	newer = "1.0.1~rc.1"
)

// packages are those of a version, in a folder.
type packages struct {
	dir, version string
	// source names the version and the commit as scripts/packages.sh takes them.
	source []string
}

// buildPackages runs make packages.
func buildPackages(t *testing.T, version string, env ...string) packages {
	t.Helper()
	head := strings.Fields(run(t, nil, "git", "log", "-1", "--abbrev=12", "--format=%ct %h"))
	p := packages{t.TempDir(), version, []string{"VERSION=" + version, "SOURCE_DATE_EPOCH=" + head[0], "COMMIT=" + head[1]}}
	run(t, slices.Concat(p.source, env), "make", "packages", "PACKAGES="+p.dir)
	return p
}

// file finds the one file whose name has all of the words.
func (p packages) file(t *testing.T, words ...string) string {
	t.Helper()
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
next:
	for _, e := range entries {
		for _, w := range words {
			if !strings.Contains(e.Name(), w) {
				continue next
			}
		}
		found = append(found, filepath.Join(p.dir, e.Name()))
	}
	if len(found) != 1 {
		t.Fatalf("files with %q: %v", words, found)
	}
	return found[0]
}

// TestPackages: what make packages builds is the same whenever and wherever it is
// built, holds what it should, and installs, upgrades and goes on hosts of its kind.
// make test-packages runs it.
func TestPackages(t *testing.T) {
	testkit.OwnRun(t, "GANGWAY_TEST_PACKAGES", "test-packages")
	t.Parallel()
	first := buildPackages(t, older)
	second := buildPackages(t, newer, "KINDS=deb rpm", "ARCHES="+runtime.GOARCH)
	t.Run("same bytes", func(t *testing.T) { t.Parallel(); sameBytes(t, first) })
	t.Run("contents", func(t *testing.T) { t.Parallel(); contents(t, first) })
	t.Run("pages", func(t *testing.T) { t.Parallel(); pages(t, first) })
	t.Run("rpm", func(t *testing.T) { t.Parallel(); rpmLife(t, first) })
	t.Run("rpm on a host", func(t *testing.T) { t.Parallel(); rpmOnHost(t, first, second) })
	t.Run("sbom", func(t *testing.T) { t.Parallel(); sbom(t, first) })
	t.Run("arm64", func(t *testing.T) { t.Parallel(); arm64(t, first) })
	for _, suite := range []harness.Suite{harness.Bookworm, harness.Trixie} {
		t.Run("deb on "+string(suite), func(t *testing.T) { t.Parallel(); debLife(t, suite, first, second) })
	}
}
