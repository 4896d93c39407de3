package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// nodeEnv carries a node's configuration to its first process.
const nodeEnv = "GANGWAY_HARNESS_NODE"

// nodeConfig is what the first process of a node makes true.
type nodeConfig struct {
	Hostname string
	// Cgroup is the name of the node's cgroup; empty for a node without.
	Cgroup string
	// Tree is the root tree to change to, never modified; empty to keep the
	// machine's file system.
	Tree string
	// Dir holds the node's changes to the tree.
	Dir string
	// Binds are mounted inside the tree.
	Binds []bind
	// Entered says that the process is in its cgroup already.
	Entered bool
}

type bind struct {
	Source, Target string
	ReadOnly       bool
}

// nodeMain is the first process of a node: it sets up the namespaces that it
// was started in, says "ready" and then reaps orphans until its standard input
// ends. It returns only on errors.
func nodeMain() error {
	var cfg nodeConfig
	if err := json.Unmarshal([]byte(os.Getenv(nodeEnv)), &cfg); err != nil {
		return err
	}
	if cfg.Cgroup != "" && !cfg.Entered {
		return enterAndReexec(cfg)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Sethostname([]byte(cfg.Hostname)); err != nil {
		return err
	}
	setup := ownFileSystems
	if cfg.Tree != "" {
		setup = enterTree
	}
	if err := setup(cfg); err != nil {
		return err
	}
	if _, err := fmt.Println("ready"); err != nil {
		return err
	}
	return reap()
}

// enterAndReexec runs the binary again from the thread that has entered the
// cgroup namespace: a namespace of one thread is not the process's.
func enterAndReexec(cfg nodeConfig) error {
	runtime.LockOSThread()
	if err := enterCgroup(cfg.Cgroup); err != nil {
		return err
	}
	cfg.Entered = true
	encoded, err := json.Marshal(cfg)
	if err != nil {
		return err
	}
	if err := os.Setenv(nodeEnv, string(encoded)); err != nil {
		return err
	}
	return unix.Exec("/proc/self/exe", os.Args, os.Environ())
}

// ownFileSystems mounts the /proc and /sys that belong to the namespaces.
func ownFileSystems(nodeConfig) error {
	return errors.Join(
		mount("proc", "/proc", "proc", 0, ""),
		mount("sysfs", "/sys", "sysfs", 0, ""))
}

// enterTree makes the tree the root, with an overlay for what changes.
func enterTree(cfg nodeConfig) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	root := filepath.Join(cfg.Dir, "root")
	upper, work := filepath.Join(cfg.Dir, "upper"), filepath.Join(cfg.Dir, "work")
	for _, dir := range []string{root, upper, work} {
		if err = os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	layers := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", cfg.Tree, upper, work)
	err = errors.Join(
		mount("overlay", root, "overlay", 0, layers),
		mount("proc", root+"/proc", "proc", 0, ""),
		mount("sysfs", root+"/sys", "sysfs", 0, ""),
		mount("/dev", root+"/dev", "", unix.MS_BIND|unix.MS_REC, ""),
		mount("tmpfs", root+"/run", "tmpfs", 0, "mode=755"),
		mount("tmpfs", root+"/tmp", "tmpfs", 0, "mode=1777"))
	if err != nil {
		return err
	}
	if err := mountCgroups(root, all); err != nil {
		return err
	}
	for _, b := range cfg.Binds {
		if err := bindMount(root, b); err != nil {
			return err
		}
	}
	hosts := fmt.Sprintf("127.0.0.1 localhost %s\n::1 localhost\n", cfg.Hostname)
	if err := os.WriteFile(root+"/etc/hosts", []byte(hosts), 0o644); err != nil { //nolint:gosec // world-readable by its nature
		return err
	}
	if err := pivot(root); err != nil {
		return err
	}
	return delegate()
}

func bindMount(root string, b bind) error {
	target := filepath.Join(root, b.Target)
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := mount(b.Source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	if !b.ReadOnly {
		return nil
	}
	return mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
}

// pivot makes dir the root mount, and mounts shared among the node's own mount
// namespaces as systemd does, which propagated mounts of plugins rely on.
func pivot(dir string) error {
	if err := unix.Chdir(dir); err != nil {
		return err
	}
	// pivot_root(2): new and old root may be the same folder, the old one is
	// then stacked below and detached.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detach the old root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	return mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "")
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mount %s on %s (%s): %w", source, target, data, err)
	}
	return nil
}

// reap is what the first process of a PID namespace owes to orphans. It ends
// the process, and all of the namespace with it, when standard input ends:
// when the test closed the pipe, or died.
func reap() error {
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	ended := make(chan struct{})
	go func() {
		//nolint:errcheck // any end is the end
		io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	for {
		select {
		case <-ended:
			os.Exit(0)
		case <-children:
		}
		for {
			pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			if pid <= 0 || err != nil {
				break
			}
		}
	}
}
