package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/integration/testkit"
)

// hierarchy is one mounted cgroup hierarchy of the machine: one for v2, one a
// set of controllers for v1, both kinds on hybrid hosts.
type hierarchy struct {
	mount string
	v2    bool
	// options are the mount options that select the v1 hierarchy, such as
	// "cpu,cpuacct" or "name=systemd".
	options string
}

// hierarchies reads the mounted cgroup hierarchies (proc(5), mountinfo).
func hierarchies() ([]hierarchy, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var found []hierarchy
	for _, line := range strings.Split(string(mounts), "\n") {
		before, after, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 3 || !strings.HasPrefix(left[4], "/sys/fs/cgroup") {
			continue
		}
		switch right[0] {
		case "cgroup2":
			found = append(found, hierarchy{mount: left[4], v2: true})
		case "cgroup":
			found = append(found, hierarchy{mount: left[4], options: selecting(right[2])})
		}
	}
	if len(found) == 0 {
		return nil, errors.New("no cgroup hierarchy is mounted below /sys/fs/cgroup")
	}
	return found, nil
}

// selecting leaves of a v1 hierarchy's mount options those that select it.
func selecting(options string) string {
	var kept []string
	for _, o := range strings.Split(options, ",") {
		switch {
		case o == "rw" || o == "ro" || o == "xattr" || o == "clone_children" || o == "noprefix":
		case strings.HasPrefix(o, "release_agent="):
		default:
			kept = append(kept, o)
		}
	}
	return strings.Join(kept, ",")
}

// enterCgroup makes the cgroup in every hierarchy, moves the process into it
// and makes it the root of a new cgroup namespace of the calling thread.
func enterCgroup(name string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		dir := filepath.Join(h.mount, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		if err := inheritCpuset(dir); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0o600); err != nil {
			return fmt.Errorf("enter cgroup: %w", err)
		}
	}
	return os.NewSyscallError("unshare", unix.Unshare(unix.CLONE_NEWCGROUP))
}

// inheritCpuset gives a v1 cpuset its parent's processors and memory nodes; it
// is created without any and takes no process before it has some.
func inheritCpuset(dir string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		own, err := os.ReadFile(filepath.Join(dir, file))
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if strings.TrimSpace(string(own)) != "" {
			continue
		}
		parent, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
		if errors.Is(err, os.ErrNotExist) { // v2: empty means all
			return nil
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, file), parent, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// mountCgroups mounts the hierarchies below root's /sys/fs/cgroup as the
// process's cgroup namespace shows them, in the layout of the machine.
func mountCgroups(root string, all []hierarchy) error {
	top := filepath.Join(root, "/sys/fs/cgroup")
	if len(all) == 1 && all[0].v2 {
		return mount("cgroup2", top, "cgroup2", 0, "")
	}
	if err := mount("tmpfs", top, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, h := range all {
		dir := filepath.Join(root, h.mount)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		kind := "cgroup"
		if h.v2 {
			kind = "cgroup2"
		}
		if err := mount(kind, dir, kind, 0, h.options); err != nil {
			return err
		}
		if !strings.Contains(h.options, ",") {
			continue
		}
		for _, controller := range strings.Split(h.options, ",") {
			if err := os.Symlink(filepath.Base(dir), filepath.Join(top, controller)); err != nil {
				return err
			}
		}
	}
	return nil
}

// delegate lets the node's own cgroup pass on v2 controllers to the engine's
// containers: its processes move to a leaf, as a cgroup with controllers for
// children may have no processes of its own.
func delegate() error {
	const top = "/sys/fs/cgroup"
	controllers, err := os.ReadFile(top + "/cgroup.controllers")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.Mkdir(top+"/init", 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(top+"/init/cgroup.procs", []byte("0"), 0o600); err != nil {
		return err
	}
	for _, c := range strings.Fields(string(controllers)) {
		if err := os.WriteFile(top+"/cgroup.subtree_control", []byte("+"+c), 0o600); err != nil {
			return fmt.Errorf("delegate %s: %w", c, err)
		}
	}
	return nil
}

// offerControllers makes the v2 controllers available below the machine's root
// cgroup. What cannot be offered is left to the engine, which runs without.
func offerControllers() {
	const top = "/sys/fs/cgroup"
	controllers, err := os.ReadFile(top + "/cgroup.controllers")
	if err != nil {
		return
	}
	for _, c := range strings.Fields(string(controllers)) {
		//nolint:errcheck // best effort, see above
		os.WriteFile(top+"/cgroup.subtree_control", []byte("+"+c), 0o600)
	}
}

// removeCgroups removes every cgroup whose name matches the pattern
// (filepath.Match), with those below it, waiting for their last processes to end.
func removeCgroups(pattern string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	var errs []error
	for _, h := range all {
		tops, err := filepath.Glob(filepath.Join(h.mount, pattern))
		if err != nil {
			return err
		}
		for _, top := range tops {
			errs = append(errs, poll(testkit.Patience, func() error { return removeCgroup(top) }))
		}
	}
	return errors.Join(errs...)
}

func removeCgroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeCgroup(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
