package link_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/link"
	"github.com/gangway-net/gangway/driver/spec"
)

// hostAddresses and hostRoutes are of all kinds that ip(8) makes on a link; the last ones are what a DHCP client and
// router advertisements leave.
var hostAddresses = []string{
	"192.0.2.1/24 brd + dev eth1", "192.0.2.9/24 dev eth1 label eth1:nine", "198.51.100.1/32 dev eth1 scope link",
	"203.0.113.5/24 brd + dev eth1 valid_lft 3600 preferred_lft 1800", "203.0.114.5/24 dev eth1 noprefixroute metric 77",
	"2001:db8::1/64 dev eth1 nodad", "2001:db8:1::1/64 dev eth1 nodad noprefixroute", "2001:db8:2::1/64 dev eth1 nodad valid_lft 3600 preferred_lft 1800",
}

var hostRoutes = []string{
	"default via 192.0.2.254 dev eth1 proto dhcp src 192.0.2.1 metric 100", "default via 192.0.2.253 dev eth1 metric 200 mtu 1400 advmss 1300 initcwnd 20",
	"203.0.114.0/24 dev eth1 proto kernel scope link src 203.0.114.5 metric 100", "10.9.0.0/16 via 192.0.2.7 dev eth1 table 77", "10.8.0.0/16 dev eth1 scope link",
	"10.7.0.0/16 nexthop via 192.0.2.5 dev eth1 weight 2 nexthop via 192.0.2.6 dev eth1", "198.51.100.7 via 10.8.0.1 dev eth1 onlink",
	"default via fe80::254 dev eth1 proto ra metric 1024 expires 1800 pref high", "2001:db8:9::/48 via 2001:db8::7 dev eth1 table 77 metric 5",
	"2001:db8:8::/48 nexthop via 2001:db8::5 dev eth1 nexthop via 2001:db8::6 dev eth1", "2001:db8:1::/64 dev eth1 proto kernel metric 100",
}

// hosting runs with a host that reaches a LAN by eth1, which has all of that, and with flows of it to another
// machine there, 192.0.2.2 and 2001:db8::2.
func hosting(t *testing.T, do func(f fixture, b spec.Bridge, p spec.LANPort, flows []net.Conn)) {
	t.Helper()
	inside(t, func(f fixture) {
		say, pid := machine(f)
		f.sh("ip link set n1 name eth1")
		f.set("net/ipv6/conf/eth1/accept_dad", "0")
		f.sh("ip link set eth1 up")
		say("ip addr add 192.0.2.2/24 dev n0")
		say("ip addr add 2001:db8::2/64 dev n0 nodad")
		for _, a := range hostAddresses {
			f.sh("ip addr add " + a)
		}
		for _, r := range hostRoutes {
			family := ""
			if strings.Contains(r, ":db8:") || strings.Contains(r, "fe80") {
				family = "-6 "
			}
			f.sh("ip " + family + "route append " + r)
		}
		f.eventually("the link has its IPv6", func() error {
			if show := f.sh("ip -6 addr show dev eth1"); !strings.Contains(show, "fe80") || strings.Contains(show, "tentative") {
				return errors.New(show)
			}
			return nil
		})
		b, p := moving()
		do(f, b, p, f.flows(pid))
	})
}

// moving is a network whose uplink is eth1, and has what the host has there move to its bridge.
func moving() (spec.Bridge, spec.LANPort) {
	b, p := onLAN()
	b.Host, p.Move = true, true
	return b, p
}

var (
	// changing is what changes by itself; own is what each link has for itself.
	changing = regexp.MustCompile(` expires \d+sec| valid_lft \d+sec preferred_lft \d+sec|^\d+: | linkdown| dead| nodad|\\`)
	own      = regexp.MustCompile(`inet6 fe80:|^(fe80::/64|ff00::/8|local|anycast|multicast|broadcast) `)
)

// on is what the host has by a link, without the link's name.
func (f fixture) on(name string) string {
	f.t.Helper()
	var lines []string
	for _, list := range []string{"-o -4 addr show dev " + name, "-o -6 addr show dev " + name, "-4 route show table all", "-6 route show table all"} {
		for line := range strings.Lines(f.sh("ip " + list)) {
			if own.MatchString(line) || !regexp.MustCompile(`\b`+name+`\b`).MatchString(line) {
				continue
			}
			line = regexp.MustCompile(`\b`+name+`( |$)`).ReplaceAllString(changing.ReplaceAllString(line, ""), "LINK ")
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
	}
	return strings.Join(sorted(lines), "\n")
}

// flows opens a TCP connection of each family from the machine of a process to the host, as an ssh session
// is. The machine sends back what it gets.
func (f fixture) flows(pid int) (all []net.Conn) {
	f.t.Helper()
	for _, address := range []string{"192.0.2.1", "2001:db8::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
		if err != nil {
			f.t.Error(err)
			return all
		}
		go func() {
			runtime.LockOSThread() // it ends with the thread, which is in another namespace
			peer, failed := dialFrom(pid, l.Addr().String())
			if failed == nil {
				_, failed = io.Copy(peer, peer)
				failed = errors.Join(failed, peer.Close())
			}
			if failed != nil && !errors.Is(failed, net.ErrClosed) {
				f.t.Log(err)
			}
		}()
		conn, err := l.Accept()
		f.ok(err)
		f.ok(l.Close())
		if err == nil {
			f.t.Cleanup(func() { _ = conn.Close() })
			all = append(all, conn)
		}
	}
	return all
}

// dialFrom connects from the network namespace of a process.
func dialFrom(pid int, to string) (net.Conn, error) {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, err
	}
	err = errors.Join(unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET), ns.Close())
	if err != nil {
		return nil, err
	}
	return net.DialTimeout("tcp", to, 5*time.Second)
}

// alive wants each of the flows to carry something both ways.
func (f fixture) alive(when string, flows []net.Conn) {
	f.t.Helper()
	for _, c := range flows {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		got := make([]byte, len(when))
		_, err := c.Write([]byte(when))
		if err == nil {
			_, err = io.ReadFull(c, got)
		}
		if err != nil || string(got) != when {
			f.t.Errorf("%s: the flow with %s: %q, %v", when, c.RemoteAddr(), got, err)
		}
	}
}

// moved wants the bridge to have what the link had, and the link nothing.
func (f fixture) moved(when, before string, b spec.Bridge, p spec.LANPort) {
	f.t.Helper()
	if d := cmp.Diff(before, f.on(b.Name)); d != "" {
		f.t.Errorf("%s: on the bridge (-as it was on the link +is):\n%s", when, d)
	}
	if left := f.on(p.Link); left != "" {
		f.t.Errorf("%s: left on the link:\n%s", when, left)
	}
	mac := func(name string) string {
		return regexp.MustCompile(`link/ether \S+`).FindString(f.sh("ip link show " + name))
	}
	f.same(mac(p.Link), mac(b.Name))
	f.contains(f.sh("ip link show "+p.Link), "master "+b.Name)
}

// TestMove: what the host has on an uplink is on the bridge as long as there is the network, also what somebody puts on
// the uplink meanwhile, and back on the uplink afterwards, whichever way the network goes. Flows of the host
// live on.
func TestMove(t *testing.T) {
	ctx := context.Background()
	for name, end := range map[string]func(fixture, spec.Bridge, spec.LANPort){
		"removed": func(f fixture, b spec.Bridge, p spec.LANPort) {
			f.ok(f.DeleteLANPort(ctx, p))
			f.ok(f.DeleteBridge(ctx, b))
		},
		"bridge first": func(f fixture, b spec.Bridge, p spec.LANPort) {
			f.ok(f.DeleteBridge(ctx, b))
			f.ok(f.DeleteLANPort(ctx, p))
		},
		"pruned": func(f fixture, _ spec.Bridge, _ spec.LANPort) {
			f.another(func(f fixture) {
				_, err := f.Prune(ctx, nil, nil)
				f.ok(err)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			hosting(t, func(f fixture, b spec.Bridge, p spec.LANPort, flows []net.Conn) {
				f.alive("before", flows)
				before, link := f.on("eth1"), f.sh("ip -o link show eth1")
				_, err := f.EnsureBridge(ctx, b)
				f.ok(err)
				_, err = f.EnsureLANPort(ctx, p)
				f.ok(err)
				f.moved("at first", before, b, p)
				f.alive("moved", flows)
				out, err := f.Outside(ctx)
				f.ok(err)
				f.same([]spec.Outside{{Name: b.Name, Bridge: true}}, out)
				f.lines("EnsureBridge", func() ([]string, error) { return f.EnsureBridge(ctx, b) }, nil)
				f.lines("EnsureLANPort", func() ([]string, error) { return f.EnsureLANPort(ctx, p) }, nil)

				f.heals(ctx, b, p)
				f.moved("healed", before, b, p)
				f.alive("healed", flows)

				end(f, b, p)
				if d := cmp.Diff(before, f.on("eth1")); d != "" {
					t.Errorf("given back (-before +after):\n%s", d)
				}
				if d := cmp.Diff(settled(link), settled(f.sh("ip -o link show eth1"))); d != "" {
					t.Errorf("given back (-before +after):\n%s", d)
				}
				if exec.Command("ip", "link", "show", b.Name).Run() == nil {
					t.Error("the bridge is left")
				}
				f.alive("back", flows)
			})
		})
	}
}

// heals puts addresses and a route on the link, which have to get to the bridge.
func (f fixture) heals(ctx context.Context, b spec.Bridge, p spec.LANPort) {
	f.t.Helper()
	f.sh("ip addr add 192.0.2.1/24 brd + dev eth1")
	f.sh("ip addr add 192.0.2.77/24 brd + dev eth1")
	f.sh("ip route append 10.77.0.0/16 via 192.0.2.5 dev eth1")
	amiss, err := f.Amiss(ctx, []spec.Object{p})
	f.ok(err)
	f.same([]spec.Object{p}, amiss)
	_, err = f.EnsureLANPort(ctx, p)
	f.ok(err)
	amiss, err = f.Amiss(ctx, []spec.Object{p})
	f.ok(err)
	f.same([]spec.Object(nil), amiss)
	f.contains(f.sh("ip addr show dev "+b.Name), "192.0.2.77/24")
	f.contains(f.sh("ip route show 10.77.0.0/16"), b.Name)
	f.sh("ip addr del 192.0.2.77/24 dev " + b.Name)
	f.sh("ip route del 10.77.0.0/16")
}

// moveEnv tells a second run of the test binary what to move, and before which change to be killed.
const moveEnv = "GANGWAY_LINK_MOVE"

// killed has another process move, there or back, which is killed before a change. It says no if there are fewer.
func (f fixture) killed(step int, back bool) bool {
	f.t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %t", moveEnv, step, back))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return false
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
		return true
	}
	f.t.Errorf("step %d: %v\n%s", step, err, out)
	return false
}

// doomedMove is that process. It ends with 0 if it was not killed.
func doomedMove(job string) (code int) {
	var step int
	var back bool
	ctx := context.Background()
	_, err := fmt.Sscan(job, &step, &back)
	h, failed := link.New(link.Options{})
	if err = errors.Join(err, failed); err == nil {
		b, p := moving()
		h.KillBefore(step)
		if back {
			err = errors.Join(h.DeleteLANPort(ctx, p), h.DeleteBridge(ctx, b))
		} else {
			_, err = h.EnsureLANPort(ctx, p)
		}
		h.Close()
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// TestMoveKilled: a process that is killed (kill -9) at whatever step of moving, there or back, leaves a host that is reached, and the next
// one makes it whole or takes it back. Nothing is lost.
func TestMoveKilled(t *testing.T) {
	ctx := context.Background()
	type next func(f fixture, before string, b spec.Bridge, p spec.LANPort)
	returned := func(f fixture, before string, _ spec.Bridge, p spec.LANPort) {
		_, err := f.Prune(ctx, nil, nil)
		f.ok(err)
		if d := cmp.Diff(before, f.on(p.Link)); d != "" {
			f.t.Errorf("given back (-before +after):\n%s", d)
		}
	}
	whole := func(f fixture, before string, b spec.Bridge, p spec.LANPort) {
		_, err := f.EnsureBridge(ctx, b)
		f.ok(err)
		_, err = f.EnsureLANPort(ctx, p)
		f.ok(err)
		f.moved("made whole", before, b, p)
		returned(f, before, b, p)
	}
	for name, c := range map[string]struct {
		back bool
		next next
	}{
		"there, made whole": {false, whole}, "there, given back": {false, returned}, "back, given back": {true, returned}, "back, made again": {true, whole},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			steps, stride := 0, 1
			if testing.Short() {
				stride = 7
			}
			for ended := false; !ended; steps += stride {
				hosting(t, func(f fixture, b spec.Bridge, p spec.LANPort, flows []net.Conn) {
					before := f.on("eth1")
					_, err := f.EnsureBridge(ctx, b)
					f.ok(err)
					if c.back {
						_, err = f.EnsureLANPort(ctx, p)
						f.ok(err)
					}
					ended = !f.killed(steps, c.back)
					f.alive("killed", flows)
					f.another(func(f fixture) { c.next(f, before, b, p) })
					f.alive("afterwards", flows)
				})
				if t.Failed() {
					t.Fatalf("killed before step %d", steps)
				}
			}
			if steps < 30 {
				t.Errorf("%d steps: what is moved?", steps)
			}
		})
	}
}
