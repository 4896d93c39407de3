package fwtest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/integration/nstest"
)

// node is one host or container: a network namespace, held by a file.
type node struct {
	name string
	ns   *os.File
	nl   *netlink.Handle
	// last closes the last backend that was made for the host.
	last func()
}

// release ends the last backend, as a new one takes over.
func (n *node) release() {
	if n.last != nil {
		n.last()
	}
}

// newNode makes a namespace that lives until the end of the test. Its links
// need no duplicate address detection: addresses are usable at once.
func newNode(t *testing.T, name string) *node {
	t.Helper()
	n := &node{name: name}
	var err error
	nstest.Do(t, func() {
		if n.ns, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return
		}
		if n.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
			return
		}
		for _, s := range [...][2]string{
			{"ipv6/conf/default/accept_dad", "0"},
			{"ipv6/conf/default/dad_transmits", "0"},
			{"ipv4/conf/all/rp_filter", "0"},
			{"ipv4/conf/default/rp_filter", "0"},
		} {
			if err = writeSysctl(s[0], s[1]); err != nil {
				return
			}
		}
	})
	if err != nil {
		t.Fatalf("make namespace of %s: %v", name, err)
	}
	t.Cleanup(n.close)
	return n
}

func (n *node) close() {
	n.nl.Close()
	_ = n.ns.Close()
}

// do runs f on a thread of its own in the node's namespace. Sockets that f
// opens stay there and can be used from anywhere.
func (n *node) do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with the goroutine, and nobody gets
		// a thread that lives in a strange namespace.
		runtime.LockOSThread()
		if err := unix.Setns(int(n.ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter the namespace of %s: %w", n.name, err)
			return
		}
		done <- f()
	}()
	return <-done
}

// must is do for steps that the test cannot go on without.
func (n *node) must(t *testing.T, f func() error) {
	t.Helper()
	if err := n.do(f); err != nil {
		t.Fatalf("%s: %v", n.name, err)
	}
}

// sysctl sets a setting below /proc/sys/net of the node.
func (n *node) sysctl(t *testing.T, name, value string) {
	t.Helper()
	n.must(t, func() error { return writeSysctl(name, value) })
}

// writeSysctl never creates a file: a missing setting is an error.
func writeSysctl(name, value string) error {
	f, err := os.OpenFile("/proc/sys/net/"+name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// command runs a program in the node and returns its output. An error has
// what the program said.
func (n *node) command(stdin, name string, args ...string) (string, error) {
	var out []byte
	err := n.do(func() error {
		cmd := exec.Command(name, args...)
		cmd.Stdin = strings.NewReader(stdin)
		var errText strings.Builder
		cmd.Stderr = &errText
		var err error
		if out, err = cmd.Output(); err != nil {
			return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(errText.String()))
		}
		return nil
	})
	return string(out), err
}

// mustCommand is command for steps that the test cannot go on without.
func (n *node) mustCommand(t *testing.T, stdin, name string, args ...string) {
	t.Helper()
	if _, err := n.command(stdin, name, args...); err != nil {
		t.Fatalf("%s: %v", n.name, err)
	}
}

// link finds one of the node's links.
func (n *node) link(t *testing.T, name string) netlink.Link {
	t.Helper()
	l, err := n.nl.LinkByName(name)
	if err != nil {
		t.Fatalf("%s: link %s: %v", n.name, name, err)
	}
	return l
}

// address gives a link an address and sets the link up.
func (n *node) address(t *testing.T, name string, prefixes ...netip.Prefix) {
	t.Helper()
	l := n.link(t, name)
	for _, p := range prefixes {
		a := &netlink.Addr{IPNet: ipNet(p)}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		if err := n.nl.AddrAdd(l, a); err != nil {
			t.Fatalf("%s: address %s on %s: %v", n.name, p, name, err)
		}
	}
	if err := n.nl.LinkSetUp(l); err != nil {
		t.Fatalf("%s: set %s up: %v", n.name, name, err)
	}
}

// running says whether the links that are up are ready, which the kernel makes them later.
// It announces carriers once a second, of a hundred links of all namespaces at most
// (net/core/link_watch.c): until then a link, and a bridge with ports, send nothing. It
// joins the multicast group by which others ask for an IPv6 address in a queue that all
// namespaces share (addrconf_dad_work of net/ipv6/addrconf.c): until then nobody finds the
// address. Who asks gives up after 3 s, and a busy machine can take longer for either.
func (n *node) running(t *testing.T) bool {
	t.Helper()
	links, err := n.nl.LinkList()
	if err != nil {
		t.Fatalf("links of %s: %v", n.name, err)
	}
	ports := map[int]bool{} // the bridges that have some
	for _, l := range links {
		ports[l.Attrs().MasterIndex] = true
	}
	groups := n.groups(t)
	for _, l := range links {
		a := l.Attrs()
		carries := l.Type() == "veth" || l.Type() == "bridge" && ports[a.Index]
		if a.Flags&net.FlagUp == 0 || !carries {
			continue
		}
		list, err := n.nl.AddrList(l, unix.AF_INET6)
		if err != nil {
			t.Fatalf("addresses of %s: %v", n.name, err)
		}
		joined := func(x netlink.Addr) bool { return groups[[2]string{a.Name, solicited(x.IP)}] }
		if a.OperState != netlink.OperUp || slices.ContainsFunc(list, func(x netlink.Addr) bool { return !joined(x) }) {
			return false
		}
	}
	return true
}

// solicited is the group by which others ask for an IPv6 address (RFC 4291, 2.7.1), as
// /proc/net/igmp6 writes it.
func solicited(ip net.IP) string {
	return fmt.Sprintf("ff0200000000000000000001ff%x", []byte(ip[13:]))
}

// groups lists the IPv6 multicast groups that are joined, by link and address.
func (n *node) groups(t *testing.T) map[[2]string]bool {
	t.Helper()
	var list []byte
	n.must(t, func() (err error) {
		list, err = os.ReadFile("/proc/thread-self/net/igmp6")
		return err
	})
	groups := map[[2]string]bool{}
	for line := range strings.Lines(string(list)) {
		if fields := strings.Fields(line); len(fields) > 2 {
			groups[[2]string{fields[1], fields[2]}] = true
		}
	}
	return groups
}

// route sends a prefix by a gateway.
func (n *node) route(t *testing.T, p netip.Prefix, via netip.Addr) {
	t.Helper()
	if err := n.nl.RouteAdd(&netlink.Route{Dst: ipNet(p), Gw: via.AsSlice()}); err != nil {
		t.Fatalf("%s: route %s via %s: %v", n.name, p, via, err)
	}
}

// cable joins two nodes by a veth pair; master, if any, is the bridge in the
// first one that gets the near end.
func cable(t *testing.T, near *node, nearEnd, master string, far *node) {
	t.Helper()
	veth := &netlink.Veth{
		LinkAttrs:     netlink.NewLinkAttrs(),
		PeerName:      farEnd,
		PeerNamespace: netlink.NsFd(int(far.ns.Fd())),
	}
	veth.Name = nearEnd
	if err := near.nl.LinkAdd(veth); err != nil {
		t.Fatalf("%s: veth %s to %s: %v", near.name, nearEnd, far.name, err)
	}
	l := near.link(t, nearEnd)
	if master != "" {
		if err := near.nl.LinkSetMaster(l, near.link(t, master)); err != nil {
			t.Fatalf("%s: put %s on %s: %v", near.name, nearEnd, master, err)
		}
	}
	if err := near.nl.LinkSetUp(l); err != nil {
		t.Fatalf("%s: set %s up: %v", near.name, nearEnd, err)
	}
}

// farEnd is the name of the one link that everything but the host has.
const farEnd = "eth0"

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
