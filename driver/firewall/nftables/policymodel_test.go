package nftables

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/integration/rawip"
)

// policyWorld is a host with two networks of gangway, and a link that leads outside. The far
// ends of links are in the same namespace, without addresses; neighbours have hardware
// addresses of nobody. Behind all rules, arrived notes whose packets come to the host or leave it.
const policyWorld = `
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.default.accept_dad=0 net.ipv4.icmp_ratelimit=0 net.netfilter.nf_conntrack_checksum=0
ip link add gw-a group 18263 type bridge; ip link add gw-b group 18263 type bridge
for l in gw-a:10.1.0.1/16:fd00:1::1/64 gw-b:10.2.0.1/16:fd00:2::1/64; do
	b=${l%%:*}; r=${l#*:}; ip link set $b up; ip addr add ${r%%:*} dev $b; ip addr add ${r#*:} dev $b nodad
done
ip link add v-out type veth peer name p-out; ip link set v-out up
ip addr add 192.0.2.1/24 dev v-out; ip addr add 2001:db8::1/64 dev v-out nodad
sysctl -qw net.ipv6.conf.default.disable_ipv6=1
for e in a b; do ip link add v-$e type veth peer name p-$e; ip link set v-$e master gw-$e up; ip link set v-$e type bridge_slave hairpin on; ip link set p-$e up; done
sysctl -qw net.ipv6.conf.p-out.disable_ipv6=1; ip link set p-out up
ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:99 dev v-out nud permanent; ip neigh add 2001:db8::2 lladdr 02:00:00:00:00:99 dev v-out nud permanent
ip route add default via 192.0.2.2; ip -6 route add default via 2001:db8::2
for n in 1 2; do b=gw-a; [ $n = 1 ] || b=gw-b; for i in 2 3 4; do
	ip neigh add 10.$n.0.$i lladdr 02:00:00:00:0$n:0$i dev $b nud permanent; ip neigh add fd00:$n::$i lladdr 02:00:00:00:0$n:0$i dev $b nud permanent
done; done
nft -f - <<'EOF'
table inet world {
	set arrived4 { type ipv4_addr . inet_proto . inet_service; flags dynamic; size 65535; }
	set arrived6 { type ipv6_addr . inet_proto . inet_service; flags dynamic; size 65535; }
	chain note {
		add @arrived4 { ip saddr . meta l4proto . th sport }
		add @arrived6 { ip6 saddr . meta l4proto . th sport }
	}
	chain input { type filter hook input priority 100; iifname { "gw-a", "gw-b", "v-out" } jump note; }
	chain leaving { type filter hook forward priority 300; iifname { "gw-a", "gw-b", "v-out" } jump note; }
	chain published {
		type nat hook prerouting priority -99;
		fib daddr type local meta nfproto ipv4 meta l4proto { tcp, udp } th dport 8080 dnat ip to 10.2.0.2:80
		fib daddr type local meta nfproto ipv6 meta l4proto { tcp, udp } th dport 8080 dnat ip6 to [fd00:2::2]:80
		fib daddr type local meta nfproto ipv4 meta l4proto { tcp, udp } th dport 8081 dnat ip to 10.1.0.3:80
		fib daddr type local meta nfproto ipv6 meta l4proto { tcp, udp } th dport 8081 dnat ip6 to [fd00:1::3]:80
	}
}
EOF`

// sentPacket is one that is sent, with what the model needs to know.
type sentPacket struct {
	policy.Packet
	// link is the far end that it is sent by: p-a, p-b or p-out.
	link  string
	sport uint16
}

// modelPolicies are two networks, each with a container that has a policy of its own; all
// at random.
func modelPolicies(rnd *rand.Rand) []policy.Binding {
	var all []policy.Binding
	for n, bridge := range []string{"gw-a", "gw-b"} {
		network := policy.Binding{NetworkID: id(string(rune('a' + n))), Bridge: bridge, Subnets: prefixes(fmt.Sprintf("10.%d.0.0/16", n+1), fmt.Sprintf("fd00:%d::/64", n+1))}
		own := network
		own.EndpointID = id("3")
		own.Addrs = []netip.Addr{netip.MustParseAddr(fmt.Sprintf("10.%d.0.3", n+1)), netip.MustParseAddr(fmt.Sprintf("fd00:%d::3", n+1))}
		network.Texts, own.Texts = randomPolicy(rnd), randomPolicy(rnd)
		all = append(all, own)
		if rnd.IntN(4) > 0 { // or else the network is open
			all = append(all, network)
		}
	}
	return all
}

func oneOf(rnd *rand.Rand, of ...string) string { return of[rnd.IntN(len(of))] }

func randomList(rnd *rand.Rand, of []string) string {
	var all []string
	for range rnd.IntN(4) {
		all = append(all, oneOf(rnd, of...)+oneOf(rnd, "", "", ":80", ":443", ":8080", ":22-90/tcp", "/udp", ":53/udp", ":80/sctp"))
	}
	if len(all) == 0 {
		return config.None
	}
	return strings.Join(all, ",")
}

func randomPolicy(rnd *rand.Rand) config.Policy {
	destinations := []string{"1.2.3.4", "1.2.3.0/24", "1.2.0.0/16", "10.2.0.2", "10.0.0.0/8", "169.254.169.254", "192.0.2.1", "[2600::1]", "[2600::/32]", "[fd00:2::2]", "[fd00::/8]", "private", "lan", "internet", "metadata", "host", "network:a", "network:b", "network:far", "network:gone"}
	named := append(slices.Clone(destinations), "a.example", "*.b.example", "a.example", "*.b.example", "x.b.example")
	sources := []string{"1.2.3.4", "1.2.0.0/16", "10.0.0.0/8", "10.1.0.2", "2600::/32", "fd00::/8", "lan", "private", "internet", "any", "network:a", "network:b", "network:far"}
	p := config.Policy{
		Egress: oneOf(rnd, "open", "internet", "deny"), Allow: randomList(rnd, named), Deny: randomList(rnd, destinations),
		Host: oneOf(rnd, "", "any", "dns", "none", "22,8080", "dns,80-443/tcp", "8081/udp"), Mode: oneOf(rnd, "enforce", "enforce", "enforce", "audit"),
	}
	var in []string
	for range rnd.IntN(4) {
		who := oneOf(rnd, sources...)
		if port := oneOf(rnd, "", "8080=", "8081/tcp=", "80-90="); who != "any" || port != "" {
			in = append(in, port+who)
		}
	}
	p.Ingress = oneOf(rnd, "any", "none", strings.Join(in, ","), "any,network:a")
	p.Networks = "a gw-a 10.1.0.0/16 fd00:1::/64\nb gw-b 10.2.0.0/16 fd00:2::/64\nfar gw-far 1.2.3.0/24 2600::/64"
	p.Names = []string{"", config.NamesStrict}[len(p.Allow)%2]
	return p
}

var (
	modelNear4 = []string{"10.1.0.2", "10.1.0.3", "10.1.0.4", "10.2.0.2", "10.2.0.3"}
	modelNear6 = []string{"fd00:1::2", "fd00:1::3", "fd00:1::4", "fd00:2::2", "fd00:2::3"}
	modelHost  = []string{"192.0.2.1", "10.1.0.1", "10.2.0.1", "2001:db8::1", "fd00:1::1", "fd00:2::1"}
	modelFar4  = []string{"1.2.3.4", "1.2.3.5", "1.2.4.4", "9.9.9.9", "10.5.0.7", "172.16.5.5", "192.168.7.7", "169.254.169.254", "100.64.1.1", "168.63.129.16", "198.18.0.1", "203.0.113.9"}
	modelFar6  = []string{"2600::1", "2600::2", "2600:1::1", "fd00:9::1", "fd00:ec2::254", "2002:a00:1::1", "64:ff9b::a00:1", "64:ff9b::102:304", "2001:db8:5::1", "3fff::1", "::ffff:1.2.3.4", "fec0::1"}
)

// randomPacket is of a container, or of somebody outside.
func randomPacket(rnd *rand.Rand, number int) sentPacket {
	far, near, host := modelFar4, modelNear4, modelHost[:3]
	six := rnd.IntN(2) == 1
	if six {
		far, near, host = modelFar6, modelNear6, modelHost[3:]
	}
	s := sentPacket{link: oneOf(rnd, "p-a", "p-a", "p-b", "p-out"), sport: uint16(10000 + number)}
	s.Proto = []uint8{6, 17, 132, 1, 47}[rnd.IntN(5)]
	switch s.Port = []uint16{22, 53, 80, 443, 8080, 8081, 9000}[rnd.IntN(7)]; {
	case s.Proto == 1 && six:
		s.Proto = 58
		fallthrough
	case s.Proto == 1 || s.Proto == 47:
		s.Port = 0
	}
	parse := netip.MustParseAddr
	if s.link == "p-out" {
		s.From, s.To = parse(oneOf(rnd, far[:7]...)), parse(oneOf(rnd, append(slices.Clone(near), host...)...))
		return s
	}
	n := map[string]int{"p-a": 1, "p-b": 2}[s.link]
	s.Near = true
	last := 2 + rnd.IntN(3)
	s.From = parse(fmt.Sprintf("10.%d.0.%d", n, last))
	other := near[3:]
	if n == 2 {
		other = near[:3]
	}
	if six {
		s.From = parse(fmt.Sprintf("fd00:%d::%d", n, last))
	}
	s.To = parse(oneOf(rnd, append(slices.Concat(far, other), slices.Concat(host, host)...)...))
	return s
}

// passes is the model: what becomes of a packet by these bindings.
func passes(all []policy.Binding, s sentPacket) bool {
	host := slices.Contains(modelHost, s.To.String())
	if arrives, decided := s.leaves(all, host); decided {
		return arrives
	}
	return s.enters(all, host)
}

// leaves is the model of what a container sends; decided says that nobody else decides on it.
func (s sentPacket) leaves(all []policy.Binding, host bool) (arrives, decided bool) {
	if s.Near {
		p, found := findPolicy(all, "gw-"+s.link[2:], s.From)
		if found && s.questions(p) {
			return s.To.String() != "fec0::1", true // it is redirected to the host, which has no address of that scope
		}
		if found && !p.Audit && !p.Decide(s.Packet, host) {
			return false, true
		}
		if found && !host && s.isRead(p) {
			return s.To.String() != "fec0::1", true
		}
	}
	return false, false
}

// enters is the model of what comes to containers.
func (s sentPacket) enters(all []policy.Binding, host bool) bool {
	to := s.translated(host)
	for n, bridge := range []string{"gw-a", "gw-b"} {
		own := prefixes(fmt.Sprintf("10.%d.0.0/16", n+1), fmt.Sprintf("fd00:%d::/64", n+1))
		in := func(a netip.Addr) bool { return own[0].Contains(a) || own[1].Contains(a) }
		if !in(to) || slices.Contains(modelHost, to.String()) || in(s.From) {
			continue
		}
		if p, found := findPolicy(all, bridge, to); found && !p.Audit && !p.Admits(s.Packet) {
			return false
		}
	}
	return true
}

// questions says that the resolver answers the packet.
func (s sentPacket) questions(p policy.Policy) bool {
	return p.Asks() && s.Port == 53 && (s.Proto == 6 || s.Proto == 17)
}

// findPolicy is the one that counts for an address on a bridge.
func findPolicy(all []policy.Binding, bridge string, a netip.Addr) (p policy.Policy, found bool) {
	for _, own := range []bool{true, false} {
		for _, b := range all {
			if b.Bridge == bridge && (own && slices.Contains(b.Addrs, a) || !own && b.EndpointID == "") {
				return b.Policy(), true
			}
		}
	}
	return p, false
}

// translated is where the packet goes behind the translation.
func (s sentPacket) translated(host bool) netip.Addr {
	if !host || s.Proto != 6 && s.Proto != 17 {
		return s.To
	}
	i := map[bool]int{true: 1}[s.To.Is6()]
	switch s.Port {
	case 8080:
		return netip.MustParseAddr([]string{"10.2.0.2", "fd00:2::2"}[i])
	case 8081:
		return netip.MustParseAddr([]string{"10.1.0.3", "fd00:1::3"}[i])
	}
	return s.To
}

// bytes are the packet as it is sent.
func (s sentPacket) bytes() []byte {
	from, to := netip.AddrPortFrom(s.From, s.sport), netip.AddrPortFrom(s.To, s.Port)
	switch s.Proto {
	case 6:
		return rawip.Opening(from, to, 1, "")
	case 1, 58:
		return rawip.EchoRequest(s.From, s.To, s.sport, "")
	}
	// GRE and SCTP have ports at the same place, or none. The rest is a tag of 0, no checksum,
	// which nobody looks at here, and a chunk INIT.
	b := rawip.Datagram(from, to, "\x00\x00\x00\x00\x01\x00\x00\x14\x00\x00\x00\x01\x00\x01\x00\x00\x00\x01\x00\x01\x00\x00\x00\x01")
	if s.Proto == 17 {
		return b
	}
	copy(b[len(b)-28:], make([]byte, 4))
	if s.From.Is6() {
		b[6] = s.Proto
		return b
	}
	b[9], b[10], b[11] = s.Proto, 0, 0
	binary.BigEndian.PutUint16(b[10:], rawip.Checksum(b[:20]))
	return b
}

// key is how nft shows the packet in arrived.
func (s sentPacket) key() string {
	port := s.sport
	switch s.Proto {
	case 1:
		port = 0x0800
	case 58:
		port = 0x8000
	}
	return fmt.Sprintf("%s . %d . %d", s.From, s.Proto, port)
}

// sender gives frames to a far end, to be routed by the near one.
type farSender struct {
	fd int
	to unix.SockaddrLinklayer
}

func newFarSender(t *testing.T, link, router string) farSender {
	t.Helper()
	near, err := net.InterfaceByName(router)
	if err != nil {
		t.Fatal(err)
	}
	far, err := net.InterfaceByName(link)
	if err != nil {
		t.Fatal(err)
	}
	s := farSender{to: unix.SockaddrLinklayer{Ifindex: far.Index, Halen: 6}}
	copy(s.to.Addr[:], near.HardwareAddr)
	if s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(s.fd) })
	return s
}

func (s farSender) send(t *testing.T, packet []byte) {
	t.Helper()
	protocol := uint16(unix.ETH_P_IP)
	if packet[0]>>4 == 6 {
		protocol = unix.ETH_P_IPV6
	}
	s.to.Protocol = protocol<<8 | protocol>>8
	if err := unix.Sendto(s.fd, packet, 0, &s.to); err != nil && !errors.Is(err, unix.ENOBUFS) {
		t.Fatal(err)
	}
}
