package faulttest

import (
	"context"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/gangway-net/gangway/driver/drift"
	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/watch"
	"github.com/gangway-net/gangway/integration/testkit"
)

// keepTold has the world compared whenever the kernel tells of something, as far as
// it tells, and never else, until the world is closed.
func keepTold(t *testing.T, w *world) {
	t.Helper()
	kernel, err := watch.New(watch.Options{SysctlRoot: "/proc/sys", Log: testkit.Quiet()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		w.KeepReconciled(ctx, kernel, drift.Pace{Every: time.Hour})
	}()
	w.closers = append(w.closers, func() {
		stop()
		<-kept
		if err := kernel.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestToldIsMended: what the kernel tells of a link is enough to mend whatever may
// have been done to it: no comparison looks at more than what was told.
func TestToldIsMended(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend, dir string) {
		w := mustOpen(t, backend, dir)
		defer w.close()
		crowded(t, w)
		for i := range 2 * crowdNetworks {
			do(t, w, "start", crowd(i).start)
		}
		container(t, "gp-"+crowd(0).endpoint)
		keepTold(t, w)
		whole := w.picture(t)
		names := strings.NewReplacer("BRIDGE", "gw-"+crowd(0).network[:12], "HOST", "gv-"+crowd(0).endpoint)
		// A repair may come between two commands: then the second finds its name taken.
		for _, damage := range damages() {
			repairs := w.Status(t.Context()).Repairs
			was := index(names.Replace("BRIDGE"))
			sh(t, names.Replace(damage))
			testkit.Eventually(t, damage+": a repair", func() bool { return w.Status(t.Context()).Repairs > repairs })
			for deadline := time.Now().Add(testkit.Patience); w.picture(t) != whole; {
				if time.Now().After(deadline) {
					same(t, damage, whole, w.picture(t))
				}
			}
			if is := index(names.Replace("BRIDGE")); is != was && damage != deletion {
				t.Errorf("%s: the bridge was made anew", damage)
			}
		}
		w.sound(t, "in the end")
		for _, e := range w.Events(t.Context(), 0, 0) {
			// One that goes between a check's look at bridges and that at pairs is a problem
			// until the next check.
			if e.Kind == events.Problem && !strings.Contains(e.Text, "the bridge does not exist") {
				t.Errorf("%s: %s", e.Kind, e.Text)
			}
		}
		deserted(t, w)
	})
}

// index is the number of a link.
func index(name string) int {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return 0
	}
	return l.Attrs().Index
}

// deletion takes every pair off the bridge before it tells of the bridge itself.
const deletion = "ip link del BRIDGE"

// damages lists what may be done to a bridge and to the host end of a pair. The short
// list is what kernels before 6.2 had trouble with.
func damages() []string {
	// In one process: before Linux 6.2 a link that is up again by then is busy.
	renamed := `printf 'link set BRIDGE down\nlink set BRIDGE name other\n' | ip -batch -`
	if testing.Short() {
		return []string{deletion, renamed}
	}
	return []string{
		"ip link set BRIDGE down",
		"ip link set BRIDGE group 0",
		"ip addr flush dev BRIDGE scope global",
		"ip route flush dev BRIDGE; ip -6 route flush dev BRIDGE",
		"echo 0 >/proc/sys/net/ipv4/conf/BRIDGE/route_localnet",
		"echo 1 >/proc/sys/net/ipv6/conf/BRIDGE/disable_ipv6",
		"echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 0 >/proc/sys/net/ipv6/conf/all/disable_ipv6",
		"echo 0 >/proc/sys/net/ipv4/ip_forward",
		"echo 0 >/proc/sys/net/ipv6/conf/all/forwarding",
		deletion,
		"ip link set BRIDGE down; ip link set BRIDGE name other; ip link set other name BRIDGE || :",
		"ip link set HOST nomaster",
		"ip link set HOST down",
		"ip link set HOST down; ip link set HOST name other; ip link set other name HOST || :",
		renamed,
		"ip link set HOST down; ip link set HOST name other",
		"bridge link set dev HOST hairpin off",
		"tc qdisc del dev HOST ingress",
		"tc filter del dev HOST ingress",
		"ip link add orphan type bridge; ip link set orphan alias gangway:nobody up",
	}
}

// container moves a pair's end into a namespace that lives as long as the test.
func container(t *testing.T, peer string) {
	t.Helper()
	cmd := exec.Command("sleep", "infinity")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	l, err := netlink.LinkByName(peer)
	if err == nil {
		err = netlink.LinkSetNsPid(l, cmd.Process.Pid)
	}
	if err != nil {
		t.Fatal(err)
	}
}
