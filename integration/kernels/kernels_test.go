package kernels

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestKernels boots kernels and runs all suites on each. GANGWAY_TEST_KERNELS
// names them ("5.10 6.1", or "all"), GANGWAY_TEST_SUITES the suites.
func TestKernels(t *testing.T) {
	chosen, err := choose(os.Getenv("GANGWAY_TEST_KERNELS"))
	if err != nil {
		t.Fatal(err)
	}
	run := suites()
	if names := strings.Fields(os.Getenv("GANGWAY_TEST_SUITES")); len(names) > 0 {
		run = slices.DeleteFunc(run, func(s suite) bool { return !slices.Contains(names, s.name) })
	}
	if err = prepare(t.Context(), chosen); err != nil {
		if os.Getenv("CI") != "true" {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	job, err := makeJob(t.Context(), t.TempDir(), run)
	if err != nil {
		t.Fatal(err)
	}
	var limit time.Duration
	for _, s := range run {
		limit += s.limit
	}
	for _, k := range chosen {
		t.Run(k.name, func(t *testing.T) {
			m := &machine{kernel: k, dir: logs(t, k)}
			began := time.Now()
			if err := m.run(t.Context(), job, limit); err != nil {
				t.Fatal(err)
			}
			release, _ := os.ReadFile(filepath.Join(m.dir, "release"))
			t.Logf("Linux %s: %s", strings.TrimSpace(string(release)), time.Since(began).Round(time.Second))
			for _, s := range run {
				t.Run(s.name, func(t *testing.T) { check(t, m, s) })
			}
		})
	}
}

// logs is a new folder for what a machine leaves.
func logs(t *testing.T, k kernel) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join(root, "integration", "logs", "kernel-"+k.name))
	if err == nil {
		err = os.RemoveAll(dir)
	}
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var (
	failed  = regexp.MustCompile(`(?m)^ *--- FAIL: (\S+)`)
	skipped = regexp.MustCompile(`(?m)^ *--- SKIP: (\S+)`)
)

// check judges one suite.
func check(t *testing.T, m *machine, s suite) {
	t.Helper()
	r, err := m.result(s.name)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s s", r.seconds)
	for _, f := range skipped.FindAllStringSubmatch(r.log, -1) {
		if !maySkip(s.name, f[1]) {
			t.Errorf("%s is skipped, and nobody said that it may be", f[1])
		}
	}
	if r.status == "0" {
		return
	}
	for _, f := range failed.FindAllStringSubmatch(r.log, -1) {
		t.Logf("failed: %s", f[1])
	}
	const most = 20000
	t.Errorf("it ended with %s; the whole log is %s\n%s", r.status, filepath.Join(m.dir, s.name+".log"), r.log[max(0, len(r.log)-most):])
}
