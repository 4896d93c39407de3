package testkit

import (
	"os"
	"os/exec"
	"testing"
)

// Missing ends a test for which the machine lacks something: it fails where everything has
// to be there (CI=true), and is skipped with the reason elsewhere.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// Need ends a test of programs that the machine lacks, as Missing does.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			Missing(t, p+" is missing: scripts/deps.sh test installs it")
		}
	}
}
