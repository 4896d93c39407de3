package hostport

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/nstest"
)

// foreignEnv makes the test binary a process that holds one port: "network
// address".
const foreignEnv = "GANGWAY_HOSTPORT_FOREIGN"

func TestMain(m *testing.M) {
	if what := os.Getenv(foreignEnv); what != "" {
		hold(what)
		return
	}
	nstest.Main(m)
}

func hold(what string) {
	var network, address string
	if _, err := fmt.Sscan(what, &network, &address); err != nil {
		panic(err)
	}
	if network[:3] == "udp" {
		c, err := net.ListenPacket(network, address)
		if err != nil {
			panic(err)
		}
		defer c.Close()
	} else {
		l, err := net.Listen(network, address)
		if err != nil {
			panic(err)
		}
		defer l.Close()
	}
	fmt.Println("held")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// foreign holds a port in another process, until the test ends.
func foreign(t *testing.T, network, address string) (pid int) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), foreignEnv+"="+network+" "+address, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("foreign process: %q, %v", line, err)
	}
	return cmd.Process.Pid
}

var (
	any4      = netip.IPv4Unspecified()
	any6      = netip.IPv6Unspecified()
	loopback4 = netip.MustParseAddr("127.0.0.1")
	loopback6 = netip.IPv6Loopback()
	// cont4 and cont6 are a container's; in these tests they are on lo.
	cont4 = netip.MustParseAddr("10.99.0.2")
	cont6 = netip.MustParseAddr("fd00:99::2")
	// host6 and other6 are global addresses of the host.
	host6  = netip.MustParseAddr("fd00:99::1")
	other6 = netip.MustParseAddr("fd00:99::5")
)

func addAddresses(t testing.TB) {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{cont4.String() + "/32", cont6.String() + "/128", host6.String() + "/128", other6.String() + "/128"} {
		addr, err := netlink.ParseAddr(a)
		if err != nil {
			t.Fatal(err)
		}
		addToLoopback(t, lo, addr)
	}
}

// addToLoopback adds an address, and waits until packets to it arrive: the kernel adds the
// route of one of IPv6 later.
func addToLoopback(t testing.TB, lo netlink.Link, addr *netlink.Addr) {
	t.Helper()
	addr.Flags = 0x02 // IFA_F_NODAD
	if err := netlink.AddrReplace(lo, addr); err != nil {
		t.Fatal(err)
	}
	eventually(t, fmt.Sprintf("%s has its route", addr.IP), func() bool {
		routes, err := netlink.RouteGetWithOptions(addr.IP, &netlink.RouteGetOptions{Oif: "lo"})
		return err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL
	})
}

func quiet() *logrus.Entry {
	l := logrus.New()
	l.SetOutput(io.Discard)
	return logrus.NewEntry(l)
}

func manager(t testing.TB) *Manager {
	t.Helper()
	return managerWith(t, nil)
}

func managerWith(t testing.TB, change func(*limits)) *Manager {
	t.Helper()
	addAddresses(t)
	l := defaultLimits(raiseFileLimit(quiet()))
	if change != nil {
		change(&l)
	}
	m := newManager(quiet(), l, anyLink{})
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// ask is a request for the dual-stack container; 0, 0 is an ephemeral port.
func ask(first, last, container uint16, hosts ...netip.Addr) spec.PortRequest {
	return spec.PortRequest{
		Proto: spec.TCP, HostIPs: hosts, First: first, Last: last,
		Container4: cont4, Container6: cont6, ContainerPort: container,
	}
}

func only4(q spec.PortRequest) spec.PortRequest { q.Container6 = netip.Addr{}; return q }
func only6(q spec.PortRequest) spec.PortRequest { q.Container4 = netip.Addr{}; return q }
func proto(p spec.Protocol, q spec.PortRequest) spec.PortRequest {
	q.Proto = p
	return q
}

// reserve reserves ports and holds them, beside what the owner has.
func reserve(t testing.TB, m *Manager, owner string, want ...spec.PortRequest) []spec.Published {
	t.Helper()
	runs, err := m.Reserve(context.Background(), owner, want)
	if err == nil {
		_, _, err = m.Hold(context.Background(), portsOf(owner, runs))
	}
	if err != nil {
		t.Fatal(err)
	}
	return runs
}

// leave has the owner hold these ports and no others.
func leave(t testing.TB, m *Manager, owner string, runs []spec.Published) {
	t.Helper()
	p := portsOf(owner, runs)
	if _, unheld, err := m.Hold(context.Background(), p); err != nil || len(unheld) > 0 {
		t.Fatal(unheld, err)
	}
	m.Trim(p)
}

func portsOf(owner string, runs []spec.Published) spec.HostPorts {
	p := spec.HostPorts{Sandbox: owner}
	for _, r := range runs {
		p.Runs = append(p.Runs, spec.EndpointRun{Published: r})
	}
	return p
}

// ports counts the single ports of runs.
func ports(runs []spec.Published) int {
	n := 0
	for _, r := range runs {
		n += r.Len()
	}
	return n
}

// snapshot is what the book holds: the same sockets, leading to the same.
func snapshot(m *Manager) map[key]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[key]string{}
	for _, sockets := range m.book.owners {
		for s := range sockets {
			out[s.key] = fmt.Sprint(s.owner, s.fd, s.target, s.relay != nil)
		}
	}
	return out
}

func wantSame(t *testing.T, m *Manager, before map[key]string) {
	t.Helper()
	if after := snapshot(m); !reflect.DeepEqual(after, before) {
		t.Errorf("book changed:\n%v\nbefore:\n%v", after, before)
	}
}

// held is how many descriptors are counted for sockets.
func held(m *Manager) int {
	m.fds.mu.Lock()
	defer m.fds.mu.Unlock()
	return m.fds.held
}

// bindable proves that a port is free, or not, by binding it as anybody would.
func bindable(k key) bool {
	fd, err := (&filters{}).bind(binding{key: k})
	if err != nil {
		return false
	}
	_ = unix.Close(fd)
	return true
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		runtime.Gosched()
		time.Sleep(2 * time.Millisecond)
	}
}

func openFiles(t testing.TB) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// openSockets leaves out the pipes of relayed connections, which are kept for the
// next ones.
func openSockets(t testing.TB) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range names {
		if to, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// anyLink admits everybody, as a host without internal networks does.
type anyLink struct{}

func (anyLink) Admits(link int, _ netip.Addr, _ bool) bool { return link > 0 }
