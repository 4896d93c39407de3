package conntrack_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/conntrack"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

func TestMain(m *testing.M) { nstest.Main(m) }

// flow is a tracked flow in short: where it was sent from and to, and how it
// is answered.
type flow struct {
	proto                uint8
	src, dst, rsrc, rdst string
}

func ends(t *testing.T, src, dst string) netlink.IPTuple {
	t.Helper()
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	return netlink.IPTuple{SrcIP: s.Addr().AsSlice(), DstIP: d.Addr().AsSlice(), SrcPort: s.Port(), DstPort: d.Port()}
}

func insert(t *testing.T, f flow) {
	t.Helper()
	c := &netlink.ConntrackFlow{FamilyType: unix.AF_INET, Forward: ends(t, f.src, f.dst), Reverse: ends(t, f.rsrc, f.rdst), TimeOut: 600}
	if c.Forward.DstIP.To4() == nil {
		c.FamilyType = unix.AF_INET6
	}
	c.Forward.Protocol, c.Reverse.Protocol = f.proto, f.proto
	if f.proto == unix.IPPROTO_TCP {
		c.ProtoInfo = &netlink.ProtoInfoTCP{State: 3} // established
	}
	if err := netlink.ConntrackCreate(netlink.ConntrackTable, netlink.InetFamily(c.FamilyType), c); err != nil {
		t.Fatalf("insert %+v: %v", f, err)
	}
}

// left lists the flows by what they were sent from and to.
func left(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
		flows, err := netlink.ConntrackTableList(netlink.ConntrackTable, family)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range flows {
			// Other flows are the kernel's own, such as router solicitations.
			if p := f.Forward.Protocol; p == unix.IPPROTO_TCP || p == unix.IPPROTO_UDP {
				all = append(all, fmt.Sprintf("%d %s>%s", p, end(f.Forward.SrcIP, f.Forward.SrcPort), end(f.Forward.DstIP, f.Forward.DstPort)))
			}
		}
	}
	slices.Sort(all)
	return all
}

func end(ip net.IP, port uint16) string {
	a, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(a, port).String()
}

// fixture has flows of each kind, by what they stand for. The host is
// 192.0.2.1 and 2001:db8::1, containers are in 10.9.0.0/24 and fd09::/64.
var fixture = map[string]flow{
	"published tcp":      {6, "198.51.100.7:40000", "192.0.2.1:8080", "10.9.0.2:80", "198.51.100.7:40000"},
	"published udp":      {17, "198.51.100.7:40001", "192.0.2.1:5353", "10.9.0.2:53", "198.51.100.7:40001"},
	"same udp, other ip": {17, "198.51.100.7:40002", "192.0.2.9:5353", "10.9.0.3:53", "198.51.100.7:40002"},
	"masqueraded":        {17, "10.9.0.2:33000", "8.8.8.8:5353", "8.8.8.8:5353", "192.0.2.1:33000"},
	"neighbour's out":    {17, "10.9.0.3:33000", "8.8.4.4:5353", "8.8.4.4:5353", "192.0.2.1:33001"},
	"between containers": {6, "10.9.0.3:50000", "10.9.0.2:80", "10.9.0.2:80", "10.9.0.3:50000"},
	"container port":     {17, "198.51.100.8:40000", "192.0.2.1:6000", "10.9.0.3:5353", "198.51.100.8:40000"},
	"client port":        {17, "198.51.100.8:5353", "192.0.2.1:6001", "10.9.0.3:53", "198.51.100.8:5353"},
	"tcp on that port":   {6, "198.51.100.8:41000", "192.0.2.1:5353", "10.9.0.3:53", "198.51.100.8:41000"},
	"not yet translated": {17, "198.51.100.9:40003", "192.0.2.1:5353", "192.0.2.1:5353", "198.51.100.9:40003"},
	"loopback":           {17, "127.0.0.1:40004", "127.0.0.5:5353", "10.9.0.2:53", "192.0.2.1:40004"},
	"v6 udp":             {17, "[2001:db8:f::7]:40000", "[2001:db8::1]:5353", "[fd09::2]:53", "[2001:db8:f::7]:40000"},
	"the host's":         {17, "192.0.2.1:33009", "8.8.8.8:5353", "8.8.8.8:5353", "192.0.2.1:33009"},
	"v6 out":             {17, "[fd09::3]:40000", "[2001:db8:f::53]:5353", "[2001:db8:f::53]:5353", "[2001:db8::1]:40000"},
}

// prepare fills an empty namespace with the fixture.
func prepare(t *testing.T) {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{"192.0.2.1/32", "2001:db8::1/128"} {
		addr, _ := netlink.ParseAddr(a)
		addr.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(lo, addr); err != nil {
			t.Fatal(err)
		}
	}
	// The kernel comes round to the local routes of IPv6 a moment later.
	testkit.Eventually(t, "no local route to 2001:db8::1", func() bool {
		routes, err := netlink.RouteGet(net.ParseIP("2001:db8::1"))
		return err == nil && len(routes) == 1 && routes[0].Type == unix.RTN_LOCAL
	})
	for _, f := range fixture {
		insert(t, f)
	}
	if n := len(left(t)); n != len(fixture) {
		t.Fatalf("%d flows in the kernel, want %d", n, len(fixture))
	}
}

// wantGone compares the table with the fixture without the named flows.
func wantGone(t *testing.T, gone ...string) {
	t.Helper()
	var want []string
	for name, f := range fixture {
		if !slices.Contains(gone, name) {
			want = append(want, fmt.Sprintf("%d %s>%s", f.proto, f.src, f.dst))
		}
	}
	for _, name := range gone {
		if _, ok := fixture[name]; !ok {
			t.Fatalf("no flow %q in the fixture", name)
		}
	}
	slices.Sort(want)
	if d := cmp.Diff(want, left(t)); d != "" {
		t.Errorf("flows that are left (-want +got):\n%s", d)
	}
}

func addrs(list ...string) (all []netip.Addr) {
	for _, a := range list {
		all = append(all, netip.MustParseAddr(a))
	}
	return all
}

func TestDropAddresses(t *testing.T) {
	tests := map[string]struct {
		addrs []netip.Addr
		gone  []string
	}{
		"none":    {},
		"nobody":  {addrs: addrs("10.9.0.77", "fd09::77")},
		"invalid": {addrs: []netip.Addr{{}}},
		"one": {
			addrs: addrs("10.9.0.2"),
			gone:  []string{"published tcp", "published udp", "masqueraded", "between containers", "loopback"},
		},
		"mapped": {
			addrs: addrs("::ffff:10.9.0.2"),
			gone:  []string{"published tcp", "published udp", "masqueraded", "between containers", "loopback"},
		},
		"both families": {
			addrs: addrs("fd09::2", "10.9.0.3"),
			gone: []string{"v6 udp", "same udp, other ip", "neighbour's out", "between containers",
				"container port", "client port", "tcp on that port"},
		},
		"v6 source": {addrs: addrs("fd09::3"), gone: []string{"v6 out"}},
	}
	for name, tt := range tests {
		everyWay(t, name, func(t *testing.T, table *conntrack.Table) {
			if err := table.DropAddresses(t.Context(), tt.addrs); err != nil {
				t.Error(err)
			}
			wantGone(t, tt.gone...)
		})
	}
}

// TestDropTranslated lists: the kernel's filter goes by a mark that it gives the
// flows it translates itself, see TestTranslatedTraffic.
func TestDropTranslated(t *testing.T) {
	tests := map[string]struct {
		addrs []netip.Addr
		gone  []string
	}{
		"none":          {},
		"nobody":        {addrs: addrs("10.9.0.77", "fd09::77")},
		"untranslated":  {addrs: addrs("192.0.2.1")},
		"one":           {addrs: addrs("10.9.0.2"), gone: []string{"published udp", "loopback"}},
		"both families": {addrs: addrs("10.9.0.3", "fd09::2"), gone: []string{"same udp, other ip", "container port", "client port", "v6 udp"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			nstest.Do(t, func() {
				prepare(t)
				table := open(t)
				defer table.Close()
				table.ListOnly()
				if err := table.DropTranslated(t.Context(), tt.addrs); err != nil {
					t.Error(err)
				}
				wantGone(t, tt.gone...)
			})
		})
	}
}

// run leads to a container that no flow of the fixture leads to.
func run(proto spec.Protocol, ip string, first, last uint16) spec.Published {
	return runTo(proto, ip, first, last, "10.9.0.9:53")
}

// hosts are ports of the host itself.
func hosts(ip string, first, last uint16) spec.Published {
	return spec.Published{Proto: spec.UDP, HostIP: netip.MustParseAddr(ip), First: first, Last: last}
}

func runTo(proto spec.Protocol, ip string, first, last uint16, to string) spec.Published {
	c := netip.MustParseAddrPort(to)
	return spec.Published{Proto: proto, HostIP: netip.MustParseAddr(ip), First: first, Last: last, ContainerIP: c.Addr(), ContainerFirst: c.Port()}
}

func TestDropPorts(t *testing.T) {
	tests := map[string]struct {
		runs []spec.Published
		gone []string
	}{
		"none":       {},
		"no address": {runs: []spec.Published{{Proto: spec.UDP, First: 5353, Last: 5353}}},
		"tcp only":   {runs: []spec.Published{run(spec.TCP, "0.0.0.0", 1, 65535)}},
		"one address": {
			runs: []spec.Published{run(spec.UDP, "192.0.2.1", 5353, 5353)},
			gone: []string{"published udp", "not yet translated"},
		},
		"leads there already": {
			runs: []spec.Published{runTo(spec.UDP, "192.0.2.1", 5353, 5353, "10.9.0.2:53")},
			gone: []string{"not yet translated"},
		},
		"leads there in a range": {
			runs: []spec.Published{runTo(spec.UDP, "192.0.2.1", 5301, 5399, "10.9.0.2:1")},
			gone: []string{"not yet translated"},
		},
		"led to another port": {
			runs: []spec.Published{runTo(spec.UDP, "192.0.2.1", 5353, 5353, "10.9.0.2:54")},
			gone: []string{"published udp", "not yet translated"},
		},
		"not the host's": {
			runs: []spec.Published{run(spec.UDP, "192.0.2.9", 5353, 5353)},
			gone: []string{"same udp, other ip"},
		},
		"every address": {
			runs: []spec.Published{run(spec.UDP, "0.0.0.0", 5353, 5353)},
			gone: []string{"published udp", "not yet translated", "loopback"},
		},
		"range ends": {
			runs: []spec.Published{run(spec.UDP, "0.0.0.0", 6001, 65535), run(spec.UDP, "192.0.2.1", 1, 5352)},
			gone: []string{"client port", "masqueraded", "neighbour's out", "loopback"},
		},
		"v6":         {runs: []spec.Published{run(spec.UDP, "::", 5000, 5400)}, gone: []string{"v6 udp"}},
		"v6 address": {runs: []spec.Published{run(spec.UDP, "2001:db8::1", 5353, 5353)}, gone: []string{"v6 udp"}},
		"both families": {
			runs: []spec.Published{run(spec.UDP, "::", 5353, 5353), run(spec.UDP, "192.0.2.1", 6000, 6001)},
			gone: []string{"v6 udp", "container port", "client port"},
		},
	}
	for name, tt := range tests {
		everyWay(t, name, func(t *testing.T, table *conntrack.Table) {
			if err := table.DropPorts(t.Context(), tt.runs); err != nil {
				t.Error(err)
			}
			wantGone(t, tt.gone...)
		})
	}
}

// everyWay runs f with a table that may use the kernel's filters, and with one
// that has to list, as on older kernels.
func everyWay(t *testing.T, name string, f func(*testing.T, *conntrack.Table)) {
	t.Helper()
	for _, way := range []string{"filters", "list"} {
		t.Run(name+"/"+way, func(t *testing.T) {
			nstest.Do(t, func() {
				prepare(t)
				table := open(t)
				defer table.Close()
				if way == "list" {
					table.ListOnly()
				}
				f(t, table)
			})
		})
	}
}

// open is for goroutines other than the test's, as in nstest.Do.
func open(t *testing.T) *conntrack.Table {
	t.Helper()
	table, err := conntrack.New()
	if err != nil {
		panic(err)
	}
	return table
}

func sh(t *testing.T, line string) {
	t.Helper()
	args := strings.Fields(line)
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", line, err, out)
	}
}

func TestManyFlows(t *testing.T) {
	nstest.Do(t, func() {
		var list []netip.Addr
		for i := range 2000 {
			a := netip.AddrFrom4([4]byte{10, 9, byte(i / 250), byte(2 + i%250)})
			insert(t, flow{17, a.String() + ":4000", "8.8.8.8:53", "8.8.8.8:53", "192.0.2.1:" + fmt.Sprint(10000+i)})
			if i%2 == 0 {
				list = append(list, a)
			}
		}
		table := open(t)
		defer table.Close()
		if err := table.DropAddresses(t.Context(), list); err != nil {
			t.Error(err)
		}
		if n := len(left(t)); n != 1000 {
			t.Errorf("%d flows left, want 1000", n)
		}
	})
}

func TestNothingToDoMakesNoCall(t *testing.T) {
	table := open(t)
	table.Close()
	// On a closed table every call would fail or open a socket of its own.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := table.DropAddresses(ctx, nil); err != nil {
		t.Error(err)
	}
	if err := table.DropPorts(ctx, []spec.Published{run(spec.TCP, "0.0.0.0", 1, 9)}); err != nil {
		t.Error(err)
	}
}

func TestCancelled(t *testing.T) {
	table := open(t)
	defer table.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := table.DropAddresses(ctx, addrs("10.9.0.2")); !errors.Is(err, context.Canceled) {
		t.Errorf("DropAddresses: %v", err)
	}
	if err := table.DropPorts(ctx, []spec.Published{run(spec.UDP, "::", 1, 9)}); !errors.Is(err, context.Canceled) {
		t.Errorf("DropPorts: %v", err)
	}
}

func TestNoSocketLeft(t *testing.T) {
	count := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	open(t).Close()
	before := count()
	for range 20 {
		table := open(t)
		if err := table.DropAddresses(t.Context(), addrs("10.9.0.2", "fd09::2")); err != nil {
			t.Fatal(err)
		}
		table.Close()
	}
	if after := count(); after > before {
		t.Errorf("%d file descriptors before, %d after", before, after)
	}
}
