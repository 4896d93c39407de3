package fwtest

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/rawip"
	"github.com/gangway-net/gangway/integration/testkit"
)

// Crossing says whose rules packets meet on their way through a host.
type Crossing struct {
	// NewBackend makes what has the rules of a network; nil for nobody.
	NewBackend NewBackend
	// Engine has the rules of an engine beside it, with its own bridge.
	Engine bool
	// BuiltIn takes the ways by the engine's bridge, in place of gangway's.
	BuiltIn bool
	// IPv6 has the packets of that family.
	IPv6 bool
}

// crossing is a host with a link to the outside, one to a LAN that is nobody's business,
// and two bridges, the engine's and gangway's, with two containers on each. Nobody is at the
// far ends: frames are sent from there, and what arrives there is for a hardware address
// that they do not have. So the kernel goes the whole way of a packet in the call that sends
// it. The host lives in the network namespace of the thread.
type crossing struct {
	testing.TB
	Crossing
	family
	container, second netip.Addr
	ends              map[string]farSide
	close             func()
}

// farSide sends frames into the host, from an address that is not its own.
type farSide struct {
	fd       int
	from, to net.HardwareAddr
	index    int
}

const (
	crossingBridge = "gw-aaaaaaaaaaaa"
	// publishedPort is of the host, and leads to containerPort; enginePort is that of the
	// engine's container.
	publishedPort, enginePort, containerPort = 9001, 9000, 80
	// listeningPort is one of the host's own.
	listeningPort = 7000
)

// The addresses beside those of the engine's bridge.
var crossingAddresses = map[string]both{
	"outside": pair("10.8.0.2", "fd00:8::2"), "host": pair("10.8.0.1", "fd00:8::1"), "lan": pair("10.9.0.2", "fd00:9::2"),
	"bridge": pair("10.200.0.1", "fd00:200::1"), "container": pair("10.200.0.2", "fd00:200::2"), "second": pair("10.200.0.3", "fd00:200::3"),
}

// The hardware addresses of who sends, and to whom the host sends.
var farAddress = map[string]net.HardwareAddr{
	"outside": {2, 0, 0, 0, 0, 1}, "container": {2, 0, 0, 0, 0, 3}, "second": {2, 0, 0, 0, 0, 4},
}

const crossingLinks = `
	link() { ip link add $1 type veth peer name $2; [ -z "${3:-}" ] || ip link set $1 master $3; ip link set $1 up; ip link set $2 up; }
	echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
	ip link add gw-aaaaaaaaaaaa group 18263 type bridge; ip link add docker0 type bridge
	link in outside; link lan other; link gw-1 gw-container gw-aaaaaaaaaaaa; link gw-2 gw-second gw-aaaaaaaaaaaa
	link d-1 d-container docker0; link d-2 d-second docker0
	ip link set docker0 up; ip link set gw-aaaaaaaaaaaa up
	on() { ip addr add $2/24 dev $1; ip addr add $3/64 dev $1 nodad; }
	on in 10.8.0.1 fd00:8::1; on lan 10.9.0.1 fd00:9::1; on gw-aaaaaaaaaaaa 10.200.0.1 fd00:200::1; on docker0 172.17.0.1 fd00:d::1
	at() { ip neigh add $3 lladdr 02:00:00:00:00:$2 dev $1; ip neigh add $4 lladdr 02:00:00:00:00:$2 dev $1; }
	at in 01 10.8.0.2 fd00:8::2; at lan 02 10.9.0.2 fd00:9::2
	at gw-aaaaaaaaaaaa 03 10.200.0.2 fd00:200::2; at gw-aaaaaaaaaaaa 04 10.200.0.3 fd00:200::3
	at docker0 03 172.17.0.2 fd00:d::2; at docker0 04 172.17.0.3 fd00:d::3
	echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
`

// newCrossing makes the host in the thread's namespace.
func newCrossing(t testing.TB, c Crossing) *crossing {
	t.Helper()
	h := &crossing{TB: t, Crossing: c, ends: map[string]farSide{}, close: func() {}}
	if c.IPv6 {
		h.family = v6
	}
	h.container, h.second = crossingAddresses["container"][h.family], crossingAddresses["second"][h.family]
	side, bridge := "gw-", crossingBridge
	if c.BuiltIn {
		h.container, side, bridge = addresses["d1"][h.family], "d-", "docker0"
		h.second = h.container.Next()
	}
	h.run(crossingLinks, "sh", "-es")
	if c.Engine {
		h.engine()
	}
	h.end("outside", "outside", "in")
	h.end("container", side+"container", bridge)
	h.end("second", side+"second", bridge)
	h.end("lan", "other", "lan")
	for _, name := range []string{"container", "second"} { // the bridge learns who is where
		h.frame(name, h.ends[name].to, 0x88b5, make([]byte, 46))() // an EtherType for experiments
	}
	if c.NewBackend != nil {
		h.rules()
	}
	for _, name := range []string{"iptables", "ip6tables"} { // as engines do
		if err := writeSysctl("bridge/bridge-nf-call-"+name, "1"); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// engine has the rules of an engine whose container publishes the port.
func (h *crossing) engine() {
	h.Helper()
	rules, err := ruleFiles.ReadFile("engine/28.rules")
	if err != nil {
		h.Fatal(err)
	}
	for f, tool := range map[family]string{v4: "iptables-restore", v6: "ip6tables-restore"} {
		h.run(strings.ReplaceAll(fill(string(rules), f, setting{policy: "ACCEPT"}), "tcp", "udp"), tool, "--noflush", "--wait")
	}
}

// rules has the backend make those of a network whose container publishes the port.
func (h *crossing) rules() {
	h.Helper()
	backend, err := h.NewBackend(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	if c, ok := backend.(interface{ Close() }); ok {
		h.close = c.Close
	}
	set := firewall.Ruleset{Outside: []spec.Outside{{Name: "in"}, {Name: "lan"}}}
	n := firewall.Network{ID: longID("a"), Bridge: crossingBridge, ICC: true}
	for _, f := range families {
		subnet, _ := crossingAddresses["bridge"][f].Prefix([...]int{24, 64}[f])
		n.Subnets, n.Masquerade, n.Hairpin = append(n.Subnets, subnet), append(n.Masquerade, subnet), append(n.Hairpin, subnet)
		set.Ports = append(set.Ports, firewall.Port{NetworkID: n.ID, EndpointID: longID("1"), Published: spec.Published{
			Proto: spec.UDP, HostIP: [...]netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}[f],
			First: publishedPort, Last: publishedPort, ContainerIP: crossingAddresses["container"][f], ContainerFirst: containerPort,
		}})
	}
	set.Networks = []firewall.Network{n}
	if err := backend.Apply(h.Context(), firewall.Delta{Add: set}); err != nil {
		h.Fatal(err)
	}
}

// run runs a command, and returns what it says.
func (h *crossing) run(in, name string, args ...string) string {
	h.Helper()
	cmd := exec.CommandContext(h.Context(), name, args...)
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.Fatalf("%s: %v: %s", name, err, out)
	}
	return string(out)
}

// end opens a far end that sends to a link of the host.
func (h *crossing) end(name, far, near string) {
	h.Helper()
	from, err := net.InterfaceByName(far)
	if err != nil {
		h.Fatal(err)
	}
	to, err := net.InterfaceByName(near)
	if err != nil {
		h.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = unix.Close(fd) })
	h.ends[name] = farSide{fd, farAddress[name], to.HardwareAddr, from.Index}
}

// frame returns what sends a frame. The caller may change its body in between.
func (h *crossing) frame(from string, to net.HardwareAddr, kind uint16, body []byte) func() {
	s := h.ends[from]
	head := binary.BigEndian.AppendUint16(append(append([]byte(nil), to...), s.from...), kind)
	at := &unix.SockaddrLinklayer{Ifindex: s.index, Halen: 6}
	return func() {
		if _, err := unix.SendmsgBuffers(s.fd, [][]byte{head, body}, nil, at, 0); err != nil {
			h.Fatal(err)
		}
	}
}

// datagram returns what sends a datagram. If it is to begin a flow each has another source
// port, by its number.
func (h *crossing) datagram(end string, to net.HardwareAddr, source, destination netip.AddrPort, fresh bool) func(i int) {
	body := rawip.Datagram(source, destination, "")
	kind, udp := uint16(unix.ETH_P_IP), body[20:]
	if h.IPv6 {
		kind, udp = unix.ETH_P_IPV6, body[40:]
	}
	udp[6], udp[7] = 0, 0 // without a checksum, since the port changes
	send := h.frame(end, to, kind, body)
	return func(i int) {
		if fresh {
			binary.BigEndian.PutUint16(udp, uint16(1024+i%64000)) //nolint:gosec // below 65536
		}
		send()
	}
}

// heard returns the source port of a datagram for a port that comes to a far end while f
// runs. Masquerading chooses it.
func (h *crossing) heard(end string, port uint16, f func()) (uint16, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd) //nolint:errcheck // only read
	const all = unix.ETH_P_ALL
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all<<8 | all>>8, Ifindex: h.ends[end].index}); err != nil {
		return 0, err
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2}); err != nil {
		return 0, err
	}
	f()
	at := 20
	if h.IPv6 {
		at = 40
	}
	packet := make([]byte, 128)
	for {
		n, from, err := testkit.Receive(fd, packet)
		if err != nil {
			return 0, fmt.Errorf("nothing comes to port %d of %s: %w", port, end, err)
		}
		if l, ok := from.(*unix.SockaddrLinklayer); ok && l.Pkttype != unix.PACKET_OUTGOING && n >= at+8 && binary.BigEndian.Uint16(packet[at+2:]) == port {
			return binary.BigEndian.Uint16(packet[at:]), nil
		}
	}
}
