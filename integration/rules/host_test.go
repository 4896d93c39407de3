package rules

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
	"github.com/gangway-net/gangway/integration/wiring"
)

// The host's links: to the outside, and one that networks may trust; and what
// the names of their other ends have more.
const uplink, trusted, farEnd = "uplink", "wg0", "-far"

// hostAddresses are those of the uplink; the engine's user publishes on them.
func hostAddresses() []netip.Prefix {
	var all []netip.Prefix
	for _, s := range []string{"192.0.2.1/24", "2001:db8::1/64"} {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

// engineRules are what an engine has in iptables at least: a policy that drops,
// and the chain for the user's own rules. Only with these there is something
// for the nftables backend to put into iptables.
const engineRules = "*filter\n:FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\nCOMMIT\n"

// node is a network namespace.
type node struct {
	// t is the test that uses it.
	t  *testing.T
	ns *os.File
	nl *netlink.Handle
}

// newNode makes a namespace for t and its subtests.
func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{t: t}
	nstest.Do(t, func() {
		var err error
		n.ns, err = os.Open("/proc/thread-self/ns/net")
		n.ok(err)
		t.Cleanup(func() { _ = n.ns.Close() })
		n.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		n.ok(err)
		t.Cleanup(n.nl.Close)
	})
	return n
}

// host is a node with a driver that is wired as in the daemon.
type host struct {
	*node
	driver *driver.Driver
}

// newHost makes a host for t and its subtests.
func newHost(t *testing.T, backend string) *host {
	t.Helper()
	h := &host{node: newNode(t)}
	h.do(func() {
		for _, name := range []string{uplink, trusted} {
			l := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: name + farEnd}
			l.Name = name
			h.ok(h.nl.LinkAdd(l))
			h.ok(h.nl.LinkSetUp(l))
		}
		h.addresses(uplink, hostAddresses()...)
		delegated := netlink.Route{Dst: netipx.PrefixIPNet(netip.MustParsePrefix("2001:db8:1200::/56")), Type: unix.RTN_UNREACHABLE, Protocol: unix.RTPROT_DHCP}
		h.ok(h.nl.RouteAdd(&delegated))
		for _, tool := range []string{"iptables", "ip6tables"} {
			h.run(engineRules, tool+"-nft-restore")
		}
		h.start(backend)
		h.close()
	})
	return h
}

// do runs f on a thread in the namespace.
func (n *node) do(f func()) {
	n.t.Helper()
	done := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine.
		runtime.LockOSThread()
		var err error
		defer func() { done <- err }()
		if err = unix.Setns(int(n.ns.Fd()), unix.CLONE_NEWNET); err == nil {
			f()
		}
	}()
	n.ok(<-done)
}

// hosts are such as have no network at the moment. Making one takes longer than
// most of what is done with it.
type hosts struct {
	t    *testing.T
	mu   sync.Mutex
	free map[string][]*host
}

// use runs f with a host that has no network, in its namespace. A host whose
// test fails is not used again.
func (p *hosts) use(t *testing.T, backend string, f func(h *host)) {
	t.Helper()
	p.mu.Lock()
	var h *host
	if n := len(p.free[backend]); n > 0 {
		h, p.free[backend] = p.free[backend][n-1], p.free[backend][:n-1]
	}
	p.mu.Unlock()
	if h == nil {
		h = newHost(p.t, backend)
	}
	h.t = t
	h.do(func() { f(h) })
	if t.Failed() {
		return
	}
	h.t = p.t
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free[backend] = append(p.free[backend], h)
}

// set writes a switch of the kernel.
func (n *node) set(name, value string) {
	n.t.Helper()
	n.ok(os.WriteFile("/proc/sys/net/"+name, []byte(value), 0))
}

// bridged decides whether frames between two ports of a bridge pass by the
// firewall (module br_netfilter, which the tests need).
func (h *host) bridged(on bool) {
	h.t.Helper()
	value := "0"
	if on {
		value = "1"
	}
	h.set("bridge/bridge-nf-call-iptables", value)
	h.set("bridge/bridge-nf-call-ip6tables", value)
}

// start wires the driver.
func (h *host) start(backend string) {
	h.t.Helper()
	p, err := wiring.Open(h.t.Context(), backend, testkit.Quiet())
	h.ok(err)
	h.t.Cleanup(p.Close)
	h.driver = driver.New(driver.Options{
		Links: p.Links, Host: p.Links, Facts: p.Links, Firewall: p.Firewall, Ports: p.Ports, Origins: p.Links, Flows: p.Flows,
		Store: noStore{}, BootID: "boot", Log: testkit.Quiet(),
	})
	p.Origin = h.driver
	h.ok(h.driver.Restore(h.t.Context()))
	_, err = h.driver.ApplyPolicies(h.t.Context(), []model.NamedPolicy{{Name: "agents", Text: "name: agents\n", Policy: config.Policy{Name: "agents", Egress: config.EgressDeny}}}, false)
	h.ok(err)
}

// close has the driver turn forwarding on, so that both families are closed from now on,
// whatever a test does.
func (h *host) close() {
	h.t.Helper()
	h.set("ipv4/ip_forward", "0")
	h.set("ipv6/conf/all/forwarding", "0")
	h.grant(0, wish{create: "--ipv6"})
	h.ok(h.driver.DeleteNetwork(h.t.Context(), networkID(0)))
}

// noStore forgets: no host here starts twice.
type noStore struct{}

func (noStore) Load(func(string, []byte) error) error { return nil }
func (noStore) Update(map[string][]byte) error        { return nil }

func (n *node) ok(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// addresses gives a link addresses that are usable at once.
func (n *node) addresses(name string, prefixes ...netip.Prefix) {
	n.t.Helper()
	l, err := n.nl.LinkByName(name)
	n.ok(err)
	for _, p := range prefixes {
		a, err := netlink.ParseAddr(p.String())
		n.ok(err)
		a.Flags = unix.IFA_F_NODAD
		n.ok(n.nl.AddrAdd(l, a))
	}
}

// run starts a command in the namespace and returns what it prints.
func (n *node) run(stdin, name string, args ...string) string {
	n.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		n.t.Fatal(fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, problem.String()))
	}
	return string(out)
}
