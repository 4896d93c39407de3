package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gangway-net/gangway/integration/testkit"
)

// systemdTargets are what systemd needs to start and stop, and what units that
// people install hang on.
var systemdTargets = []string{
	"sysinit.target", "basic.target", "sockets.target", "multi-user.target", "shutdown.target", "umount.target",
	"final.target", "local-fs.target", "slices.target", "paths.target", "timers.target",
}

// systemdBoot makes the file systems that systemd and the units that are tested
// write to, and becomes systemd. The machine's own units are not among those it
// finds.
const systemdBoot = `set -eu
hierarchy() { mkdir "$3" && mount -t "$1" -o "$2" cgroup "$3" && echo 0 >"$3/cgroup.procs"; }
if [ "$1" = v2 ]; then
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	echo 0 >/sys/fs/cgroup/cgroup.procs
else
	mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
	hierarchy cgroup none,name=systemd /sys/fs/cgroup/systemd
	hierarchy cgroup2 rw /sys/fs/cgroup/unified
fi
shift
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /var/lib
mkdir -p /run/targets /run/lock /run/etc/upper /run/etc/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work overlay /etc
mount -t tmpfs -o mode=755 tmpfs /etc/systemd/system
for unit; do cp "/lib/systemd/system/$unit" /run/targets; done
printf '[Unit]\nRequires=multi-user.target sockets.target\n' >/run/targets/default.target
exec env -i container=other PATH="$PATH" SYSTEMD_UNIT_PATH=/etc/systemd/system:/run/targets \
	/lib/systemd/systemd --system --log-target=console --show-status=0`

// StartSystemd starts a node whose first process is the machine's systemd, with
// none of the machine's units, and waits until it has started. /etc/systemd/system,
// /run and /var/lib are empty and its own, and what it writes to /etc is seen by
// nobody else. It ends with the test.
func StartSystemd(t testing.TB) *Node {
	t.Helper()
	if _, err := os.Stat("/lib/systemd/systemd"); err != nil {
		testkit.Missing(t, fmt.Sprintf("systemd is not installed: %v", err))
	}
	dir, err := current.folder("")
	if err != nil {
		t.Fatal(err)
	}
	all, err := hierarchies()
	if err != nil {
		t.Fatal(err)
	}
	version := "v1"
	if len(all) == 1 && all[0].v2 {
		version = "v2"
	}
	outer := startNode(t, nodeConfig{Hostname: "systemd", Cgroup: cgroupPrefix + current.name + filepath.Base(dir), Dir: dir})
	log := filepath.Join(t.TempDir(), "systemd.log")
	// systemd has to be the first process of a PID namespace.
	boot := []string{"unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "sh", "-c", systemdBoot, "sh", version}
	return outer.bootSystemd(t, log, "default.target", append(boot, systemdTargets...)...)
}

// bootSystemd starts in a node what becomes systemd, waits until a target of it is active,
// and returns the node that it is the first process of. What it writes goes to log.
func (n *Node) bootSystemd(t testing.TB, log, target string, argv ...string) *Node {
	t.Helper()
	p, err := n.startProcess(log, argv...)
	if err != nil {
		t.Fatal(err)
	}
	inside := &Node{Name: n.Name}
	EventuallyWithin(t, readyLimit, "systemd of "+n.Name, func() error {
		if !p.alive() {
			t.Fatal(p.exited())
		}
		if inside.pid, err = onlyChild(p.pid); err != nil {
			return err
		}
		_, err := inside.Try("systemctl", "is-active", target)
		if exit := new(exec.ExitError); errors.As(err, &exit) {
			return fmt.Errorf("%w; its log:\n%s", err, tail(log, 20))
		}
		return err
	})
	return inside
}
