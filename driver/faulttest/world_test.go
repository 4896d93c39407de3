package faulttest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
	"github.com/gangway-net/gangway/integration/wiring"
	"github.com/gangway-net/gangway/plugin/store"
)

func TestMain(m *testing.M) {
	if job := os.Getenv(jobEnv); job != "" {
		os.Exit(doomed(job))
	}
	nstest.Main(m)
}

// boot is what this boot of the host is called.
const boot = "boot"

// world is one life of the daemon: the driver and what it works with.
type world struct {
	*driver.Driver
	faults *faults
	state  *store.Split
	// closers end what lives in the world, the last one first.
	closers []func()
}

// open starts a daemon on the state in dir, as main does.
func open(ctx context.Context, backend, dir string) (_ *world, err error) {
	log := testkit.Quiet()
	w := &world{faults: &faults{}}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	files, err := store.OpenFiles(dir, boot, time.Minute)
	if err != nil {
		return nil, err
	}
	w.closers = append(w.closers, func() { _ = files.Close() })
	if w.state, err = files.Split("driver", model.EndpointKeys); err != nil {
		return nil, err
	}
	p, err := wiring.Open(ctx, backend, log)
	if err != nil {
		return nil, err
	}
	w.closers = append(w.closers, p.Close)
	w.Driver = driver.New(driver.Options{
		Links: faultyLinks{w.faults, p.Links}, Host: faultyHost{w.faults, p.Links}, Facts: faultyFacts{w.faults, p.Links}, Firewall: faultyRules{w.faults, p.Firewall},
		Ports: faultyPorts{w.faults, p.Ports}, Origins: p.Links, Flows: p.Flows, Store: faultyStore{w.faults, w.state},
		BootID: boot, Log: log,
		Router: true, // who turns forwarding on is damage here; what it closes outlives every network
	})
	p.Origin = w.Driver
	w.closers = append(w.closers, w.Wait)
	return w, w.Restore(ctx)
}

func (w *world) close() {
	for _, c := range slices.Backward(w.closers) {
		c()
	}
}

func mustOpen(t *testing.T, backend, dir string) *world {
	t.Helper()
	w, err := open(t.Context(), backend, dir)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// picture is all that gangway leaves in the kernel and in its store. The
// addresses of hardware and the numbers of links are chosen anew each time.
const picture = `
iptables-nft-save | grep -v '^#' | sed 's/\[.*\]//'; ip6tables-nft-save | grep -v '^#' | sed 's/\[.*\]//'
nft -s list ruleset | grep -A10000 gangway | sed 's/ # progname.*//' || true
ip -o link show | sed 's/^[0-9]*: //; s/@[^:]*//; s/link.ether.*alias/alias/; s/ link.ether.*//; s/ state [A-Z]* / /; s/,LOWER_UP\|NO-CARRIER,\|,M-DOWN//g; s/qdisc [a-z]*//' | sort
ip -o addr show scope global | sed 's/^[0-9]*: //; s/valid_lft.*//' | sort
{ ip route; ip -6 route; } | grep 'dev gw-' | grep -v '^fe80' | sed 's/ linkdown//' | sort
for l in /sys/class/net/gv-*; do test -e $l && tc filter show dev ${l##*/} ingress; done
grep -H . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding /proc/sys/net/ipv[46]/conf/g*/route_localnet /proc/sys/net/ipv6/conf/g*/disable_ipv6 2>/dev/null | sort
ss -Hlntu | awk '{print $1, $5}' | sort`

func (w *world) picture(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", picture)
	var stderr strings.Builder
	cmd.Stderr = &stderr // warnings of the tools, too
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("dump the kernel: %v\n%s", err, stderr.String())
	}
	lines := []string{string(out)}
	err = w.state.Load(func(key string, value []byte) error {
		if key == "host" { // knows who turned forwarding on, which damage changes
			return nil
		}
		lines = append(lines, fmt.Sprintf("%s=%s", key, value))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines[1:])
	return strings.Join(lines, "\n")
}

// same fails the test unless two pictures are equal.
func same(t *testing.T, what, before, after string) {
	t.Helper()
	if before == after {
		return
	}
	count := map[string]int{}
	for line := range strings.Lines(after) {
		count[line]++
	}
	for line := range strings.Lines(before) {
		count[line]--
	}
	var diff strings.Builder
	for line, n := range count {
		if n != 0 {
			fmt.Fprintf(&diff, "%+d %s", n, line)
		}
	}
	if diff.Len() == 0 {
		diff.WriteString("the same lines in another order:\n" + before + "\n" + after)
	}
	t.Fatalf("%s:\n%s", what, diff.String())
}

// sound fails the test unless the kernel holds what the state says, as a
// comparison finds it.
func (w *world) sound(t *testing.T, what string) {
	t.Helper()
	if n := w.Reconcile(t.Context()); n != 0 {
		t.Fatalf("%s: %d repairs: %+v", what, n, w.Events(t.Context(), 0, 0))
	}
	if p := cause.Lines(w.Status(t.Context()).Causes, cause.Problem); len(p) > 0 {
		t.Fatalf("%s: %v", what, p)
	}
}

// warmUp makes what is made once and stays: base chains, forwarding.
func warmUp(t *testing.T) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-ec", `echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
		for at in "raw PREROUTING" "filter FORWARD" "nat PREROUTING" "nat OUTPUT" "nat POSTROUTING"; do set -- $at
		for cmd in iptables ip6tables; do $cmd -t $1 -A $2 -j ACCEPT; $cmd -t $1 -D $2 -j ACCEPT; done; done`).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
