package integration

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/gangway-net/gangway/integration/rawip"
)

// way is a packet by which a container tries to get out.
type way struct {
	name string
	// packets are it, from the container's address of the family of to.
	packets func(w wayOut) [][]byte
	// to is an address of a hostileRoom, by name.
	to string
	// wire makes another head of the frame of the usual one: both addresses, and the kind.
	wire func(addresses, kind []byte) []byte
	// nowhere says that it arrives nowhere from an open network either: somebody else stops it.
	nowhere bool
	// allowed says that the policy allows it.
	allowed bool
}

// wayOut is what a way may use: who sends, to whom, and the address of somebody else.
type wayOut struct {
	from, to, foreign netip.Addr
	number            uint16
}

func (w wayOut) ends(port uint16) (from, to netip.AddrPort) {
	return netip.AddrPortFrom(w.from, 40000+w.number), netip.AddrPortFrom(w.to, port)
}

func datagram(w wayOut, port uint16) []byte {
	from, to := w.ends(port)
	return rawip.Datagram(from, to, "policy, in two parts")
}

func datagramTo(port uint16) func(wayOut) [][]byte {
	return func(w wayOut) [][]byte { return [][]byte{datagram(w, port)} }
}

// segmentTo is one of TCP with some flags, such as SYN (2).
func segmentTo(port uint16, flags byte) func(wayOut) [][]byte {
	return func(w wayOut) [][]byte {
		from, to := w.ends(port)
		b := rawip.Opening(from, to, 1, "")
		b[headerOf(b)+13] = flags
		return [][]byte{b}
	}
}

// protocolTo is a packet of another protocol.
func protocolTo(number byte) func(wayOut) [][]byte {
	return func(w wayOut) [][]byte {
		b := datagram(w, 443)
		if w.from.Is6() {
			b[6] = number
		} else {
			b[9] = number
		}
		return [][]byte{b}
	}
}

func echoTo(w wayOut) [][]byte {
	return [][]byte{rawip.EchoRequest(w.from, w.to, w.number, "policy")}
}

// tunnel has a datagram in a packet.
func tunnel(w wayOut) [][]byte {
	inner := datagram(w, 53)
	b := protocolTo(4)(w)[0]
	b = append(b[:headerOf(b)], inner...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return [][]byte{b}
}

// spoofed comes from somebody else's address. It is a segment that begins no flow, so that none
// is left of it.
func spoofed(w wayOut) [][]byte {
	w.from = w.foreign
	return segmentTo(443, 0)(w)
}

// errorAbout is an ICMP error about a flow that there is not.
func errorAbout(w wayOut) [][]byte {
	from, to := w.ends(8443)
	return [][]byte{rawip.Unreachable(w.from, w.to, rawip.Datagram(to, from, "policy"))}
}

// fragments are a datagram in two parts, the first one as short as it can be.
func fragments(w wayOut) [][]byte {
	b := datagram(w, 443)
	at := headerOf(b)
	if w.from.Is4() {
		first, second := slices.Clone(b[:at+8]), slices.Concat(b[:at], b[at+8:])
		first[6], second[7] = 0x20, 1 // more come; this is eight bytes on
		for _, part := range [][]byte{first, second} {
			binary.BigEndian.PutUint16(part[2:], uint16(len(part)))
		}
		return [][]byte{first, second}
	}
	part := func(body []byte, offset byte) []byte {
		p := slices.Concat(b[:at], []byte{17, 0, 0, offset, 0, 0, byte(w.number >> 8), byte(w.number)}, body)
		p[6] = 44
		binary.BigEndian.PutUint16(p[4:], uint16(len(p)-at))
		return p
	}
	return [][]byte{part(b[at:at+8], 1), part(b[at+8:], 8)}
}

// withOptions has options of IP before the datagram.
func withOptions(w wayOut) [][]byte {
	b := datagram(w, 443)
	at := headerOf(b)
	if w.from.Is4() {
		b = slices.Concat(b[:at], []byte{1, 1, 1, 0}, b[at:])
		b[0] = 0x46
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		return [][]byte{b}
	}
	b = slices.Concat(b[:at], []byte{17, 0, 1, 4, 0, 0, 0, 0}, b[at:])
	b[6] = 60
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-at))
	return [][]byte{b}
}

// tagged is a frame with a tag of a VLAN. With number 0 it has a priority alone, and the kernel
// takes it as one without a tag.
func tagged(kind, vlan uint16) func(addresses, inner []byte) []byte {
	return func(addresses, inner []byte) []byte {
		tag := binary.BigEndian.AppendUint16(nil, kind)
		return slices.Concat(addresses, binary.BigEndian.AppendUint16(tag, vlan), inner)
	}
}

// toAll is a frame to everybody on the bridge, with a packet that is for one.
func toAll(addresses, kind []byte) []byte {
	return slices.Concat([]byte{255, 255, 255, 255, 255, 255}, addresses[6:], kind)
}

// ofLLC is a frame with a length in the place of the kind, which stands behind it (SNAP).
func ofLLC(addresses, kind []byte) []byte {
	return slices.Concat(addresses, []byte{0, 64, 0xaa, 0xaa, 3, 0, 0, 0}, kind)
}

func headerOf(b []byte) int {
	if b[0]>>4 == 6 {
		return 40
	}
	return int(b[0]&15) * 4
}

// stamped has a number that stays with the packet wherever it goes: the id of IPv4, the flow
// label of IPv6.
func stamped(b []byte, number uint16) []byte {
	if b[0]>>4 == 6 {
		binary.BigEndian.PutUint16(b[2:], number)
		return b
	}
	binary.BigEndian.PutUint16(b[4:], number)
	b[10], b[11] = 0, 0
	binary.BigEndian.PutUint16(b[10:], rawip.Checksum(b[:headerOf(b)]))
	return b
}

// waysOut are all of them, to hosts outside, to the host itself, and to many.
func waysOut() []way {
	var all []way
	for _, to := range []string{"outside", "outside6"} {
		all = append(all,
			way{name: "TCP, allowed", packets: segmentTo(8443, 2), to: to, allowed: true},
			way{name: "TCP, another port", packets: segmentTo(443, 2), to: to},
			way{name: "UDP, the allowed port", packets: datagramTo(8443), to: to},
			way{name: "UDP", packets: datagramTo(443), to: to},
			way{name: "DNS", packets: datagramTo(53), to: to},
			way{name: "DNS over TCP", packets: segmentTo(53, 2), to: to},
			way{name: "TCP, in the middle of a connection", packets: segmentTo(443, 0x10), to: to},
			way{name: "echo request", packets: echoTo, to: to},
			way{name: "SCTP", packets: protocolTo(132), to: to},
			way{name: "GRE", packets: protocolTo(47), to: to},
			way{name: "ESP", packets: protocolTo(50), to: to},
			way{name: "UDP-Lite", packets: protocolTo(136), to: to},
			way{name: "a protocol that nobody knows", packets: protocolTo(253), to: to},
			way{name: "fragments", packets: fragments, to: to},
			way{name: "options", packets: withOptions, to: to},
			way{name: "a source that is nobody's here", packets: spoofed, to: to},
			way{name: "an error about nothing", packets: errorAbout, to: to},
			way{name: "IPv6 within", packets: protocolTo(41), to: to},
			way{name: "a frame with a priority", packets: datagramTo(443), to: to, wire: tagged(0x8100, 0)},
			way{name: "a frame with a priority, of providers", packets: datagramTo(443), to: to, wire: tagged(0x88a8, 0)},
			way{name: "a frame of a VLAN", packets: datagramTo(443), to: to, wire: tagged(0x8100, 7), nowhere: true},
			way{name: "a frame to everybody", packets: datagramTo(443), to: to, wire: toAll, nowhere: true},
			way{name: "a frame of LLC", packets: datagramTo(443), to: to, wire: ofLLC, nowhere: true},
		)
	}
	for _, to := range []string{"metadata", "private", "mapped", "6to4", "NAT64"} {
		all = append(all, way{name: "UDP", packets: datagramTo(80), to: to})
	}
	all = append(all, way{name: "a tunnel", packets: tunnel, to: "outside"})
	for _, to := range []string{"gateway", "gateway6", "host", "host6", "other gateway", "other gateway6", "link-local"} {
		all = append(all,
			way{name: "UDP", packets: datagramTo(5000), to: to},
			way{name: "TCP", packets: segmentTo(22, 2), to: to},
			way{name: "echo request", packets: echoTo, to: to})
	}
	for _, to := range []string{"everybody", "everybody6", "subnet"} {
		all = append(all, way{name: "UDP", packets: datagramTo(5353), to: to})
	}
	return append(all,
		way{name: "a published port", packets: datagramTo(7400), to: "host"},
		way{name: "a published port", packets: datagramTo(7400), to: "host6"},
		way{name: "a relayed port", packets: segmentTo(7401, 2), to: "host6"},
		way{name: "a container of another network", packets: datagramTo(7474), to: "other container", nowhere: true},
		way{name: "loopback", packets: datagramTo(5000), to: "loopback", nowhere: true})
}
