package dhcp_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
	"github.com/gangway-net/gangway/ipam/lease"
	"github.com/gangway-net/gangway/ipam/lease/dhcp"
)

func TestMain(m *testing.M) { nstest.Main(m) }

// The LAN of the tests: its router, which is the server as well, and containers.
const (
	router = "10.85.0.1"
	macA   = "02:00:00:00:00:aa"
	macB   = "02:00:00:00:00:bb"
)

func sh(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.Command("sh", "-ec", script).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v: %s", script, err, out)
	}
	return string(out)
}

// place is another network namespace, which lasts until the end of the test.
type place struct {
	// thread is the number of the one that is in it.
	thread int
	do     chan func()
	done   chan struct{}
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{do: make(chan func()), done: make(chan struct{})}
	thread := make(chan int, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		nstest.Do(t, func() {
			thread <- unix.Gettid()
			for f := range p.do {
				f()
				p.done <- struct{}{}
			}
		})
	}()
	select {
	case p.thread = <-thread:
	case <-ended:
		t.FailNow()
	}
	t.Cleanup(func() {
		close(p.do)
		<-ended
	})
	return p
}

// in runs f there.
func (p *place) in(f func()) {
	p.do <- f
	<-p.done
}

// onLAN makes eth1, whose other end is the router's, which serve makes a server.
func onLAN(t *testing.T, serve func()) *dhcp.Server {
	t.Helper()
	there := newPlace(t)
	sh(t, fmt.Sprintf("ip link add eth1 type veth peer name lan0 netns %d; ip link set eth1 up", there.thread))
	t.Cleanup(func() { sh(t, "ip link del eth1") })
	there.in(func() {
		sh(t, "ip addr add "+router+"/24 dev lan0; ip link set lan0 up")
		if !t.Failed() {
			serve()
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return dhcp.New(dhcp.Options{Awake: func(context.Context, string) (func(), error) { return func() {}, nil }})
}

// dnsmasq serves 10.85.0.100 and on.
type dnsmasq struct{ leases string }

// startDnsmasq starts one in the namespace of the calling thread.
func startDnsmasq(t *testing.T, dir string, options ...string) {
	args := append([]string{"--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=lan0", "--except-interface=lo", "--bind-interfaces", "--user=root", "--pid-file=",
		"--dhcp-authoritative", "--no-ping", "--dhcp-range=10.85.0.100,10.85.0.120,255.255.255.0,1h", "--dhcp-leasefile=" + filepath.Join(dir, "leases")}, options...)
	cmd := exec.Command("dnsmasq", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err == nil {
		cmd.Stdout, cmd.Stderr = log, log
		err = cmd.Start()
	}
	if err != nil {
		t.Errorf("dnsmasq (scripts/deps.sh check installs it): %v", err)
		return
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("dnsmasq: %s", text)
		}
	})
	testkit.Eventually(t, "dnsmasq listens", func() bool {
		out, err := exec.Command("ss", "-Hlun", "sport = :67").CombinedOutput()
		return err == nil && len(out) > 0
	})
}

// withDnsmasq is onLAN with a dnsmasq, whose leases are read by leases.
func withDnsmasq(t *testing.T, options ...string) (s *dhcp.Server, d dnsmasq) {
	t.Helper()
	dir := t.TempDir()
	s = onLAN(t, func() { startDnsmasq(t, dir, options...) })
	return s, dnsmasq{filepath.Join(dir, "leases")}
}

// of returns the address and the name that the server has leased to a hardware address.
func (d dnsmasq) of(mac string) string {
	text, _ := os.ReadFile(d.leases)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 5 && f[1] == mac {
			return f[2] + " " + f[3]
		}
	}
	return ""
}

// container joins a container with the address of a lease to a bridge that has eth1 as a port,
// as Gangway does.
func container(t *testing.T, l lease.Lease) {
	t.Helper()
	sh(t, "ip link add br0 type bridge forward_delay 0; ip link set br0 up; ip link set eth1 master br0")
	there := newPlace(t)
	sh(t, fmt.Sprintf("ip link add port type veth peer name eth0 address %s netns %d; ip link set port master br0 up", l.MAC, there.thread))
	there.in(func() { sh(t, fmt.Sprintf("ip link set eth0 up; ip addr add %s dev eth0", l.Address)) })
	t.Cleanup(func() { sh(t, "ip link del br0") })
	// The bridge passes on when its ports do.
	testkit.Eventually(t, "the bridge forwards", func() bool {
		return strings.Count(sh(t, "bridge link show"), "state forwarding") == 2
	})
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// unused is a hardware address of nobody.
func unused(t *testing.T) net.HardwareAddr {
	mac, err := net.ParseMAC(macB)
	if err != nil {
		t.Fatal(err)
	}
	return mac
}

func netipPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
