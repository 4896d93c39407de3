package harness

import (
	"fmt"
	"strconv"
	"testing"
)

// LAN is a network segment: a switch, and the hosts joined to it. Addresses are
// from 192.0.2.0/24 and 2001:db8::/64 (RFC 5737, RFC 3849), so that nothing
// depends on where the test runs. There is no router: who is not in the segment
// is reached only where a test adds a route.
type LAN struct {
	// Outside is a host beside the engine's, 192.0.2.2 and 2001:db8::2.
	Outside *Host
	// Neighbour is one more, 192.0.2.3 and 2001:db8::3.
	Neighbour *Host

	sw    *Node
	ports int
}

// lanInterface is the name of every host's interface in its LAN.
const lanInterface = "lan0"

// NewLAN makes a segment with two hosts. It ends with the test.
func NewLAN(t testing.TB) *LAN {
	t.Helper()
	lan := &LAN{sw: startNode(t, nodeConfig{Hostname: "switch"})}
	lan.sw.Run(t, "ip", "link", "add", "sw0", "type", "bridge", "forward_delay", "0")
	lan.sw.Run(t, "ip", "link", "set", "sw0", "up")
	lan.Outside = lan.Host(t, "outside", "192.0.2.2", "2001:db8::2")
	lan.Neighbour = lan.Host(t, "neighbour", "192.0.2.3", "2001:db8::3")
	return lan
}

// Host adds a host with its own addresses (a /24 and a /64) to the segment.
func (l *LAN) Host(t testing.TB, name, ipv4, ipv6 string) *Host {
	t.Helper()
	return l.join(t, startNode(t, nodeConfig{Hostname: name}), ipv4, ipv6)
}

// join connects a node to the switch.
func (l *LAN) join(t testing.TB, n *Node, ipv4, ipv6 string) *Host {
	t.Helper()
	dir, err := tools()
	if err != nil {
		t.Fatal(err)
	}
	l.cable(t, n, lanInterface)
	// No duplicate address detection: its second would be lost for every host.
	n.Run(t, "ip", "addr", "add", ipv4+"/24", "dev", lanInterface)
	n.Run(t, "ip", "addr", "add", ipv6+"/64", "dev", lanInterface, "nodad")
	n.Run(t, "ip", "link", "set", lanInterface, "up")
	h := &Host{Node: n, IPv4: ipv4, IPv6: ipv6, probe: dir + "/probe"}
	h.Prober = &Prober{name: n.Name, try: func(args ...string) (string, error) {
		return n.Try(append([]string{h.probe}, args...)...)
	}}
	return h
}

// Cable gives a host one more link to the segment, which is down and has no address. It
// goes with the test.
func (l *LAN) Cable(t testing.TB, n *Node, name string) {
	t.Helper()
	l.cable(t, n, name)
	t.Cleanup(func() { n.Run(t, "ip", "link", "del", name) })
}

// cable makes the link between a node and the switch.
func (l *LAN) cable(t testing.TB, n *Node, name string) {
	t.Helper()
	l.ports++
	port := "p" + strconv.Itoa(l.ports)
	// The new end is moved by the machine's view of the process, so the pair is
	// made from a command that sees both: in the switch's network namespace
	// and the machine's PID namespace.
	script := fmt.Sprintf("ip link add %s type veth peer name %s netns %d && ip link set %s master sw0 up",
		port, name, n.pid, port)
	if err := command("/", "nsenter", "--target", strconv.Itoa(l.sw.pid), "--net", "--", "sh", "-c", script); err != nil {
		t.Fatalf("join %s to the switch: %v", n.Name, err)
	}
}
