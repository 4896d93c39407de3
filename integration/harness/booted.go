package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/gangway-net/gangway/integration/testkit"
)

// bootScript prepares the tree of a suite and becomes its systemd, in a cgroup
// namespace and a hierarchy of its own. Of the suite's units those stay that start an
// engine, in the way that its package has enabled them; others would change what
// is the machine's (settings of the kernel, terminals, clocks).
const bootScript = `set -eu
mount --make-rshared /
if [ ! -e /sys/fs/cgroup/cgroup.procs ]; then umount -R /sys/fs/cgroup; fi
mount -t cgroup2 cgroup2 /sys/fs/cgroup
cd /etc/systemd/system
rm -rf getty.target.wants timers.target.wants
for unit in /lib/systemd/system/sysinit.target.wants/* /lib/systemd/system/multi-user.target.wants/*; do
	case $unit in
	*/systemd-journald.service | */systemd-tmpfiles-setup.service) ;;
	*) ln -sf /dev/null "$(basename "$unit")" ;;
	esac
done
mkdir -p /etc/docker
echo '{"exec-opts": ["native.cgroupdriver=cgroupfs"]}' >/etc/docker/daemon.json
cd /
exec env -i container=other PATH="$PATH" /lib/systemd/systemd --system --unit=multi-user.target --log-target=console --show-status=0`

// bootCgroup has its arguments run in a cgroup that is the root of what they see.
const bootCgroup = `set -eu
top=/sys/fs/cgroup
[ -e $top/cgroup.procs ] || top=$top/unified
mkdir $top/boot
echo 0 >$top/boot/cgroup.procs
exec unshare --cgroup --pid --fork --kill-child --mount --mount-proc "$@"`

// Boot starts an engine on a host that systemd runs, both of the suite, as they are
// after the packages were installed there; without gangway. The host is joined to a new
// LAN, and ends with the test.
func Boot(t testing.TB, suite Suite) *Engine {
	t.Helper()
	if os.Geteuid() != 0 {
		testkit.Missing(t, "engines need root")
	}
	tree := (suite + "+systemd").tree(t, false)
	toolsDir, err := tools()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := current.folder("")
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{Suite: suite, Driver: string(Daemon), cfg: Config{Suite: suite, Driver: Daemon}, dir: dir}
	data := filepath.Join(dir, "data")
	if err = os.Mkdir(data, 0o711); err != nil {
		t.Fatal(err)
	}
	outer := startNode(t, nodeConfig{
		Hostname: string(suite),
		Cgroup:   cgroupPrefix + current.name + filepath.Base(dir),
		Tree:     tree,
		Dir:      dir,
		Binds: []bind{
			{Source: data, Target: "/var/lib/docker"},
			{Source: toolsDir, Target: toolsInside, ReadOnly: true},
		},
	})
	e.LAN = NewLAN(t)
	booted := outer.bootSystemd(t, filepath.Join(dir, "systemd.log"), "multi-user.target", "sh", "-c", bootCgroup, "sh", "sh", "-c", bootScript)
	e.Host = e.LAN.join(t, booted, LanIPv4, LanIPv6)
	e.probe = toolsInside + "/probe"
	t.Cleanup(func() { e.keepLogs(t) })
	EventuallyWithin(t, readyLimit, "engine of "+string(suite), func() error {
		_, err := e.TryDocker("version")
		return err
	})
	e.importImage(t, tree, filepath.Join(toolsDir, "probe"))
	return e
}

// Journal is what a unit has written, for messages of failed tests.
func (e *Engine) Journal(unit string) string {
	out, err := e.Try("journalctl", "--no-pager", "--lines", "40", "--unit", unit)
	if err != nil {
		return err.Error()
	}
	return out
}

// UnitIs waits until a unit is in a state that systemctl is-active names.
func (e *Engine) UnitIs(t testing.TB, unit, state string) {
	t.Helper()
	Eventually(t, unit+" is "+state, func() error {
		out, _ := e.Try("systemctl", "is-active", unit)
		if out != state {
			return fmt.Errorf("%q; its journal:\n%s", out, e.Journal(unit))
		}
		return nil
	})
}
