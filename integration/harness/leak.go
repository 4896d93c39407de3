package harness

import (
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// Machine returns what a harness could leave on the machine itself that names no
// run: its links and mounts. A test compares two of them with Diff to show that
// nothing was left.
func Machine(t testing.TB) Snapshot {
	t.Helper()
	s := Snapshot{}
	links, err := os.ReadDir("/sys/class/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		s["links"] = append(s["links"], l.Name())
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	s["mounts"] = strings.Split(strings.TrimSpace(string(mounts)), "\n")
	for _, lines := range s {
		sort.Strings(lines)
	}
	return s
}

// RunName is the name of this test process's run, for Remains.
func RunName(t testing.TB) string {
	t.Helper()
	if err := current.open(); err != nil {
		t.Fatal(err)
	}
	return current.name
}

// Remains returns what there is of a run, which may be another process's: its
// folder, cgroups and processes. Other runs may be under way beside it.
func Remains(t testing.TB, run string) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{
		filepath.Join(cacheDir(), "run", run+"*"),
		"/sys/fs/cgroup/" + cgroupPrefix + run + "n*",
		"/sys/fs/cgroup/*/" + cgroupPrefix + run + "n*",
	} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, paths...)
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range processes {
		groups, err := os.ReadFile(dir + "/cgroup")
		if err != nil || !strings.Contains(string(groups), cgroupPrefix+run+"n") {
			continue
		}
		name, err := os.ReadFile(dir + "/comm")
		if err == nil {
			found = append(found, dir+" "+strings.TrimSpace(string(name)))
		}
	}
	return found
}
