package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// Machine returns what a harness could leave on the machine itself: its links,
// mounts, cgroups and folders of runs. A test compares two of them with Diff to
// show that nothing was left.
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
	for _, pattern := range []string{"/sys/fs/cgroup/" + cgroupPrefix + "*", "/sys/fs/cgroup/*/" + cgroupPrefix + "*"} {
		groups, gerr := filepath.Glob(pattern)
		if gerr != nil {
			t.Fatal(gerr)
		}
		s["cgroups"] = append(s["cgroups"], groups...)
	}
	runs, err := filepath.Glob(filepath.Join(cacheDir(), "run", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range runs {
		if !strings.HasPrefix(dir, current.dir) || current.dir == "" {
			s["runs"] = append(s["runs"], dir)
		}
	}
	s["processes"] = processes(t)
	for _, lines := range s {
		sort.Strings(lines)
	}
	return s
}

// processes returns the machine's processes that belong to nodes: those whose
// PID namespace is not the test's.
func processes(t testing.TB) []string {
	t.Helper()
	own, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, dir := range dirs {
		ns, err := os.Readlink(dir + "/ns/pid")
		if err != nil || ns == own {
			continue
		}
		comm, err := os.ReadFile(dir + "/comm")
		if err != nil {
			continue
		}
		found = append(found, fmt.Sprintf("%s %s", filepath.Base(dir), strings.TrimSpace(string(comm))))
	}
	return found
}
