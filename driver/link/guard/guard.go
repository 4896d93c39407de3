package guard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Port is the bridge port of one container.
type Port struct {
	// MAC and Addresses are the container's own.
	MAC       net.HardwareAddr
	Addresses []netip.Addr
	// Reserved are the subnets of which the container may use its own addresses
	// only, at most one a family; with none it may claim to be anyone.
	Reserved []netip.Prefix
	// HostOnly lets frames reach the host and nobody else. Bridge is the
	// hardware address by which the host is on the bridge.
	HostOnly bool
	Bridge   net.HardwareAddr
}

// Offsets in a frame. The kernel has taken a VLAN tag out before tc sees it.
const (
	etherDst, etherSrc, etherType = 0, 6, 12
	network                       = 14
	arpFormat                     = network + 2
	arpSenderMAC, arpSenderIP     = network + 8, network + 14
	arpEnd                        = network + 28
	ip4Src, ip4End                = network + 12, network + 20
	ip6Next, ip6Hops, ip6Src      = network + 6, network + 7, network + 8
	ip6End                        = network + 40
	ndTarget, ndTargetEnd         = ip6End + 8, ip6End + 24
)

// Numbers of protocols.
const (
	typeIPv4, typeARP, typeIPv6 = 0x0800, 0x0806, 0x86dd
	// arpIPv4 is what follows the kind of hardware in ARP for IPv4: protocol,
	// six bytes of hardware and four of protocol address.
	arpIPv4 = typeIPv4<<16 | 6<<8 | 4

	icmp6, fragment = 58, 44

	// Neighbour discovery, RFC 4861. Receivers demand a hop limit of 255.
	ndHops                                         = 255
	ndRouterAdvertisement, ndRedirect              = 134, 137
	ndNeighbourSolicitation, ndNeighbourAdvertised = 135, 136
)

// vlanTypes mark frames that have a tag inside of the one that the kernel has
// taken out. Receivers pass over a tag with number 0, so that a second one could
// hide anything.
func vlanTypes() []uint32 { return []uint32{0x8100, 0x88a8, 0x9100} }

// extensions are the headers that may stand before another one (IANA's IPv6
// extension header types), without the fragment header, and without ESP: what it
// holds only reaches who has the key.
func extensions() []uint32 { return []uint32{0, 43, 51, 60, 135, 139, 140} }

// Program writes the program for a port. It is empty for a port that may send
// what it likes. Hardware addresses must have 6 bytes.
func Program(o Port) ([]unix.SockFilter, error) {
	families := map[bool]bool{}
	for _, subnet := range o.Reserved {
		if six := subnet.Addr().Is6(); !subnet.IsValid() || families[six] {
			return nil, fmt.Errorf("%s is no subnet, or the second one of its family", subnet)
		}
		families[subnet.Addr().Is6()] = true
	}
	switch {
	case len(o.Reserved) == 0 && !o.HostOnly:
		return nil, nil
	case len(o.Reserved) > 0 && len(o.MAC) != 6:
		return nil, fmt.Errorf("the container's hardware address %q does not have 6 bytes", o.MAC)
	case o.HostOnly && len(o.Bridge) != 6:
		return nil, errors.New("the bridge has no hardware address of 6 bytes")
	}
	p := &program{}
	p.enough(network)
	if o.HostOnly {
		p.hostOnly(o.Bridge)
		p.mark(toHost)
	}
	if len(o.Reserved) > 0 {
		p.own(o)
	}
	return p.finish()
}

// mac jumps by whether the frame has the hardware address at the offset;
// otherwise must not be next.
func (p *program) mac(offset uint32, mac net.HardwareAddr, then, otherwise place) {
	p.word(offset)
	p.equal(binary.BigEndian.Uint32(mac), next, otherwise)
	p.half(offset + 4)
	p.equal(uint32(binary.BigEndian.Uint16(mac[4:])), then, otherwise)
}

// hostOnly lets pass what is for the host by its hardware address. What is for
// everybody is needed to find the host, and to be found: ARP, and solicitations
// and advertisements of neighbours. The bridge passes these on to no other
// container, since its ports take no flooded frames of each other (see package
// link), and none can ask for them: reports of multicast groups are dropped, too.
func (p *program) hostOnly(bridge net.HardwareAddr) {
	p.mac(etherDst, bridge, toHost, toOthers)
	p.mark(toOthers)
	p.half(etherType)
	p.equal(typeARP, arpToAll, next)
	p.equal(typeIPv6, next, drop)
	// Multicast of IPv6, RFC 2464, 7.
	p.half(etherDst)
	p.equal(0x3333, next, drop)
	p.enough(ip6End + 4)
	p.byteAt(ip6Next)
	p.equal(icmp6, next, drop)
	p.byteAt(ip6Hops)
	p.equal(ndHops, next, drop)
	p.byteAt(ip6End)
	p.equal(ndNeighbourSolicitation, toHost, next)
	p.equal(ndNeighbourAdvertised, toHost, drop)
	p.mark(arpToAll)
	p.mac(etherDst, net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, next, drop)
}

// own lets pass what claims no more than the container's own addresses.
func (p *program) own(o Port) {
	p.mac(etherSrc, o.MAC, next, drop)
	p.half(etherType)
	p.equal(typeIPv4, ip4, next)
	p.equal(typeIPv6, ip6, next)
	p.equal(typeARP, arp, next)
	for _, vlan := range vlanTypes() {
		p.equal(vlan, drop, next)
	}
	p.allow()

	p.mark(arp)
	p.enough(arpEnd)
	p.word(arpFormat)
	p.equal(arpIPv4, next, drop)
	p.mac(arpSenderMAC, o.MAC, next, drop)
	p.word(arpSenderIP)
	p.jump(claim4)

	p.mark(ip4)
	p.enough(ip4End)
	p.word(ip4Src)
	p.mark(claim4)
	p.own4(o)

	p.mark(ip6)
	p.enough(ip6End)
	p.own6(ip6Src, o, second, outside, discovery)
	p.mark(discovery)
	p.judgeDiscovery()
	p.mark(target)
	p.enough(ndTargetEnd)
	p.own6(ndTarget, o, secondTarget, outsideTarget, pass)
}

// own4 judges the address that was loaded. 0.0.0.0 is nobody's: ARP probes come
// from it, and DHCP.
func (p *program) own4(o Port) {
	p.equal(0, pass, next)
	for _, subnet := range o.Reserved {
		if !subnet.Addr().Is4() {
			continue
		}
		for _, a := range o.Addresses {
			if a.Is4() {
				b := a.As4()
				p.equal(binary.BigEndian.Uint32(b[:]), pass, next)
			}
		}
		b := subnet.Masked().Addr().As4()
		p.and(mask(subnet.Bits()))
		p.equal(binary.BigEndian.Uint32(b[:]), drop, next)
	}
	p.allow()
}

// own6 judges the address at an offset. A link-local address that is made from
// a hardware address (RFC 4291, appendix A), as the kernel's are, the bridge's
// included, must be made from the container's own; one in 65536 of those that are
// chosen at random looks like that. Other link-local ones pass.
func (p *program) own6(offset uint32, o Port, second, elsewhere, allowed place) {
	for _, subnet := range o.Reserved {
		if !subnet.Addr().Is6() {
			continue
		}
		for i := 0; i < subnet.Bits(); i += 32 {
			p.part6(offset, subnet, i, next, elsewhere)
		}
		candidates := o.within(subnet)
		for i, own := range candidates {
			otherwise := drop
			if last := i == len(candidates)-1; !last {
				otherwise = second
			}
			// What the subnet has in common with it was looked at.
			whole := netip.PrefixFrom(own, 128)
			for bit := subnet.Bits() / 32 * 32; bit < 128; bit += 32 {
				p.part6(offset, whole, bit, next, otherwise)
			}
			p.jump(allowed)
			if i == 0 {
				p.mark(second)
			}
		}
		if len(candidates) == 0 {
			p.jump(drop)
		}
	}
	p.mark(elsewhere)
	fromMAC := netip.PrefixFrom(linkLocal(o.MAC), 128)
	p.part6(offset, fromMAC, 0, next, allowed)
	p.part6(offset, fromMAC, 32, next, allowed)
	p.half(offset + 11)
	p.equal(0xfffe, next, allowed)
	p.part6(offset, fromMAC, 64, next, drop)
	p.part6(offset, fromMAC, 96, allowed, drop)
}

// within returns the container's own addresses in an IPv6 subnet, at most two: the
// one of the network, and where the subnet is the kernel's link-local one, that
// which the kernel makes.
func (o Port) within(subnet netip.Prefix) (own []netip.Addr) {
	for _, a := range o.Addresses {
		if subnet.Contains(a) {
			own = []netip.Addr{a}
		}
	}
	if kernels := linkLocal(o.MAC); subnet.Contains(kernels) && subnet.Addr().IsLinkLocalUnicast() {
		own = append(own, kernels)
	}
	return own
}

// part6 compares 32 bits of the IPv6 address at an offset with a prefix, or as
// many of them as the prefix has.
func (p *program) part6(offset uint32, prefix netip.Prefix, bit int, then, otherwise place) {
	b := prefix.Masked().Addr().As16()
	p.word(offset + uint32(bit/8))
	if here := prefix.Bits() - bit; here < 32 {
		p.and(mask(here))
	}
	p.equal(binary.BigEndian.Uint32(b[bit/8:]), then, otherwise)
}

// mask has the given number of leading ones.
func mask(bits int) uint32 { return ^uint32(0) << (32 - bits) }

// judgeDiscovery judges a packet whose source is the container's to use. Behind
// it comes the check of the target of a neighbour message. What may hide such a
// message behind another header is dropped (RFC 7113); with any other hop limit
// receivers do not believe it.
func (p *program) judgeDiscovery() {
	p.byteAt(ip6Hops)
	p.equal(ndHops, next, pass)
	p.byteAt(ip6Next)
	p.equal(icmp6, message, next)
	p.equal(fragment, next, chain)
	p.enough(ip6End + 8)
	p.byteAt(ip6End)
	p.equal(icmp6, drop, next)
	p.equal(fragment, drop, next)
	p.mark(chain)
	for _, e := range extensions() {
		p.equal(e, drop, next)
	}
	p.allow()

	p.mark(message)
	p.enough(ip6End + 4)
	p.byteAt(ip6End)
	p.equal(ndRouterAdvertisement, drop, next)
	p.equal(ndRedirect, drop, next)
	p.equal(ndNeighbourAdvertised, target, next)
	p.equal(ndNeighbourSolicitation, next, pass)
	// From no address it asks whether its target is taken: a claim, which has
	// somebody else who asks the same give the address up.
	nobody := netip.PrefixFrom(netip.IPv6Unspecified(), 128)
	for i := 0; i < 128; i += 32 {
		p.part6(ip6Src, nobody, i, next, pass)
	}
}

// linkLocal is the address that the kernel makes from a hardware address.
func linkLocal(mac net.HardwareAddr) netip.Addr {
	a := [16]byte{0xfe, 0x80, 8: mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]}
	return netip.AddrFrom16(a)
}
