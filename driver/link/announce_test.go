package link_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver/spec"
)

// TestAnnounce: a neighbour that knows an address with another hardware address
// learns the new one from the pair's creation alone, and the host forgets it,
// unless somebody set it for good.
func TestAnnounce(t *testing.T) {
	bridged(t, func(f fixture, v spec.Veth) {
		v.Addresses = []netip.Addr{netip.MustParseAddr("10.7.0.2"), netip.MustParseAddr("fd00:7::2")}
		fixMAC(f)
		peer := neighbour(f)
		peer("ip addr add 10.7.0.9/24 dev n0")
		peer("ip addr add fd00:7::9/64 dev n0 nodad")
		f.sh("ip addr add 10.7.0.1/24 dev br0")
		for _, a := range v.Addresses {
			peer(fmt.Sprintf("ip neigh replace %s dev n0 lladdr 02:00:00:00:00:01 nud stale", a))
			f.sh(fmt.Sprintf("ip neigh replace %s dev br0 lladdr 02:00:00:00:00:01 nud stale", a))
		}
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		for _, a := range v.Addresses {
			f.eventually("neighbour's entry", func() error {
				got := peer("ip neigh show " + a.String())
				if !strings.Contains(got, v.MAC.String()) {
					return fmt.Errorf("%q", got)
				}
				return nil
			})
			if got := f.sh("ip neigh show " + a.String()); strings.Contains(got, "02:00:00:00:00:01") {
				t.Errorf("the host still knows %s", got)
			}
		}
	})
}

// TestAnnounceRespects: entries that an administrator set stay as they are.
func TestAnnounceRespects(t *testing.T) {
	bridged(t, func(f fixture, v spec.Veth) {
		v.Addresses = []netip.Addr{netip.MustParseAddr("10.7.0.2")}
		fixMAC(f)
		f.sh("ip neigh replace 10.7.0.2 dev br0 lladdr 02:00:00:00:00:01 nud permanent")
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		f.contains(f.sh("ip neigh show 10.7.0.2"), "02:00:00:00:00:01 PERMANENT")
		v.Host, v.Peer, v.EndpointID = "gv-none", "gp-none", "none"
		v.MAC, v.Addresses = net.HardwareAddr{2, 0, 0, 0, 0, 9}, nil
		f.ensureVeth(v, "veth gv-none was missing: created")
	})
}

// fixMAC gives br0 a hardware address that is not its ports': when that changes,
// the kernel forgets all neighbours by itself.
func fixMAC(f fixture) { f.sh("ip link set br0 address 02:00:00:00:00:ff") }

// neighbour attaches a network namespace to br0 with its end n0, and returns
// what runs a command in it. It ends with the test's namespace.
func neighbour(f fixture) func(line string) string {
	f.t.Helper()
	inside, _ := machine(f)
	f.sh("ip link set n1 master br0 up")
	f.eventually("forwarding port", func() error {
		if show := f.sh("bridge link show dev n1"); !strings.Contains(show, "state forwarding") {
			return errors.New(show)
		}
		return nil
	})
	return inside
}

// machine makes a network namespace with its end n0 of a link whose other end is n1, and returns what
// runs a command in it, and the number of its process.
func machine(f fixture) (inside func(line string) string, pid int) {
	f.t.Helper()
	cmd := exec.Command("unshare", "--net", "sleep", "infinity")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // some tests end by a signal
	f.ok(cmd.Start())
	f.t.Cleanup(func() {
		f.ok(cmd.Process.Kill())
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
			f.t.Error(err)
		}
	})
	// Until unshare has run, the process is still in this namespace.
	f.eventually("namespace of its own", func() error {
		f.sh("ip link add n1 type veth peer name n0")
		f.sh(fmt.Sprintf("ip link set n0 netns %d", cmd.Process.Pid))
		if exec.Command("ip", "link", "show", "n0").Run() != nil {
			return nil
		}
		f.sh("ip link del n1")
		return errors.New("the new end is still here")
	})
	inside = func(line string) string {
		f.t.Helper()
		return f.sh(fmt.Sprintf("nsenter --net=/proc/%d/ns/net %s", cmd.Process.Pid, line))
	}
	inside("ip link set n0 up")
	return inside, cmd.Process.Pid
}

// eventually polls until there is no error any more.
func (f fixture) eventually(what string, check func() error) {
	f.t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			f.t.Errorf("%s: %v", what, err)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
