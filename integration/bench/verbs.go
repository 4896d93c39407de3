package bench

import (
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/integration/harness"
	"github.com/gangway-net/gangway/integration/testkit"
)

// perNetwork is how many endpoints share a network.
const perNetwork = 100

// firstPort is the first host port of the endpoints that are present.
const firstPort = 10000

// station is a daemon on a host without an engine, and a client in the
// engine's place.
type station struct {
	client
	variant Variant
	host    *harness.Node
	daemon  *process
	// kernel and sandbox reach the host's links and those of the namespace
	// that stands for all containers.
	kernel, sandbox *netlink.Handle
	loopback        netlink.Link
	sandboxNS       netns.NsHandle
	socket, state   string
	programs        string
	networks        int
}

// newStation starts the variant's daemon on a new host.
func newStation(t testing.TB, v Variant, programs string) *station {
	t.Helper()
	lan := harness.NewLAN(t)
	dir := t.TempDir()
	s := &station{
		variant: v, host: lan.Outside.Node, programs: programs,
		socket: filepath.Join(dir, v.Name+".sock"), state: filepath.Join(dir, "state"),
	}
	s.http = testkit.UnixClient(s.socket, 0)
	t.Cleanup(s.http.CloseIdleConnections)
	s.kernel, _ = handleOf(t, lan.Outside.Node)
	var err error
	if s.loopback, err = s.kernel.LinkByName("lo"); err != nil {
		t.Fatal(err)
	}
	s.sandbox, s.sandboxNS = handleOf(t, lan.Neighbour.Node)
	// As the engine does for a container that has no IPv6. Its routes of all
	// containers would stand in this one namespace, and the kernel goes through
	// all of them for each link that goes.
	lan.Neighbour.Run(t, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
	s.start(t)
	return s
}

// handleOf opens netlink in a node's namespace.
func handleOf(t testing.TB, n *harness.Node) (*netlink.Handle, netns.NsHandle) {
	t.Helper()
	ns, err := netns.GetFromPath(strings.TrimSuffix(n.Path(""), "root") + "ns/net")
	if err != nil {
		t.Fatal(err)
	}
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(); _ = ns.Close() })
	return h, ns
}

// start starts the daemon with what state it has, waits until it is ready and
// returns how long that took.
func (s *station) start(t testing.TB) time.Duration {
	t.Helper()
	start := time.Now()
	s.daemon = startOn(t, s.host, s.variant.command(s.programs, s.socket, s.state)...)
	s.daemon.until(t, time.Minute, s.variant.Name, func() error {
		if s.variant.kind == gangway {
			return healthy(s.http)
		}
		return activates(s.http)
	})
	return time.Since(start)
}

// must asks and fails the test on an error.
func (s *station) must(t testing.TB, op string, body, into any) time.Duration {
	t.Helper()
	took, err := s.ask(op, body, into)
	if err != nil {
		t.Fatalf("%s: %v", s.variant.Name, err)
	}
	return took
}

// network makes one more network and returns its number.
func (s *station) network(t testing.TB) int {
	t.Helper()
	s.must(t, "NetworkDriver.CreateNetwork", networkBody(s.networks), nil)
	s.networks++
	return s.networks - 1
}

// come carries out the calls of a container's start. Between Join and the
// next it does what the engine does: it moves the link into the container and
// sets it up. Each call's time goes to note.
func (s *station) come(t testing.TB, e endpoint, note func(op string, took time.Duration)) {
	t.Helper()
	for _, step := range coming() {
		var joined struct{ InterfaceName struct{ SrcName string } }
		took := s.must(t, step.op, step.body(e), &joined)
		if note != nil {
			note(step.op, took)
		}
		if name := joined.InterfaceName.SrcName; name != "" {
			s.move(t, name)
		}
	}
}

func (s *station) move(t testing.TB, name string) {
	t.Helper()
	l, err := s.kernel.LinkByName(name)
	if err == nil {
		err = s.kernel.LinkSetNsFd(l, int(s.sandboxNS))
	}
	if err != nil {
		t.Fatalf("move %s: %v", name, err)
	}
	if l, err = s.sandbox.LinkByName(name); err == nil {
		err = s.sandbox.LinkSetUp(l)
	}
	if err != nil {
		t.Fatalf("set up %s: %v", name, err)
	}
}

// leave carries out the calls of a container's end.
func (s *station) leave(t testing.TB, e endpoint, note func(op string, took time.Duration)) {
	t.Helper()
	for _, step := range going() {
		took := s.must(t, step.op, step.body(e), nil)
		if note != nil {
			note(step.op, took)
		}
	}
}

// fill makes endpoints until there are n, with so many published ports each.
// have is how many there are.
func (s *station) fill(t testing.TB, have, n, portsEach int) {
	t.Helper()
	net := s.networks - 1
	for i := have; i < n; i++ {
		if i%perNetwork == 0 {
			net = s.network(t)
		}
		e := member(net, i%perNetwork)
		e.first, e.ports = firstPort+i*portsEach, portsEach
		s.come(t, e, nil)
	}
}

// verbs measures the time of each verb with so many endpoints and ports
// present, and what the daemon needs in memory and for a restart at the last of
// these sizes.
func verbs(t testing.TB, m mode, to *Results) {
	dir := t.TempDir()
	programs(t, dir)
	each := portsEach(t, m)
	most := m.endpoints[len(m.endpoints)-1]
	for round, p := range m.verbRounds.passes(pass{of(gangway, floor), m.endpoints}, pass{named(NftablesName), []int{0, most}}) {
		for _, v := range p.variants {
			whole := v.kind == gangway && round < m.verbRounds.whole
			within(t, func(t testing.TB) {
				s := newStation(t, v, dir)
				s.memory(t, to, "idle", 0)
				have := 0
				for _, n := range p.sizes {
					s.fill(t, have, n, each)
					have = n
					s.verbsOnce(t, m, to, n)
					s.storm(t, m, to, n)
					s.memory(t, to, "endpoints", n)
					to.add(Figure{Part: partMemory, Name: "endpoints, their ports", N: n, Variant: v.Name, Unit: "ports"}, float64(n*each))
				}
				if whole {
					s.restores(t, to, have)
				}
				s.daemon.stop(t, syscall.SIGTERM)
			})
			if !whole {
				continue
			}
			within(t, func(t testing.TB) {
				s := newStation(t, v, dir)
				s.bulk(t, to)
				s.daemon.stop(t, syscall.SIGTERM)
			})
		}
	}
}

// scope is a part of a test that cleans up at its own end. What a round leaves, such
// as namespaces with thousands of links, would make the next one slower.
type scope struct {
	testing.TB
	undo []func()
}

// Cleanup takes the place of the whole test's.
func (s *scope) Cleanup(f func()) { s.undo = append(s.undo, f) }

func (s *scope) end() {
	for len(s.undo) > 0 {
		last := s.undo[len(s.undo)-1]
		s.undo = s.undo[:len(s.undo)-1]
		last()
	}
}

// within runs a part of a test in a scope.
func within(t testing.TB, f func(t testing.TB)) {
	s := &scope{TB: t}
	defer s.end()
	f(s)
}

// portsEach is how many ports each endpoint publishes: fewer than wanted where
// the limit of open files, which not even root can raise without
// CAP_SYS_RESOURCE, does not allow as many.
func portsEach(t testing.TB, m mode) int {
	t.Helper()
	limit := unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}
	const others = 1000 // files of the daemon itself
	return min(m.portsEach, (int(limit.Max)-others)/m.endpoints[len(m.endpoints)-1])
}

// verbsOnce takes containers through their life, one after the other.
func (s *station) verbsOnce(t testing.TB, m mode, to *Results, n int) {
	times := map[string][]float64{}
	note := func(op string, took time.Duration) {
		_, name, _ := strings.Cut(op, ".")
		times[name] = append(times[name], float64(took.Nanoseconds())/1e3)
	}
	net := s.network(t)
	before, start := s.daemon.cpu(t), time.Now()
	for i := range m.verbs {
		e := member(net, i%perNetwork)
		e.first, e.ports = 40000, 1
		s.come(t, e, note)
		s.leave(t, e, note)
	}
	wall, after := time.Since(start), s.daemon.cpu(t)
	for range max(1, m.verbs/4) { // they take long, and are rare
		s.settle(t)
		number := s.networks
		note("NetworkDriver.CreateNetwork", s.must(t, "NetworkDriver.CreateNetwork", networkBody(number), nil))
		note("NetworkDriver.DeleteNetwork", s.must(t, "NetworkDriver.DeleteNetwork", object{"NetworkID": id("network", number)}, nil))
	}
	s.addresses(t, m, note)
	for name, took := range times {
		f := Figure{Part: partVerbs, Name: name + " p50", N: n, Variant: s.variant.Name, Unit: "us"}
		to.add(f, quantile(took, 0.5))
		f.Name = name + " p99"
		to.add(f, quantile(took, 0.99))
	}
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(m.verbs) }
	for name, d := range map[string]time.Duration{
		"life, user": after.user - before.user, "life, kernel": after.system - before.system, "life, wall": wall,
	} {
		to.add(Figure{Part: partVerbs, Name: name, N: n, Variant: s.variant.Name, Unit: "us"}, each(d))
	}
}

// settle waits until the kernel has finished the last removal of a bridge, which
// goes on after its answer, and which no other link can be made in.
func (s *station) settle(t testing.TB) {
	t.Helper()
	if err := s.kernel.LinkSetUp(s.loopback); err != nil {
		t.Fatal(err)
	}
}

// addresses measures the address manager's calls.
func (s *station) addresses(t testing.TB, m mode, note func(op string, took time.Duration)) {
	if s.variant.kind != gangway {
		return
	}
	var pool struct{ PoolID string }
	s.must(t, "IpamDriver.RequestPool", object{"AddressSpace": "gangway-local", "Pool": "10.200.0.0/16", "SubPool": "", "Options": nil, "V6": false}, &pool)
	for range m.verbs {
		var got struct{ Address string }
		note("IpamDriver.RequestAddress", s.must(t, "IpamDriver.RequestAddress", object{"PoolID": pool.PoolID, "Address": "", "Options": nil}, &got))
		p, err := netip.ParsePrefix(got.Address)
		if err != nil {
			t.Fatal(err)
		}
		note("IpamDriver.ReleaseAddress", s.must(t, "IpamDriver.ReleaseAddress", object{"PoolID": pool.PoolID, "Address": p.Addr().String()}, nil))
	}
	s.must(t, "IpamDriver.ReleasePool", object{"PoolID": pool.PoolID}, nil)
}

// memory notes the daemon's resident memory, as it is after what it just did.
func (s *station) memory(t testing.TB, to *Results, name string, n int) {
	f := Figure{Part: partMemory, Name: name, N: n, Variant: s.variant.Name, Unit: "MB"}
	to.add(f, s.daemon.residentMB(t))
	f.Name, f.Unit = name+", helper processes", "processes"
	to.add(f, float64(s.daemon.helpers()))
}

// bulk measures what 10 000 ports of one endpoint cost in memory and in time.
func (s *station) bulk(t testing.TB, to *Results) {
	e := member(s.network(t), 0)
	before := s.daemon.residentMB(t)
	e.first, e.ports = 20000, 10000
	note := func(op string, took time.Duration) {
		_, name, _ := strings.Cut(op, ".")
		to.add(Figure{Part: partBulk, Name: name, N: e.ports, Variant: s.variant.Name, Unit: "us"}, float64(took.Microseconds()))
	}
	s.come(t, e, note)
	f := Figure{Part: partMemory, Name: "one endpoint, its ports", N: e.ports, Variant: s.variant.Name, Unit: "MB"}
	to.add(f, s.daemon.residentMB(t))
	f.Name, f.Unit = "per published port", "KB"
	to.add(f, (s.daemon.residentMB(t)-before)*1024/float64(e.ports))
	s.leave(t, e, note)
}

// restores measures starts of a daemon that was killed: beside what it left in
// the kernel, and after all rules were removed.
func (s *station) restores(t testing.TB, to *Results, n int) {
	for _, name := range []string{"after a crash", "after a crash and nft flush ruleset"} {
		s.daemon.stop(t, syscall.SIGKILL)
		if strings.HasSuffix(name, "ruleset") {
			s.host.Run(t, "nft", "flush", "ruleset")
		}
		took := s.start(t)
		to.add(Figure{Part: partRestore, Name: name, N: n, Variant: s.variant.Name, Unit: "s"}, took.Seconds())
		if left := s.veths(t); left < n {
			t.Fatalf("%s: %d of %d links are left after the restore", s.variant.Name, left, n)
		}
	}
	s.memory(t, to, "after a restore", n)
}

// veths counts the host's ends of pairs.
func (s *station) veths(t testing.TB) int {
	t.Helper()
	links, err := s.kernel.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, l := range links {
		if strings.HasPrefix(l.Attrs().Name, "gv-") {
			count++
		}
	}
	return count
}
