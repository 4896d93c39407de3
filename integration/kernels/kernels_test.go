package kernels

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/testkit"
)

// TestKernels boots kernels and runs all suites on each. GANGWAY_TEST_KERNELS
// names them ("5.10 6.1", or "all"), GANGWAY_TEST_SUITES the suites. make test-kernels
// sets the first; no other run has the time.
func TestKernels(t *testing.T) {
	testkit.OwnRun(t, "GANGWAY_TEST_KERNELS", "test-kernels")
	chosen, err := choose(os.Getenv("GANGWAY_TEST_KERNELS"))
	if err != nil {
		t.Fatal(err)
	}
	run := suites()
	names := strings.Fields(os.Getenv("GANGWAY_TEST_SUITES"))
	if len(names) > 0 {
		run = slices.DeleteFunc(run, func(s suite) bool { return !slices.Contains(names, s.name) })
	}
	run = slices.DeleteFunc(run, func(s suite) bool {
		return !slices.ContainsFunc(chosen, func(k kernel) bool { return len(k.runs([]suite{s})) > 0 })
	})
	runOn(t, chosen, run)
}

// TestVLANs runs the tests of VLANs on a kernel that has them, which that of the machine need
// not. It takes a minute, so make test has it.
func TestVLANs(t *testing.T) {
	testkit.Need(t, "qemu-system-x86_64", "busybox", "mke2fs")
	chosen, err := choose("6.1")
	if err != nil {
		t.Fatal(err)
	}
	runOn(t, chosen, []suite{{name: "vlan", folder: "driver/link", limit: 15 * time.Minute, args: []string{"-test.run=VLAN"}}})
}

// runOn boots kernels, and runs on each those of the suites that are for it.
func runOn(t *testing.T, chosen []kernel, run []suite) {
	t.Helper()
	if err := prepare(t.Context(), chosen); err != nil {
		testkit.Missing(t, err.Error())
	}
	job, err := makeJob(t.Context(), t.TempDir(), run)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range chosen {
		t.Run(k.name, func(t *testing.T) { boot(t, k, job, k.runs(run)) })
	}
}

// boot runs suites on a kernel, and judges them.
func boot(t *testing.T, k kernel, job string, run []suite) {
	t.Helper()
	var limit time.Duration
	for _, s := range run {
		limit += s.limit
	}
	m := &machine{kernel: k, dir: logs(t, k)}
	began := time.Now()
	if err := m.run(t.Context(), job, run, limit); err != nil {
		t.Fatal(err)
	}
	t.Logf("Linux %s: %s", m.release, time.Since(began).Round(time.Second))
	for _, s := range run {
		t.Run(s.name, func(t *testing.T) { check(t, m, s) })
	}
}

// logs is a new folder for what a machine leaves, of the test's own.
func logs(t *testing.T, k kernel) string {
	t.Helper()
	test, _, _ := strings.Cut(t.Name(), "/")
	dir, err := filepath.Abs(filepath.Join(root, "integration", "logs", "kernel-"+k.name+"-"+test))
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
	needs   = regexp.MustCompile(`needs Linux (\d+)\.(\d+) or newer`)
)

// maySkip says whether a test asked for a newer kernel than it ran on.
func maySkip(log, test, release string) bool {
	_, said, found := strings.Cut(log, "=== RUN   "+test+"\n")
	said, _, ended := strings.Cut(said, "--- SKIP: "+test+" ")
	for _, need := range needs.FindAllStringSubmatch(said, -1) {
		var major, minor, is, sub int
		_, _ = fmt.Sscan(need[1]+" "+need[2], &major, &minor)
		_, _ = fmt.Sscanf(release, "%d.%d", &is, &sub)
		if found && ended && (is < major || is == major && sub < minor) {
			return true
		}
	}
	return false
}

// TestMaySkip: only the kernel's version is a reason.
func TestMaySkip(t *testing.T) {
	const log = "=== RUN   TestA\n    a_test.go:1: needs Linux 6.9 or newer\n--- SKIP: TestA (0.00s)\n=== RUN   TestB\n    no qdisc\n--- SKIP: TestB (0.00s)\n"
	for _, tt := range []struct {
		test, release string
		want          bool
	}{
		{"TestA", "6.1.0-50-cloud-amd64", true}, {"TestA", "6.12.1", false}, {"TestB", "6.1.0", false}, {"TestC", "6.1.0", false},
	} {
		if got := maySkip(log, tt.test, tt.release); got != tt.want {
			t.Errorf("%s on %s: %t", tt.test, tt.release, got)
		}
	}
}

// check judges one suite.
func check(t *testing.T, m *machine, s suite) {
	t.Helper()
	r, err := m.result(s.name)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s s", r.seconds)
	for _, f := range skipped.FindAllStringSubmatch(r.log, -1) {
		if !maySkip(r.log, f[1], m.release) {
			t.Errorf("%s is skipped, and not because of the kernel's version", f[1])
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
