package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/enter"
)

func TestMain(m *testing.M) { nstest.Main(m) }

// host is a host with a bridge, a container, and two links that lead outside, to client. It
// is the namespace of the thread.
type host struct {
	t *testing.T
	// container and client are namespaces, by their paths.
	container, client string
	// listener is the container's, on port 80.
	listener net.Listener
}

const (
	hostSetup = `
ip link add lan0 address 02:00:00:00:00:01 type veth peer name eth0 netns CLIENT
ip link add lan1 address 02:00:00:00:00:02 type veth peer name eth1 netns CLIENT
ip addr add 192.0.2.1/24 dev lan0; ip addr add 203.0.113.1/24 dev lan1; ip addr add 2001:db8::1/64 dev lan0 nodad
ip link add gw-a type bridge forward_delay 0
ip addr add 10.80.0.1/24 dev gw-a; ip addr add fd80::1/64 dev gw-a nodad
ip link add gv-1 master gw-a type veth peer name eth0 address 02:42:0a:50:00:02 netns CONTAINER
ip link set lan0 up; ip link set lan1 up; ip link set gw-a up; ip link set gv-1 up
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0`
	clientSetup = `
ip link set lo up; ip link set eth0 up; ip link set eth1 up
ip addr add 192.0.2.2/24 dev eth0; ip addr add 203.0.113.2/24 dev eth1; ip addr add 2001:db8::2/64 dev eth0 nodad`
	containerSetup = `
ip link set lo up; ip link set eth0 up
ip addr add 10.80.0.2/24 dev eth0; ip addr add fd80::2/64 dev eth0 nodad
ip route add default via 10.80.0.1; ip -6 route add default via fd80::1`
)

// onHost runs f on a host of its own on which all is well.
func onHost(t *testing.T, f func(h *host)) {
	t.Helper()
	nstest.Do(t, func() {
		h := &host{t: t}
		h.run("mount -t tmpfs none /run") // the tests' own mounts
		for name, path := range map[string]*string{"container": &h.container, "client": &h.client} {
			h.run("ip netns add " + name)
			*path = "/run/netns/" + name
		}
		defer h.run("ip netns del container; ip netns del client; umount -l /run")
		h.run(strings.NewReplacer("CLIENT", "client", "CONTAINER", "container").Replace(hostSetup))
		h.at("client", clientSetup)
		h.at("container", containerSetup)
		h.listener = h.listen("0.0.0.0:80")
		defer h.listener.Close()
		f(h)
	})
}

// run runs a script on the host.
func (h *host) run(script string) {
	h.t.Helper()
	if out, err := exec.Command("sh", "-euc", script).CombinedOutput(); err != nil {
		h.t.Fatalf("%s: %v: %s", script, err, out)
	}
}

// at runs a script in a namespace.
func (h *host) at(name, script string) {
	h.t.Helper()
	if out, err := exec.Command("nsenter", "--net=/run/netns/"+name, "sh", "-euc", script).CombinedOutput(); err != nil {
		h.t.Fatalf("in %s: %s: %v: %s", name, script, err, out)
	}
}

// in runs f in a namespace.
func (h *host) in(path string, f func() error) {
	h.t.Helper()
	if err := enter.Namespace(path, f); err != nil {
		h.t.Fatal(err)
	}
}

// listen has somebody listen in the container.
func (h *host) listen(at string) (l net.Listener) {
	h.t.Helper()
	h.in(h.container, func() (err error) {
		config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1) })
		}}
		network := "tcp4"
		if strings.HasPrefix(at, "[") {
			network = "tcp6"
		}
		l, err = config.Listen(context.Background(), network, at)
		return err
	})
	return l
}

// instead has the container listen elsewhere.
func (h *host) instead(at string) {
	h.listener.Close()
	h.listener = h.listen(at)
}

// send has the client send a datagram from an address of its own.
func (h *host) send(from, to string) {
	h.in(h.client, func() error {
		c, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(from)), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to)))
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("x"))
		return err
	})
}

// state is what a daemon says of the host: port 8000, which is relayed for IPv6.
func (h *host) state() State {
	addr := netip.MustParseAddr
	port := func(at string, first uint16, to, path string) plugin.Port {
		return plugin.Port{Whose: plugin.Whose{ContainerName: "web"}, PortStatus: driver.PortStatus{EndpointID: endpoint, NetworkID: network, Protocol: "tcp", HostIP: addr(at), First: first, Last: first, ContainerIP: addr(to), ContainerFirst: 80, Path: path}}
	}
	return State{
		Networks: []plugin.Network{{Name: "front", NetworkStatus: driver.NetworkStatus{ID: network, Bridge: "gw-a", Endpoints: 1, ModeIPv4: "nat", ModeIPv6: "nat"}}},
		Endpoints: []plugin.Endpoint{{Whose: plugin.Whose{ContainerName: "web"}, EndpointStatus: driver.EndpointStatus{
			ID: endpoint, NetworkID: network, Bridge: "gw-a", Addresses: []netip.Prefix{netip.MustParsePrefix("10.80.0.2/24"), netip.MustParsePrefix("fd80::2/64")},
			MAC: "02:42:0a:50:00:02", Sandbox: h.container, HostInterface: "gv-1", ContainerInterface: "eth0",
		}}},
		Ports: []plugin.Port{port("0.0.0.0", 8000, "10.80.0.2", "nat"), port("::", 8000, "10.80.0.2", "relay")},
		Files: 10, FileLimit: 1024,
	}
}

// planted is one cause, and what is said of it.
type planted struct {
	// host and inside are scripts for the host and the container; do is done then.
	host, inside string
	do           func(h *host)
	change       func(s *State)
	// port and client are what is asked for; port 0 is everything. container asks for the
	// container instead.
	port      uint16
	client    string
	container bool
	// want has words of the one finding, split by " … "; none for none. note has words of a
	// note. more says that further findings follow from the first.
	want, note string
	more       bool
	// bare says that the host has no programs to list rules with.
	bare bool
}

// TestPlanted: each cause that is planted into the kernel is found, by itself, and where
// nothing is planted nothing is found.
func TestPlanted(t *testing.T) {
	path := os.Getenv("PATH")
	for name, c := range plantedAll() {
		t.Run(name, func(t *testing.T) {
			onHost(t, func(h *host) {
				if c.host != "" {
					h.run(c.host)
				}
				if c.inside != "" {
					h.at("container", c.inside)
				}
				if c.do != nil {
					c.do(h)
				}
				s := h.state()
				if c.change != nil {
					c.change(&s)
				}
				var client netip.Addr
				if c.client != "" {
					client = netip.MustParseAddr(c.client)
				}
				target := Target{Port: c.port}
				if c.container {
					target.Endpoints = map[string]bool{endpoint: true}
				}
				c.check(t, s, target, client)
				if c.bare {
					t.Setenv("PATH", path)
				}
			})
		})
	}
}

func (c planted) check(t *testing.T, s State, target Target, client netip.Addr) {
	if c.bare {
		t.Setenv("PATH", "/nowhere")
	}
	facts := Look(t.Context(), s, target, client)
	notes := append(facts.Notes, Missing(facts, target)...)
	for _, w := range strings.Split(c.note, " … ") {
		if !strings.Contains(strings.Join(notes, "\n"), w) {
			t.Errorf("no %q in the notes\n%s", w, strings.Join(notes, "\n"))
		}
	}
	notes = slices.DeleteFunc(notes, func(n string) bool { return strings.Contains(n, "--client") })
	if c.note == "" && len(notes) > 0 {
		t.Errorf("notes: %q", notes)
	}
	found := Judge(facts, target)
	if c.want == "" {
		if len(found) > 0 {
			t.Errorf("found %q", found)
		}
		return
	}
	if len(found) == 0 || len(found) > 1 && !c.more {
		t.Fatalf("found %q, want one of %q", found, c.want)
	}
	for _, w := range strings.Split(c.want, " … ") {
		if !strings.Contains(found[0].String(), w) {
			t.Errorf("found %q, want %q in it", found[0], w)
		}
	}
}

func plantedAll() map[string]planted {
	all := map[string]planted{}
	for _, group := range []map[string]planted{plantedInside(), plantedRules(), plantedWays(), plantedLimits(), plantedUnseen(), plantedPrograms(), plantedNames()} {
		for name, c := range group {
			if _, there := all[name]; there {
				panic(fmt.Sprint("twice: ", name))
			}
			all[name] = c
		}
	}
	return all
}

// TestPage: docs/doctor.md has a row for each cause that is planted, with what is said of it.
func TestPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, rest, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | "); ok && strings.HasPrefix(line, "| ") && name != "Test" {
			rows[name] = rest
		}
	}
	for name, c := range plantedAll() {
		row, there := rows[name]
		delete(rows, name)
		if said := c.want + c.note; (said != "") != there {
			t.Errorf("%s: has a row: %v; is a cause: %v", name, there, said != "")
		}
		for _, w := range strings.Split(c.want+c.note, " … ") {
			if there && !strings.Contains(strings.NewReplacer("` | ", ": ", "`", "").Replace(row), w) {
				t.Errorf("%s: no %q in its row %s", name, w, row)
			}
		}
	}
	for name := range rows {
		t.Errorf("row %q is of no cause that is planted", name)
	}
}
