package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// cgroupPrefix starts the name of every cgroup the harness makes; the run's and
// the node's name follow.
const cgroupPrefix = "gangway-test-"

// cacheDir is where what outlives a run is kept: the engines' root trees.
func cacheDir() string {
	if dir := os.Getenv("GANGWAY_CACHE"); dir != "" {
		return dir
	}
	return "/var/cache/gangway"
}

// run is the one working folder of a test process. It is locked as long as the
// process lives, so that a later run can tell what a killed one left behind.
type run struct {
	mu   sync.Mutex
	dir  string
	name string
	lock *os.File
	next int
}

// current is the process's run; the process has one, as it has one set of
// namespaces and one exit.
var current run

// open makes the working folder at the first call.
func (r *run) open() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dir != "" {
		return nil
	}
	parent := filepath.Join(cacheDir(), "run")
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return fmt.Errorf("folder for test runs: %w", err)
	}
	if err := sweep(parent); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(parent, "r")
	if err != nil {
		return err
	}
	lock, err := lockFile(dir + ".lock")
	if err != nil {
		return err
	}
	r.dir, r.name, r.lock = dir, filepath.Base(dir), lock
	return nil
}

// folder makes a folder of the run; an empty name gets a new one.
func (r *run) folder(name string) (string, error) {
	if err := r.open(); err != nil {
		return "", err
	}
	if name == "" {
		r.mu.Lock()
		r.next++
		name = fmt.Sprintf("n%d", r.next)
		r.mu.Unlock()
	}
	dir := filepath.Join(r.dir, name)
	return dir, os.MkdirAll(dir, 0o755)
}

// closeRun removes the working folder.
func closeRun() error {
	current.mu.Lock()
	defer current.mu.Unlock()
	if current.dir == "" {
		return nil
	}
	err := errors.Join(os.RemoveAll(current.dir), os.Remove(current.dir+".lock"), current.lock.Close())
	current.dir = ""
	return err
}

// sweep removes what runs that were killed left behind: their folders and their
// cgroups. A run whose lock is held is alive.
func sweep(parent string) error {
	locks, err := filepath.Glob(filepath.Join(parent, "*.lock"))
	if err != nil {
		return err
	}
	for _, path := range locks {
		lock, err := lockFile(path)
		if errors.Is(err, unix.EWOULDBLOCK) {
			continue
		}
		if err != nil {
			return err
		}
		dir := strings.TrimSuffix(path, ".lock")
		err = errors.Join(removeCgroups(cgroupPrefix+filepath.Base(dir)+"n*"), os.RemoveAll(dir), os.Remove(path), lock.Close())
		if err != nil {
			return fmt.Errorf("sweep the killed run %s: %w", dir, err)
		}
	}
	return nil
}

func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}
