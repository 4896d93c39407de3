package integration

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/integration/harness"
)

// room is a network with a container that tries to be somebody else.
type room struct {
	t                       *testing.T
	e                       *harness.Engine
	bridge, victim, hostile string
	// Addresses: of the gateway, the victim, and one that nobody has.
	gate4, gate6, victim4, victim6, free4, free6 netip.Addr
	hostileMAC, victimMAC                        net.HardwareAddr
}

// newRoom makes the network pre.0.0/24, fd00:pre::/64.
func newRoom(t *testing.T, e *harness.Engine, name string, pre int, options ...string) *room {
	t.Helper()
	subnet4, subnet6 := fmt.Sprintf("10.%d.0.", pre), fmt.Sprintf("fd00:%d::", pre)
	e.Network(t, name, args(dual(e, subnet4+"0/24", subnet6+"/64"), []string{"--gateway", subnet4 + "1", "--gateway", subnet6 + "1"}, options)...)
	r := &room{t: t, e: e, bridge: bridgeOf(t, e, name), victim: "victim-" + name, hostile: "hostile-" + name}
	e.Serve(t, harness.Container{Name: r.victim, Network: name}, "tcp", "[::]:80")
	e.Sleep(t, harness.Container{Name: r.hostile, Network: name, Args: []string{"--cap-add", "NET_ADMIN", "--cap-add", "NET_RAW"}})
	for text, to := range map[string]*netip.Addr{
		subnet4 + "1": &r.gate4, subnet6 + "1": &r.gate6, subnet4 + "77": &r.free4, subnet6 + "77": &r.free6,
		e.Address(t, r.victim, name): &r.victim4, e.Address6(t, r.victim, name): &r.victim6,
	} {
		*to = netip.MustParseAddr(text)
	}
	r.hostileMAC, r.victimMAC = macOf(t, e, r.hostile), macOf(t, e, r.victim)
	// The victim takes what a router says, and it and the host know each other.
	inNetns(t, e, r.victim, "sh", "-c", "echo 2 >/proc/sys/net/ipv6/conf/eth0/accept_ra")
	e.Inside(r.victim).Ping(t, r.gate4.String())
	e.Inside(r.victim).Ping(t, r.gate6.String())
	return r
}

func (r *room) send(frame []byte) {
	r.t.Helper()
	r.e.Exec(r.t, r.hostile, "probe", "send", "eth0", hex.EncodeToString(frame))
}

// reaches says whether the hostile container gets an answer from the victim with
// a source address.
func (r *room) reaches(source netip.Addr) bool {
	target := netip.AddrPortFrom(r.victim4, 80)
	if source.Is6() {
		target = netip.AddrPortFrom(r.victim6, 80)
	}
	_, err := r.e.Inside(r.hostile).TryGet("tcp", target.String(), "-timeout", "1s", "-from", source.String())
	return err == nil
}

// attack is something that a container tries to be.
type attack struct {
	name string
	try  func(r *room)
	// works says whether somebody falls for it.
	works func(r *room) bool
}

var everybodyMAC = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func attacks() []attack {
	// knows says whether somebody takes the hostile container for an address.
	knows := func(r *room, list string) bool { return strings.Contains(list, r.hostileMAC.String()) }
	victimKnows := func(r *room, a netip.Addr) bool {
		return knows(r, r.e.Exec(r.t, r.victim, "ip", "neigh", "show", a.String()))
	}
	hostKnows := func(r *room, a netip.Addr) bool {
		return knows(r, r.e.Run(r.t, "ip", "neigh", "show", a.String(), "dev", r.bridge))
	}
	// greet makes the host know the victim: answers that nobody asked for change
	// what is known, and teach nothing new.
	greet := func(r *room, a netip.Addr) {
		_, _ = r.e.TryGet("tcp", netip.AddrPortFrom(a, 80).String(), "-timeout", "1s")
	}
	uses := func(a func(*room) netip.Addr, bits string) attack {
		return attack{
			try: func(r *room) {
				// That it has the address already is the next round's.
				_, _ = r.e.TryExec(r.hostile, "sh", "-c", fmt.Sprintf("ip addr add %s/%s dev eth0 nodad 2>/dev/null || ip addr add %s/%s dev eth0", a(r), bits, a(r), bits))
			},
			works: func(r *room) bool { return r.reaches(a(r)) },
		}
	}
	free4 := uses(func(r *room) netip.Addr { return r.free4 }, "24")
	free4.name = "an IPv4 address that is not its own"
	free6 := uses(func(r *room) netip.Addr { return r.free6 }, "64")
	free6.name = "an IPv6 address that is not its own"
	return []attack{
		{"ARP answer for the gateway", func(r *room) { r.send(arpAnswer(r.victimMAC, r.hostileMAC, r.gate4, r.victim4)) },
			func(r *room) bool { return victimKnows(r, r.gate4) }},
		{"gratuitous ARP for the victim",
			func(r *room) {
				greet(r, r.victim4)
				r.send(arpAnswer(everybodyMAC, r.hostileMAC, r.victim4, r.victim4))
			},
			func(r *room) bool { return hostKnows(r, r.victim4) }},
		{"the victim's MAC address", func(r *room) { r.send(rawFrame(everybodyMAC, r.victimMAC)) }, func(r *room) bool {
			fdb := r.e.Run(r.t, "sh", "-c", "bridge fdb show br "+r.bridge+" | grep -i "+r.victimMAC.String())
			port := r.e.Run(r.t, "sh", "-c", "bridge fdb show br "+r.bridge+" | grep -i "+r.hostileMAC.String())
			return strings.Fields(fdb)[2] == strings.Fields(port)[2]
		}},
		{"advertisement for the gateway", func(r *room) { r.send(neighbourAdvertisement(r.hostileMAC, r.gate6)) },
			func(r *room) bool { return victimKnows(r, r.gate6) }},
		{"advertisement for the victim",
			func(r *room) {
				greet(r, r.victim6)
				r.send(neighbourAdvertisement(r.hostileMAC, r.victim6))
			},
			func(r *room) bool { return hostKnows(r, r.victim6) }},
		{"router", func(r *room) { r.e.Exec(r.t, r.hostile, "probe", "advertise", "eth0", "fd00:bad::/64") },
			func(r *room) bool {
				return strings.Contains(r.e.Exec(r.t, r.victim, "ip", "-6", "addr", "show", "dev", "eth0"), "fd00:bad:")
			}},
		free4, free6,
		{"another MAC address", func(r *room) { r.e.Exec(r.t, r.hostile, "ip", "link", "set", "eth0", "address", "02:00:00:00:00:77") },
			func(r *room) bool {
				own := strings.Fields(r.e.Exec(r.t, r.hostile, "ip", "-4", "-o", "addr", "show", "dev", "eth0"))[3]
				return r.reaches(netip.MustParsePrefix(own).Addr())
			}},
	}
}

// inventions are what a container says in names that are nobody's.
func inventions() []attack {
	remembers := func(a string) func(r *room) bool {
		return func(r *room) bool {
			return strings.Contains(r.e.Run(r.t, "ip", "neigh", "show", a, "dev", r.bridge), r.hostileMAC.String())
		}
	}
	outside4, outside6, chosen := netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("fe80::c38b:21ff:ab01:9d52")
	return []attack{
		{"ARP question from an invented address", func(r *room) {
			frame := arpAnswer(everybodyMAC, r.hostileMAC, outside4, r.gate4)
			frame[21] = 1 // a request
			r.send(frame)
		}, remembers(outside4.String())},
		{"solicitation from an invented address", func(r *room) { r.send(solicitation(r.hostileMAC, outside6, r.gate6)) }, remembers(outside6.String())},
		{"solicitation from an invented link-local address", func(r *room) { r.send(solicitation(r.hostileMAC, chosen, r.gate6)) }, remembers(chosen.String())},
		{"answer of a DHCP server", func(r *room) { r.send(dhcpAnswer(r.victimMAC, r.hostileMAC, outside4, r.victim4)) }, func(r *room) bool {
			// The victim counts it as for a port that nothing listens at.
			return strings.Fields(r.e.Exec(r.t, r.victim, "sh", "-c", "grep ^Udp: /proc/net/snmp | tail -n 1"))[2] != "0"
		}},
	}
}

// testSpoofing: a container with every right over its own network can neither
// take another's address nor be the gateway or a router. That each try would
// work is shown in a network without the protection.
func testSpoofing(t *testing.T, e *harness.Engine) {
	guarded := newRoom(t, e, "n1", 74)
	open := newRoom(t, e, "n2", 75, "-o", "gangway.anti_spoofing=false")
	var networks []driver.NetworkStatus
	e.GangwayJSON(t, &networks, "networks")
	for _, n := range networks {
		if n.Bridge == guarded.bridge && !n.Guarded || n.Bridge == open.bridge && n.Guarded {
			t.Errorf("gangway networks shows %s as guarded: %t", n.Bridge, n.Guarded)
		}
	}
	by(t, "in its own name", e.Inside(guarded.hostile).Get(t, "tcp", guarded.victim+":80"), guarded.victim)
	by(t, "in its own name, IPv6", e.Inside(guarded.hostile).Get(t, "tcp", netip.AddrPortFrom(guarded.victim6, 80).String()), guarded.victim)
	for _, a := range slices.Concat(inventions(), attacks()) {
		// What is enough for one is enough for the other.
		harness.Eventually(t, a.name+" without the protection", func() error {
			a.try(guarded)
			a.try(open)
			if !a.works(open) {
				return errors.New("nobody falls for it")
			}
			return nil
		})
		if a.works(guarded) {
			t.Errorf("somebody falls for it: %s", a.name)
		}
	}
	for _, socket := range []string{"/run/docker/plugins/gangway.sock", "/run/docker.sock", "/run/docker/plugins"} {
		if out, err := e.TryExec(guarded.hostile, "ls", socket); err == nil {
			t.Errorf("%s is there in a container: %s", socket, out)
		}
	}
}

// The frames that a hostile container sends.

func rawFrame(dst, src net.HardwareAddr) []byte {
	return slices.Concat(dst, src, []byte{0x88, 0xb5}, []byte("hello"))
}

// arpAnswer says that ip is at src.
func arpAnswer(dst, src net.HardwareAddr, ip, to netip.Addr) []byte {
	return slices.Concat(dst, src, []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 2}, src, ip.AsSlice(), dst, to.AsSlice())
}

// neighbourAdvertisement tells all nodes that target is at src.
func neighbourAdvertisement(src net.HardwareAddr, target netip.Addr) []byte {
	return discovery(src, target, slices.Concat([]byte{136, 0, 0, 0, 0x20, 0, 0, 0}, target.AsSlice(), []byte{2, 1}, src))
}

// solicitation asks all nodes where target is, and says that from is at src.
func solicitation(src net.HardwareAddr, from, target netip.Addr) []byte {
	return discovery(src, from, slices.Concat([]byte{135, 0, 0, 0, 0, 0, 0, 0}, target.AsSlice(), []byte{1, 1}, src))
}

// discovery is a message to all nodes.
func discovery(src net.HardwareAddr, from netip.Addr, message []byte) []byte {
	nodes := netip.MustParseAddr("ff02::1").AsSlice()
	binary.BigEndian.PutUint16(message[2:], sum(slices.Concat(from.AsSlice(), nodes, message), len(message)+58))
	return slices.Concat([]byte{0x33, 0x33, 0, 0, 0, 1}, src, []byte{0x86, 0xdd, 0x60, 0, 0, 0, 0, byte(len(message)), 58, 255}, from.AsSlice(), nodes, message)
}

// dhcpAnswer is a datagram from a server's port to a client's.
func dhcpAnswer(dst, src net.HardwareAddr, from, to netip.Addr) []byte {
	header := slices.Concat([]byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0}, from.AsSlice(), to.AsSlice())
	binary.BigEndian.PutUint16(header[10:], sum(header, 0))
	return slices.Concat(dst, src, []byte{8, 0}, header, []byte{0, 67, 0, 68, 0, 8, 0, 0})
}

// sum is the checksum of an even number of bytes and of what is added to them.
func sum(bytes []byte, more int) uint16 {
	sum := uint32(more)
	for b := range slices.Chunk(bytes, 2) {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
