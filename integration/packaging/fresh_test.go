package packaging

import (
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
	"github.com/gangway-net/gangway/integration/testkit"
)

// TestFresh: what the README begins with holds on a machine that was just installed, and
// so do the tests that need no engine. make test-fresh runs it.
func TestFresh(t *testing.T) {
	testkit.OwnRun(t, "GANGWAY_TEST_FRESH", "test-fresh")
	for _, suite := range []harness.Suite{harness.Bookworm, harness.Trixie} {
		t.Run(string(suite), func(t *testing.T) { fresh(t, suite) })
	}
}

func fresh(t *testing.T, suite harness.Suite) {
	const project = "/root/gangway"
	// None of it is measured: it ends what hangs.
	const limit = time.Hour
	f := harness.NewFresh(t, suite)
	// git takes no path through /proc.
	clone := t.TempDir() + "/gangway"
	run(t, nil, "git", "clone", "-q", "--no-hardlinks", ".", clone)
	// And what is not committed yet.
	run(t, nil, "sh", "-ec", `git ls-files -co --exclude-standard | while read -r f; do [ ! -f "$f" ] || cp --parents "$f" "$0"; done`, clone)
	run(t, nil, "cp", "-a", clone, f.Path(project))
	f.Online(t, limit, project, "scripts/deps.sh demo; scripts/deps.sh check; go mod download")

	said(t, f.Make(t, limit, project, "demo"))
	f.Make(t, limit, project, "demo-clean")
	out := f.Make(t, limit, project, "check")
	if !strings.Contains(out, "DONE ") {
		t.Errorf("no test ran:\n%s", out)
	}
	t.Logf("make check:\n%s", out[max(0, len(out)-2000):])
}
