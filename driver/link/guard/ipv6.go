package guard

import "net/netip"

// neighbours6 judges what comes from an address that is not the container's own
// but may be the source of a packet. Neighbours remember who solicits them, and
// routers whoever asks for them (RFC 4861, 7.2.3 and 6.2.6), in a table that the
// kernel shares out among all namespaces. So a message of neighbour discovery
// comes from an address of the container's own, from one of the lowest link-local
// ones, or from none: that asks whether its target is taken (RFC 4862), and nobody
// remembers it.
func (p *program) neighbours6(o Port) {
	p.mark(others6)
	p.byteAt(ip6Next)
	p.equal(icmp6, next, mine6)
	p.byteAt(ip6Hops)
	p.equal(ndHops, next, pass)
	p.enough(ip6End + 4)
	p.byteAt(ip6End)
	p.equal(ndRouterSolicitation, unknown, next)
	p.equal(ndNeighbourSolicitation, unknown, next)
	p.equal(ndNeighbourAdvertised, unknown, message)

	p.mark(unknown)
	chosen := p.place()
	nobody := netip.PrefixFrom(netip.IPv6Unspecified(), 128)
	for i := 0; i < 128; i += 32 {
		p.part6(ip6Src, nobody, i, next, chosen)
	}
	p.byteAt(ip6End)
	p.equal(ndRouterSolicitation, pass, next)
	p.equal(ndNeighbourSolicitation, next, drop)
	// A claim, which has somebody else who asks the same give the address up.
	p.enough(ndTargetEnd)
	p.own6(ndTarget, o, pass, pass)
	p.mark(chosen)
	p.low6(ip6Src, discovery)
	p.ends()
}

// advertised6 judges the target of an advertisement.
func (p *program) advertised6(o Port) {
	p.mark(advertised)
	p.enough(ndTargetEnd)
	low := p.place()
	p.own6(ndTarget, o, pass, low)
	p.mark(low)
	p.low6(ndTarget, pass)
}

// protocols6 judges a packet whose source is the container's to use by what it
// carries: it says nothing in a router's name, advertises its own addresses only,
// and answers no client of DHCP. What may hide a message of neighbour discovery
// behind another header is dropped (RFC 7113); with any other hop limit receivers
// do not believe it.
func (p *program) protocols6() {
	p.mark(mine6)
	p.byteAt(ip6Next)
	p.equal(tcp, pass, next)
	p.equal(udp, udp6, next)
	p.equal(icmp6, discovery, next)
	p.equal(fragment, fragment6, next)
	for _, e := range extensions() {
		p.equal(e, extension, next)
	}
	p.allow()

	p.mark(udp6)
	p.short(ip6End+udpPortEnd, pass)
	p.half(ip6End + udpPort)
	p.equal(dhcp6Client, drop, pass)

	p.mark(discovery)
	p.byteAt(ip6Hops)
	p.equal(ndHops, next, pass)
	p.enough(ip6End + 4)
	p.byteAt(ip6End)
	p.mark(message)
	p.equal(ndRouterAdvertisement, drop, next)
	p.equal(ndRedirect, drop, next)
	p.equal(ndNeighbourAdvertised, advertised, pass)

	p.mark(fragment6)
	p.enough(ip6End + 8)
	p.byteAt(ip6End)
	p.equal(udp, fragmentUDP, next)
	p.equal(icmp6, unbelieved, next)
	p.equal(fragment, behind6, next)
	for _, e := range extensions() {
		p.equal(e, behind6, next)
	}
	p.allow()

	p.mark(fragmentUDP)
	p.half(ip6End + 2)
	p.and(0xfff8)
	p.equal(0, next, pass)
	p.short(ip6End+8+udpPortEnd, pass)
	p.half(ip6End + 8 + udpPort)
	p.equal(dhcp6Client, drop, pass)

	p.extended()
}

// extended judges a packet with an extension header. One header is looked
// behind. What comes after two, or after that of authentication, whose length is
// counted in another way, is dropped if it is for a link-local address: there
// clients of DHCP listen.
func (p *program) extended() {
	p.mark(extension)
	p.byteAt(ip6Hops)
	p.equal(ndHops, drop, next)
	p.enough(ip6End + 8)
	p.byteAt(ip6Next)
	p.equal(ah, hidden, next)
	p.byteAt(ip6End)
	p.equal(fragment, hidden, next)
	for _, e := range extensions() {
		p.equal(e, hidden, next)
	}
	p.equal(udp, next, pass)
	// The length in units of 8 bytes, without the first (RFC 8200, 4.3).
	p.byteAt(ip6End + 1)
	p.units8()
	p.portBehind(ip6End, dhcp6Client, drop)

	p.mark(behind6)
	p.byteAt(ip6Hops)
	p.equal(ndHops, drop, hidden)
	p.mark(hidden)
	p.word(ip6Dst)
	p.and(mask(10))
	p.equal(0xfe800000, drop, pass)

	p.mark(unbelieved)
	p.byteAt(ip6Hops)
	p.equal(ndHops, drop, pass)
}
