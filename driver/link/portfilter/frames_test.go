package portfilter

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
)

// The cast: a container, another one, the gateway, which is the host's bridge,
// and everybody.
var (
	mac       = net.HardwareAddr{0x02, 0x42, 0x0a, 0x09, 0x00, 0x02}
	otherMAC  = net.HardwareAddr{0x02, 0x42, 0x0a, 0x09, 0x00, 0x03}
	bridgeMAC = net.HardwareAddr{0x0e, 0x11, 0x22, 0x33, 0x44, 0x55}
	everybody = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	allNodes  = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}

	own4, own6   = netip.MustParseAddr("10.9.0.2"), netip.MustParseAddr("fd09::2")
	gate4, gate6 = netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("fd09::1")
	near4, near6 = netip.MustParseAddr("10.9.0.3"), netip.MustParseAddr("fd09::3")
	far4, far6   = netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")
	link4, link6 = netip.MustParseAddr("169.254.3.4"), netip.MustParseAddr("fe80::7")
	random6      = netip.MustParseAddr("fe80::c38b:21ff:ab01:9d52")
	none4, none6 = netip.IPv4Unspecified(), netip.IPv6Unspecified()
)

func container() Port {
	return Port{
		MAC: mac, Addresses: []netip.Addr{own4, own6},
		Reserved: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/24"), netip.MustParsePrefix("fd09::/64")},
	}
}

func isolated() Port {
	p := container()
	p.HostOnly, p.Bridge = true, bridgeMAC
	return p
}

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

func short(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

func ether(dst, src net.HardwareAddr, kind int, payload ...[]byte) []byte {
	return join(dst, src, short(kind), join(payload...))
}

// arpOf is a request or an answer (2) that says where sender is.
func arpOf(op int, sender net.HardwareAddr, ip, asks netip.Addr) []byte {
	return join([]byte{0, 1, 8, 0, 6, 4}, short(op), sender, ip.AsSlice(), make([]byte, 6), asks.AsSlice())
}

func arpFrame(op int, sender net.HardwareAddr, ip netip.Addr) []byte {
	return ether(everybody, mac, typeARP, arpOf(op, sender, ip, gate4))
}

func packet4(src netip.Addr) []byte {
	return join([]byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0}, src.AsSlice(), far4.AsSlice(), make([]byte, 8))
}

func ip4Frame(src netip.Addr) []byte { return ether(bridgeMAC, mac, typeIPv4, packet4(src)) }

// udpTo is the start of a datagram for a port.
func udpTo(port int) []byte { return join(short(5000), short(port), short(8), short(0)) }

// ip4Frame4 is a frame of UDP, or of a fragment of it.
func ip4Frame4(src netip.Addr, fragment int, payload []byte) []byte {
	f := ip4Frame(src)[:ip4End]
	copy(f[ip4Fragment:], short(fragment))
	return join(f, payload)
}

// ip4Options is a frame with an option of four bytes.
func ip4Options(src netip.Addr, payload []byte, option ...byte) []byte {
	f := ip4Frame(src)[:ip4End]
	f[network] = 0x46
	padded := make([]byte, 4)
	copy(padded[2:], option)
	return join(f, padded, payload)
}

// toLL sends a frame of IPv6 to a link-local address.
func toLL(f []byte) []byte {
	copy(f[ip6Dst:], link6.AsSlice())
	return f
}

func packet6(src netip.Addr, header, hops int, payload []byte) []byte {
	return join([]byte{0x60, 0, 0, 0}, short(len(payload)), []byte{byte(header), byte(hops)}, src.AsSlice(), far6.AsSlice(), payload)
}

func ip6Frame(src netip.Addr, header, hops int, payload []byte) []byte {
	return ether(bridgeMAC, mac, typeIPv6, packet6(src, header, hops, payload))
}

// nd is a message of neighbour discovery about a target.
func nd(kind int, target netip.Addr) []byte {
	return join([]byte{byte(kind), 0, 0, 0, 0x20, 0, 0, 0}, target.AsSlice())
}

func ndFrame(src netip.Addr, kind int, target netip.Addr) []byte {
	return ether(allNodes, mac, typeIPv6, packet6(src, icmp6, 255, nd(kind, target)))
}

// behind puts an extension header of 8 bytes before what follows.
func behind(header int, payload []byte) []byte {
	return join([]byte{byte(header), 0, 0, 0, 0, 0, 0, 0}, payload)
}
