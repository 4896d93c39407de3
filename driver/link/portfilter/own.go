package portfilter

import (
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/net/bpf"
)

// Link-local addresses, which an interface may have beside those of its network.
func linkLocal4() netip.Prefix { return netip.MustParsePrefix("169.254.0.0/16") }

func linkLocal6() netip.Prefix { return netip.MustParsePrefix("fe80::/64") }

// lowest bounds the link-local addresses that a person chooses for a router,
// fe80::1 to fe80::f. The program remembers nothing, so that it cannot let a
// container have "a few": these are few.
const lowest = 16

// own lets pass what claims no more than the container's own addresses.
func (p *program) own(o Port) {
	p.mac(etherSrc, o.MAC, next, drop)
	p.notToPort()
	p.Load(etherType, 2)
	p.Equal(typeIPv4, ip4, next)
	p.Equal(typeIPv6, ip6, next)
	p.Equal(typeARP, arp, next)
	for _, vlan := range vlanTypes() {
		p.Equal(vlan, drop, next)
	}
	p.allow()
	p.discards()

	p.Mark(arp)
	p.ownARP(o)

	p.Mark(ip4)
	p.enough(ip4End)
	p.own4(o)
	p.noAnswers4()
	p.ends()

	p.Mark(ip6)
	p.enough(ip6End)
	p.own6(ip6Src, o, mine6, others6)
	p.neighbours6(o)
	p.protocols6()
	p.advertised6(o)
}

// notToPort discards what is for whatever bridge is next (01:80:c2:00:00:00 to 0f: LLDP, LACP, EAPOL,
// spanning tree; IEEE 802.1Q, table 8-1). The bridge does not pass it on: it hands it to the host, as if it
// had come by the port itself, whatever is in it. A datagram there has not come by the
// network's bridge, and none of the rules about that bridge would see it.
func (p *program) notToPort() {
	elsewhere := p.Place()
	p.Load(etherDst, 4)
	p.Equal(0x0180c200, next, elsewhere)
	p.Load(etherDst+4, 2)
	p.And(0xfff0)
	p.Equal(0, discard, next)
	p.Mark(elsewhere)
}

// ownARP lets ARP of any kind name the container's own address as its sender's.
// Whoever is asked remembers who asks (RFC 826), in a table that the kernel shares
// out among all namespaces: an address outside of the network's subnets, of which
// there are as many as one likes, may be the source of packets, never of this.
// 0.0.0.0 is nobody's; probes come from it, and nobody remembers it (RFC 5227).
//
// Link-local addresses (docker run --link-local-ip) are the engine's to give, and
// it tells no driver. They talk to each other only: then nobody remembers them who
// has none.
func (p *program) ownARP(o Port) {
	p.enough(arpEnd)
	p.Load(arpFormat, 4)
	p.Equal(arpIPv4, next, drop)
	p.mac(arpSenderMAC, o.MAC, next, drop)
	p.Load(arpSenderIP, 4)
	p.Equal(0, pass, next)
	for _, a := range o.Addresses {
		if a.Is4() {
			p.Equal(word4(a), pass, next)
		}
	}
	for _, subnet := range o.Reserved {
		if subnet.Overlaps(linkLocal4()) {
			p.Jump(drop)
			return
		}
	}
	for _, offset := range []uint32{arpSenderIP, arpTargetIP} {
		p.Load(offset, 4)
		p.And(mask(linkLocal4().Bits()))
		p.Equal(word4(linkLocal4().Addr()), next, drop)
	}
	p.allow()
}

// own4 judges the source of a packet. 0.0.0.0 is nobody's: clients of DHCP have
// it.
func (p *program) own4(o Port) {
	for _, subnet := range o.Reserved {
		if !subnet.Addr().Is4() {
			continue
		}
		p.Load(ip4Src, 4)
		for _, a := range o.Addresses {
			if a.Is4() {
				p.Equal(word4(a), mine4, next)
			}
		}
		p.Equal(0, mine4, next)
		p.And(mask(subnet.Bits()))
		p.Equal(word4(subnet.Masked().Addr()), drop, next)
	}
	p.Mark(mine4)
}

// noAnswers4 drops what clients of DHCP take for an answer. The host may have one
// on the bridge, where a network manager takes care of every link, and would get
// an address and a default route from the container. Clients read the port where it
// is without options of IP, or behind these.
func (p *program) noAnswers4() {
	p.Load(ip4Protocol, 1)
	p.Equal(udp, next, pass)
	p.short(ip4End+udpPortEnd, pass)
	p.Load(ip4End+udpPort, 2)
	p.Equal(dhcpClient, answer4, next)
	p.Load(network, 1)
	p.Equal(4<<4|5, pass, next) // version 4, a header of 5 words
	p.headerLength(network)
	p.portBehind(network, dhcpClient, answer4)
	p.Mark(answer4)
	p.Load(ip4Fragment, 2)
	p.And(0x1fff)
	p.Equal(0, drop, pass)
}

// own6 judges the IPv6 address at an offset: it goes on at mine for the
// container's own, and at others for one that is not its own and nobody's either.
// A link-local address that is made from a hardware address (RFC 4291, appendix
// A), as the kernel's are, the bridge's included, must be made from the
// container's own; one in 65536 of those that are chosen at random looks like
// that.
func (p *program) own6(offset uint32, o Port, mine, others place) {
	fromMAC := netip.PrefixFrom(linkLocal(o.MAC), 128)
	elsewhere := p.Place()
	for _, subnet := range o.Reserved {
		if !subnet.Addr().Is6() {
			continue
		}
		for i := 0; i < subnet.Bits(); i += 32 {
			p.part6(offset, subnet, i, next, elsewhere)
		}
		// What the subnet has in common with an address was looked at.
		rest := subnet.Bits() / 32 * 32
		for _, a := range o.Addresses {
			if subnet.Contains(a) {
				p.whole6(offset, netip.PrefixFrom(a, 128), rest, mine)
			}
		}
		if subnet.Overlaps(linkLocal6()) {
			p.whole6(offset, fromMAC, 0, mine)
		}
		p.Jump(drop)
	}
	p.Mark(elsewhere)
	p.part6(offset, fromMAC, 0, next, others)
	p.part6(offset, fromMAC, 32, next, others)
	p.Load(offset+11, 2)
	p.Equal(0xfffe, next, others)
	p.part6(offset, fromMAC, 64, next, drop)
	p.part6(offset, fromMAC, 96, mine, drop)
}

// whole6 goes on at then if the address at an offset is the given one from a bit
// on.
func (p *program) whole6(offset uint32, a netip.Prefix, from int, then place) {
	other := p.Place()
	for i := from; i < 128; i += 32 {
		p.part6(offset, a, i, next, other)
	}
	p.Jump(then)
	p.Mark(other)
}

// part6 compares 32 bits of the IPv6 address at an offset with a prefix, or as
// many of them as the prefix has.
func (p *program) part6(offset uint32, prefix netip.Prefix, bit int, then, otherwise place) {
	b := prefix.Masked().Addr().As16()
	p.Load(offset+uint32(bit/8), 4)
	if here := prefix.Bits() - bit; here < 32 {
		p.And(mask(here))
	}
	p.Equal(binary.BigEndian.Uint32(b[bit/8:]), then, otherwise)
}

// low6 goes on at then if the address at an offset is one of the lowest
// link-local ones, and drops the frame if not.
func (p *program) low6(offset uint32, then place) {
	for i := 0; i < 96; i += 32 {
		p.part6(offset, netip.PrefixFrom(linkLocal6().Addr(), 128), i, next, drop)
	}
	p.Load(offset+12, 4)
	p.Equal(0, drop, next)
	p.When(bpf.JumpGreaterOrEqual, lowest, drop, then)
}

// mask has the given number of leading ones.
func mask(bits int) uint32 { return ^uint32(0) << (32 - bits) }

func word4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// linkLocal is the address that the kernel makes from a hardware address.
func linkLocal(mac net.HardwareAddr) netip.Addr {
	a := [16]byte{0xfe, 0x80, 8: mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]}
	return netip.AddrFrom16(a)
}
