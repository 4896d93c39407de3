package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/rawip"
	"github.com/gangway-net/gangway/integration/testkit"
)

// limitWorld has a bridge of gangway with two containers, and one of others with one. The
// containers' ends are in the same namespace, without addresses.
const limitWorld = `sysctl -qw net.ipv6.conf.default.disable_ipv6=0 net.ipv6.conf.default.accept_dad=0 net.ipv4.conf.all.arp_ignore=1
ip link add gw-a group 18263 type bridge
ip link add br0 type bridge
ip link set gw-a up; ip addr add 10.9.0.1/24 dev gw-a; ip addr add fd09::1/64 dev gw-a nodad
ip link set br0 up; ip addr add 10.8.0.1/24 dev br0; ip addr add fd08::1/64 dev br0 nodad
sysctl -qw net.ipv6.conf.default.disable_ipv6=1
for e in a:gw-a b:gw-a x:br0; do
	ip link add v-${e%:*} type veth peer name p-${e%:*}
	ip link set v-${e%:*} master ${e#*:} up; ip link set p-${e%:*} up
done`

// asker sends questions for the gateway from a container's end, and hears the answers.
type asker struct {
	t       *testing.T
	fd      int
	frame   []byte
	answers func(frame []byte) bool
}

func newAsker(t *testing.T, link string, from, gateway netip.Addr) *asker {
	t.Helper()
	iface, err := net.InterfaceByName(link)
	if err != nil {
		t.Fatal(err)
	}
	a := &asker{t: t}
	a.frame, a.answers = question(iface.HardwareAddr, from, gateway)
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	a.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		t.Cleanup(func() { _ = unix.Close(a.fd) })
		err = errors.Join(unix.Bind(a.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: iface.Index}),
			unix.SetsockoptInt(a.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20),
			unix.SetsockoptTimeval(a.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 300_000}))
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// question asks everybody who has the gateway's address.
func question(mac net.HardwareAddr, from, gateway netip.Addr) (frame []byte, answers func([]byte) bool) {
	if from.Is4() {
		frame = bytes.Join([][]byte{bytes.Repeat([]byte{0xff}, 6), mac, {8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, mac, from.AsSlice(), make([]byte, 6), gateway.AsSlice()}, nil)
		return frame, func(f []byte) bool {
			return len(f) >= 42 && bytes.Equal(f[12:22], []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 2})
		}
	}
	to := gateway.AsSlice()
	group := append([]byte{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff}, to[13:]...)
	message := bytes.Join([][]byte{{135, 0, 0, 0, 0, 0, 0, 0}, to, {1, 1}, mac}, nil)
	pseudo := bytes.Join([][]byte{from.AsSlice(), group, {0, 0, 0, byte(len(message)), 0, 0, 0, 58}, message}, nil)
	binary.BigEndian.PutUint16(message[2:], rawip.Checksum(pseudo))
	frame = bytes.Join([][]byte{{0x33, 0x33, 0xff}, to[13:], mac, {0x86, 0xdd, 0x60, 0, 0, 0, 0, byte(len(message)), 58, 255}, from.AsSlice(), group, message}, nil)
	return frame, func(f []byte) bool { return len(f) >= 55 && f[12] == 0x86 && f[20] == 58 && f[54] == 136 }
}

// ask sends so many questions at once, and returns how many are answered, and how many
// may be if they are bounded.
func (a *asker) ask(questions int) (answered, bound int) {
	a.t.Helper()
	began := time.Now()
	for range questions {
		if _, err := unix.Write(a.fd, a.frame); err != nil {
			a.t.Fatal(err)
		}
	}
	bound = 201 + int(100*time.Since(began).Seconds()+1)
	for buf := make([]byte, 2048); ; {
		n, _, err := testkit.Receive(a.fd, buf)
		if errors.Is(err, unix.EAGAIN) {
			return answered, bound
		}
		if err != nil {
			a.t.Fatal(err)
		}
		if a.answers(buf[:n]) {
			answered++
		}
	}
}

// limitedNetwork is a ruleset with the bridge's network.
func limitedNetwork() firewall.Ruleset {
	return firewall.Ruleset{Networks: []firewall.Network{{
		ID: strings.Repeat("a", 64), Bridge: "gw-a", ICC: true,
		Subnets: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/24"), netip.MustParsePrefix("fd09::/64")},
	}}}
}

// flood is how many questions come at once.
const flood = 2000

// limited is a backend on a host of limitWorld.
type limited struct {
	*neighbourLimited
	t *testing.T
}

func startLimited(t *testing.T, setting string) limited {
	t.Helper()
	output(t, "", "sh", "-ec", limitWorld)
	b, err := newFirewall(t.Context(), setting, firewall.DefaultMark(), testkit.Quiet())
	if err != nil {
		t.Fatal(err)
	}
	p := withNeighbourLimit(b, testkit.Quiet())
	t.Cleanup(p.Close)
	return limited{p, t}
}

func (p limited) sync(full firewall.Ruleset) []string {
	p.t.Helper()
	lines, err := p.Sync(p.t.Context(), full)
	if err != nil {
		p.t.Fatal(err)
	}
	return lines
}

func (p limited) apply(d firewall.Delta) {
	p.t.Helper()
	if err := p.Apply(p.t.Context(), d); err != nil {
		p.t.Fatal(err)
	}
}

// tables demands that there are tables in these families of nft, and in no others.
func (p limited) tables(want ...string) {
	p.t.Helper()
	list := output(p.t, "", "nft", "list", "tables")
	for _, family := range []string{"arp", "ip6"} {
		if there := strings.Contains(list, family+" gangway-neighbour-limit"); there != slices.Contains(want, family) {
			p.t.Errorf("a table in family %s is there: %t\n%s", family, there, list)
		}
	}
}

// bounded floods the host, and demands that it takes so much of it and no more.
func (p limited) bounded(a *asker, least int) {
	p.t.Helper()
	got, bound := a.ask(flood)
	if got < least || got > bound {
		p.t.Errorf("%d of %d questions are answered, want %d to %d", got, flood, least, bound)
	}
	p.t.Logf("%d of %d questions are answered", got, flood)
}

// all demands that each question is answered.
func (p limited) all(what string, a *asker, questions int) {
	p.t.Helper()
	if got, _ := a.ask(questions); got != questions {
		p.t.Errorf("%s: %d of %d questions are answered", what, got, questions)
	}
}

// TestNeighbourLimit: of a flood of ARP, or of neighbour discovery, the host takes so much
// and no more, from each container by itself, whatever the backend is and whatever others
// do to the tables. What comes by links of others is not counted.
func TestNeighbourLimit(t *testing.T) {
	for _, setting := range []string{"nftables", "iptables"} {
		for family, at := range map[string]string{"ARP": "10.9.0.", "ND": "fd09::"} {
			t.Run(setting+"/"+family, func(t *testing.T) {
				nstest.Do(t, func() {
					p, own, others := startLimited(t, setting), at, strings.Replace(at, "9", "8", 1)
					addr := func(prefix, host string) netip.Addr { return netip.MustParseAddr(prefix + host) }
					a, near := newAsker(t, "p-a", addr(own, "2"), addr(own, "1")), newAsker(t, "p-b", addr(own, "3"), addr(own, "1"))
					other := newAsker(t, "p-x", addr(others, "2"), addr(others, "1"))
					p.sync(firewall.Ruleset{})
					p.all("without a bound", a, flood)
					p.sync(limitedNetwork())
					p.bounded(a, 200)
					p.all("another container", near, 50)
					p.all("by a link of others", other, flood)
					testkit.Eventually(t, "an answer to each question of who is quiet again", func() bool {
						got, _ := a.ask(10)
						return got == 10
					})
					output(t, "", "nft", "flush", "ruleset")
					p.bounded(a, 1)
					p.sync(limitedNetwork())
					p.bounded(a, 1)
				})
			})
		}
	}
}

// TestNeighbourLimitFull: a container that sends from more hardware addresses than are
// remembered keeps nobody else from being answered.
func TestNeighbourLimitFull(t *testing.T) {
	nstest.Do(t, func() {
		p := startLimited(t, "nftables")
		gateway := netip.MustParseAddr("10.9.0.1")
		a, near := newAsker(t, "p-a", netip.MustParseAddr("10.9.0.2"), gateway), newAsker(t, "p-b", netip.MustParseAddr("10.9.0.3"), gateway)
		p.sync(limitedNetwork())
		for i := range 9000 {
			mac := binary.BigEndian.AppendUint32([]byte{2, 1}, uint32(i))
			copy(a.frame[6:], mac)
			copy(a.frame[22:], mac)
			if _, err := unix.Write(a.fd, a.frame); err != nil {
				t.Fatal(err)
			}
		}
		if set := output(t, "", "nft", "list", "set", "arp", "gangway-neighbour-limit", "senders"); strings.Count(set, "expires") < 8000 {
			t.Errorf("%d senders are remembered", strings.Count(set, "expires"))
		}
		p.all("another container", near, 50)
	})
}

// TestNeighbourLimitComesAndGoes: the tables are there with the families of the first
// network, and gone with those of the last one.
func TestNeighbourLimitComesAndGoes(t *testing.T) {
	for _, setting := range []string{"nftables", "iptables"} {
		t.Run(setting, func(t *testing.T) {
			nstest.Do(t, func() {
				p, four := startLimited(t, setting), limitedNetwork()
				four.Networks[0].Subnets = four.Networks[0].Subnets[:1]
				p.sync(firewall.Ruleset{})
				p.tables()
				p.sync(four)
				p.tables("arp")
				p.sync(limitedNetwork())
				p.tables("arp", "ip6")
				if lines := p.sync(limitedNetwork()); lines != nil {
					t.Errorf("repaired: %q", lines)
				}
				p.limit.Close() // as its connections break
				p.tables()
				if lines, err := p.Repair(t.Context()); lines != nil || err != nil {
					t.Errorf("repaired: %q, %v", lines, err)
				}
				p.tables("arp", "ip6")
				p.sync(firewall.Ruleset{})
				p.tables()
				p.apply(firewall.Delta{Add: four})
				p.tables("arp")
				p.apply(firewall.Delta{Remove: four, Add: limitedNetwork()})
				p.tables("arp", "ip6")
				p.apply(firewall.Delta{Remove: limitedNetwork()})
				p.tables()
				p.sync(limitedNetwork())
				if err := p.Cleanup(t.Context()); err != nil {
					t.Fatal(err)
				}
				p.tables()
			})
		})
	}
}
