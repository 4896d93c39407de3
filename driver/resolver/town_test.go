package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/conntrack"
	"github.com/gangway-net/gangway/driver/firewall/nftables"
	"github.com/gangway-net/gangway/driver/hostport"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/driver/reader"
	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

func TestMain(m *testing.M) { nstest.Main(m) }

// hostScript makes the host, with a bridge, and the links of its neighbours.
const hostScript = `
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0
ip link add gw-1 type bridge; ip link set gw-1 up; ip addr add 10.1.0.1/24 dev gw-1; ip addr add fd00:1::1/64 dev gw-1 nodad
ip link add v-out type veth peer name p-out netns %d; ip link set v-out up; ip addr add 192.0.2.1/24 dev v-out; ip addr add 2001:db8::1/64 dev v-out nodad
ip route replace default via 192.0.2.2; ip -6 route replace default via 2001:db8::2
for c in %s; do n=${c%%:*}; ip link add v-$n type veth peer name eth0 netns ${c#*:}; ip link set v-$n master gw-1 up; done
`

// machine is a network namespace.
type machine struct {
	t   testing.TB
	ns  *os.File
	pid int
}

func newMachine(t testing.TB) *machine {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = ns.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &machine{t, ns, cmd.Process.Pid}
}

// do runs f in the namespace. Sockets that it opens stay there.
func (m *machine) do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		if err := unix.Setns(int(m.ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

func (m *machine) sh(script string) {
	m.t.Helper()
	sh(m.t, fmt.Sprintf("nsenter -t %d -n sh -ec '%s'", m.pid, script))
}

func sh(t testing.TB, script string) string {
	t.Helper()
	out, err := exec.Command("sh", "-ec", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
	return string(out)
}

// town is a host with containers, and the outside with a server of names and of everything.
type town struct {
	t      testing.TB
	out    *machine
	rooms  map[string]*machine
	server *upstream
	// arrived counts connections by where they were opened to.
	mu      sync.Mutex
	arrived map[string]int
	host    *realHost
	r       *Resolver
	table   *nftables.PolicyTable
	port    uint16
	// connections is where these are read.
	connections uint16
	// patience is how long an answer is waited for.
	patience time.Duration
}

// realHost asks the kernel.
type realHost struct {
	flows *conntrack.Table
}

func (realHost) Link(_ context.Context, index int) (string, error) {
	l, err := net.InterfaceByIndex(index)
	if err != nil {
		return "", err
	}
	return l.Name, nil
}

func (realHost) Addresses(a netip.Addr) []netip.Addr {
	b := a.As16()
	last := b[15]
	return []netip.Addr{netip.AddrFrom4([4]byte{10, 1, 0, last}), netip.AddrFrom16([16]byte{0: 0xfd, 3: 1, 15: last})}
}

func (realHost) Came(fd int, six bool) (int, error) { return hostport.CameBy(fd, six) }

func (h realHost) Asked(proto uint8, client, local netip.AddrPort) (netip.AddrPort, error) {
	return h.flows.Asked(proto, client, local)
}

func newTown(t testing.TB) *town {
	t.Helper()
	w := &town{t: t, out: newMachine(t), rooms: map[string]*machine{}, arrived: map[string]int{}, patience: 5 * time.Second}
	var links []string
	for _, n := range []string{"2", "3", "4"} {
		w.rooms[n] = newMachine(t)
		links = append(links, fmt.Sprintf("%s:%d", n, w.rooms[n].pid))
	}
	sh(t, fmt.Sprintf(hostScript, w.out.pid, strings.Join(links, " ")))
	t.Cleanup(func() {
		sh(t, "ip link del gw-1; ip link del v-out; for n in 2 3 4; do ip link del v-$n; done; nft flush ruleset")
	})
	w.out.sh("sysctl -qw net.ipv6.conf.default.accept_dad=0; ip link set lo up; ip link set p-out up; ip addr add 192.0.2.2/24 dev p-out; ip addr add 2001:db8::2/64 dev p-out nodad; ip route add local 198.51.100.0/24 dev lo; ip route add local 2001:db8:9::/64 dev lo; ip route add default via 192.0.2.1; ip -6 route add default via 2001:db8::1; sysctl -qw net.ipv6.ip_nonlocal_bind=1")
	for n, room := range w.rooms {
		room.sh(fmt.Sprintf("ip link set lo up; ip link set eth0 up; ip addr add 10.1.0.%s/24 dev eth0; ip addr add fd00:1::%s/64 dev eth0 nodad; ip route add default via 10.1.0.1; ip -6 route add default via fd00:1::1", n, n))
	}
	records := map[string][]string{
		"registry.wild.example": {"registry.wild.example. 300 IN CNAME cdn.example.", "cdn.example. 60 IN A 198.51.100.7", "cdn.example. 60 IN AAAA 2001:db8:9::7"},
		"plain.example":         {"plain.example. 60 IN A 198.51.100.8"},
		"other.example":         {"other.example. 60 IN A 198.51.100.9"},
		"shares.wild.example":   {"shares.wild.example. 60 IN A 198.51.100.7", "shares.wild.example. 60 IN AAAA 2001:db8:9::7"},
		"far.wild.example":      {"far.wild.example. 60 IN A 198.51.100.30", "far.wild.example. 60 IN AAAA 2001:db8:9::30"},
		"shut.wild.example":     {"shut.wild.example. 60 IN A 198.51.100.66"},
	}
	for i := range 200 {
		name := fmt.Sprintf("n%d.wild.example", i)
		records[name] = []string{fmt.Sprintf("%s. 60 IN A 198.51.100.%d", name, 20+i%100)}
	}
	for i := range 2000 {
		name := fmt.Sprintf("m%d.many.wild.example", i)
		records[name] = []string{fmt.Sprintf("%s. 60 IN A 10.77.%d.%d", name, i/200, 1+i%200)}
	}
	for i := range 60 {
		records["big.wild.example"] = append(records["big.wild.example"], fmt.Sprintf("big.wild.example. 60 IN A 198.51.100.%d", 120+i))
	}
	w.serve(records)
	flows, err := conntrack.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(flows.Close)
	w.host = &realHost{flows}
	return w
}

// serve starts the server of names and what counts connections.
func (w *town) serve(records map[string][]string) {
	w.t.Helper()
	w.server = &upstream{answers: records}
	listen := func(at string) net.Listener {
		l, err := net.Listen("tcp", at)
		if err != nil {
			w.t.Error(err)
			return nil
		}
		w.t.Cleanup(func() { _ = l.Close() })
		return l
	}
	err := w.out.do(func() error {
		for _, at := range []string{"192.0.2.2:53", "[2001:db8::2]:53"} {
			packets, err := net.ListenPacket("udp", at)
			if err != nil {
				return err
			}
			for _, s := range []*dns.Server{{PacketConn: packets, Handler: w.server}, {Listener: listen(at), Handler: w.server, MaxTCPQueries: -1}} {
				go func() { _ = s.ActivateAndServe() }()
				w.t.Cleanup(func() { _ = s.Shutdown() })
			}
		}
		for _, port := range []string{"443", "80", "853"} {
			l := listen(":" + port)
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					w.mu.Lock()
					w.arrived[c.LocalAddr().String()]++
					w.mu.Unlock()
					go func() { // until the client ends
						b := make([]byte, 1)
						for {
							if _, err := c.Read(b); err != nil {
								_ = c.Close()
								return
							}
							_, _ = c.Write(b)
						}
					}()
				}
			}()
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// police opens table and resolver for bindings.
func (w *town) police(shared bool, all []policy.Binding) {
	w.t.Helper()
	table, err := nftables.NewPolicyTable(w.t.Context(), testkit.Quiet(), shared)
	if err != nil {
		w.t.Fatal(err)
	}
	w.table = table
	w.r = New(Options{Host: w.host, Learn: table.Learn, Knows: table.Knows, Way: w.way, Servers: func() ([]netip.AddrPort, []netip.AddrPort) {
		return []netip.AddrPort{netip.MustParseAddrPort("192.0.2.2:53")}, nil
	}, Log: testkit.Quiet()})
	w.t.Cleanup(func() {
		w.r.Close()
		table.Close()
	})
	at, err := w.r.FollowAll(all)
	if err != nil {
		w.t.Fatal(err)
	}
	w.port, w.connections = at.Questions, at.Connections
	table.Serve(at)
	if lines, err := table.Sync(w.t.Context(), all, false); err != nil {
		w.t.Fatal(lines, err)
	}
}

// way refuses what is not to leave.
func (w *town) way(_ context.Context, p reader.Passage) (netip.Addr, error) {
	if p.Bridge != "gw-1" || p.To == closedTo {
		return netip.Addr{}, errors.New("no way")
	}
	return netip.Addr{}, nil
}

// closedTo is an address of a name to which nothing leads.
var closedTo = netip.MustParseAddr("198.51.100.66")

// ask asks a server for a name from a room, by udp or tcp.
func (w *town) ask(room, network, server, name string, kind uint16) (*dns.Msg, error) {
	var got *dns.Msg
	err := w.rooms[room].do(func() error {
		conn, err := net.DialTimeout(network, server, w.patience)
		if err != nil {
			return err
		}
		defer conn.Close()
		q := questionFor(name, kind)
		q.SetEdns0(1232, false)
		by := &dns.Conn{Conn: conn, UDPSize: 1232}
		_ = conn.SetDeadline(time.Now().Add(w.patience))
		if err = by.WriteMsg(q); err != nil {
			return err
		}
		got, err = by.ReadMsg()
		return err
	})
	return got, err
}

// connects says whether a room reaches an address.
func (w *town) connects(room, to string) bool {
	return w.rooms[room].do(func() error {
		conn, err := net.DialTimeout("tcp", to, 3*time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	}) == nil
}

// count is how many connections arrived at an address.
func (w *town) count(at string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.arrived[at]
}

// townBindings: the network has names; room 4 has a policy of its own without any.
func townBindings(texts config.Policy) []policy.Binding {
	network := policy.Binding{NetworkID: "n", Bridge: "gw-1", Subnets: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/24"), netip.MustParsePrefix("fd00:1::/64")}, Texts: texts}
	own := network
	own.EndpointID, own.Addrs = "4", []netip.Addr{netip.MustParseAddr("10.1.0.4"), netip.MustParseAddr("fd00:1::4")}
	own.Texts = config.Policy{Egress: "deny", Host: "any"}
	return []policy.Binding{network, own}
}

var townPolicy = config.Policy{Egress: "deny", Allow: "*.wild.example:443/tcp,plain.example:443", Host: "any"}
