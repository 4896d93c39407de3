package portfilter

import "net/netip"

// neighbours6 judges what comes from an address that is not the container's own
// but may be the source of a packet. Neighbours remember who solicits them, and
// routers whoever asks for them (RFC 4861, 7.2.3 and 6.2.6), in a table that the
// kernel shares out among all namespaces. So a message of neighbour discovery
// comes from an address of the container's own, from one of the lowest link-local
// ones, or from none: that asks whether its target is taken (RFC 4862), and nobody
// remembers it.
func (p *program) neighbours6(o Port) {
	p.Mark(others6)
	p.Load(ip6Next, 1)
	p.Equal(icmp6, next, mine6)
	p.Load(ip6Hops, 1)
	p.Equal(ndHops, next, pass)
	p.enough(ip6End + 4)
	p.Load(ip6End, 1)
	p.Equal(ndRouterSolicitation, unknown, next)
	p.Equal(ndNeighbourSolicitation, unknown, next)
	p.Equal(ndNeighbourAdvertised, unknown, message)

	p.Mark(unknown)
	chosen := p.Place()
	nobody := netip.PrefixFrom(netip.IPv6Unspecified(), 128)
	for i := 0; i < 128; i += 32 {
		p.part6(ip6Src, nobody, i, next, chosen)
	}
	p.Load(ip6End, 1)
	p.Equal(ndRouterSolicitation, pass, next)
	p.Equal(ndNeighbourSolicitation, next, drop)
	// A claim, which has somebody else who asks the same give the address up.
	p.enough(ndTargetEnd)
	p.own6(ndTarget, o, pass, pass)
	p.Mark(chosen)
	p.low6(ip6Src, discovery)
	p.ends()
}

// advertised6 judges the target of an advertisement.
func (p *program) advertised6(o Port) {
	p.Mark(advertised)
	p.enough(ndTargetEnd)
	low := p.Place()
	p.own6(ndTarget, o, pass, low)
	p.Mark(low)
	p.low6(ndTarget, pass)
}

// protocols6 judges a packet whose source is the container's to use by what it
// carries: it says nothing in a router's name, advertises its own addresses only,
// and answers no client of DHCP. What may hide a message of neighbour discovery
// behind another header is dropped (RFC 7113); with any other hop limit receivers
// do not believe it.
func (p *program) protocols6() {
	p.Mark(mine6)
	p.Load(ip6Next, 1)
	p.Equal(tcp, pass, next)
	p.Equal(udp, udp6, next)
	p.Equal(icmp6, discovery, next)
	p.Equal(fragment, fragment6, next)
	for _, e := range extensions() {
		p.Equal(e, extension, next)
	}
	p.allow()

	p.Mark(udp6)
	p.short(ip6End+udpPortEnd, pass)
	p.Load(ip6End+udpPort, 2)
	p.Equal(dhcp6Client, drop, pass)

	p.Mark(discovery)
	p.Load(ip6Hops, 1)
	p.Equal(ndHops, next, pass)
	p.enough(ip6End + 4)
	p.Load(ip6End, 1)
	p.Mark(message)
	p.Equal(ndRouterAdvertisement, drop, next)
	p.Equal(ndRedirect, drop, next)
	p.Equal(ndNeighbourAdvertised, advertised, pass)

	p.Mark(fragment6)
	p.enough(ip6End + 8)
	p.Load(ip6End, 1)
	p.Equal(udp, fragmentUDP, next)
	p.Equal(icmp6, unbelieved, next)
	p.Equal(fragment, behind6, next)
	for _, e := range extensions() {
		p.Equal(e, behind6, next)
	}
	p.allow()

	p.Mark(fragmentUDP)
	p.Load(ip6End+2, 2)
	p.And(0xfff8)
	p.Equal(0, next, pass)
	p.short(ip6End+8+udpPortEnd, pass)
	p.Load(ip6End+8+udpPort, 2)
	p.Equal(dhcp6Client, drop, pass)

	p.extended()
}

// extended judges a packet with an extension header. One header is looked
// behind. What comes after two, or after that of authentication, whose length is
// counted in another way, is dropped if it is for a link-local address: there
// clients of DHCP listen.
func (p *program) extended() {
	p.Mark(extension)
	p.Load(ip6Hops, 1)
	p.Equal(ndHops, drop, next)
	p.enough(ip6End + 8)
	p.Load(ip6Next, 1)
	p.Equal(ah, hidden, next)
	p.Load(ip6End, 1)
	p.Equal(fragment, hidden, next)
	for _, e := range extensions() {
		p.Equal(e, hidden, next)
	}
	p.Equal(udp, next, pass)
	// The length in units of 8 bytes, without the first (RFC 8200, 4.3).
	p.Load(ip6End+1, 1)
	p.units8()
	p.portBehind(ip6End, dhcp6Client, drop)

	p.Mark(behind6)
	p.Load(ip6Hops, 1)
	p.Equal(ndHops, drop, hidden)
	p.Mark(hidden)
	p.Load(ip6Dst, 4)
	p.And(mask(10))
	p.Equal(0xfe800000, drop, pass)

	p.Mark(unbelieved)
	p.Load(ip6Hops, 1)
	p.Equal(ndHops, drop, pass)
}
