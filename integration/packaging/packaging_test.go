// Package packaging proves what users install: the managed plugin's folder, its
// way through a registry, the packages, the systemd unit and the demo.
//
// Invariant: everything is made by the commands that the README names, in
// folders of the test's own, and nothing of it is left afterwards.
package packaging

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// root is the project's folder.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// run runs a command in the project's folder with further variables of the
// environment; it has to succeed.
func run(t *testing.T, env []string, args ...string) string {
	t.Helper()
	out, err := try(t, env, args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func try(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	// Not the test's own context, which has ended when it cleans up. It ends what hangs: a
	// busy machine may take half an hour for the packages of two architectures.
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = root(t)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// makeIn runs a target of the Makefile that builds into dir instead of build.
func makeIn(t *testing.T, dir string, env []string, args ...string) string {
	t.Helper()
	into := []string{"make", "BINARY=" + dir + "/gangway", "PLUGIN=" + dir + "/plugin"}
	return run(t, env, append(into, args...)...)
}
