package portfilter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/net/bpf"
)

// Port is the bridge port of one container.
type Port struct {
	// MAC and Addresses are the container's own.
	MAC       net.HardwareAddr
	Addresses []netip.Addr
	// Reserved are the subnets of which the container may use its own addresses
	// only, at most one a family; with none it may send anything in any name.
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
	arpTargetIP, arpEnd           = network + 24, network + 28
	ip4Fragment, ip4Protocol      = network + 6, network + 9
	ip4Src, ip4End                = network + 12, network + 20
	ip6Next, ip6Hops, ip6Src      = network + 6, network + 7, network + 8
	ip6Dst, ip6End                = network + 24, network + 40
	// udpPort is the destination port in the header of UDP, udpPortEnd its end.
	udpPort, udpPortEnd   = 2, 4
	ndTarget, ndTargetEnd = ip6End + 8, ip6End + 24
)

// Numbers of protocols.
const (
	typeIPv4, typeARP, typeIPv6 = 0x0800, 0x0806, 0x86dd
	// arpIPv4 is what follows the kind of hardware in ARP for IPv4: protocol,
	// six bytes of hardware and four of protocol address.
	arpIPv4 = typeIPv4<<16 | 6<<8 | 4

	tcp, udp, icmp6 = 6, 17, 58
	fragment, ah    = 44, 51

	// The ports of DHCP clients (RFC 2131, 4.1; RFC 8415, 7.2): what comes there is
	// an answer.
	dhcpClient, dhcp6Client = 68, 546

	// Neighbour discovery, RFC 4861. Receivers demand a hop limit of 255.
	ndHops                                         = 255
	ndRouterSolicitation                           = 133
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

// Program writes the program for a port. One that may send in any name keeps to its
// bridge all the same, see notToPort. Hardware addresses must have 6 bytes.
func Program(o Port) ([]bpf.RawInstruction, error) {
	families := map[bool]bool{}
	for _, subnet := range o.Reserved {
		if six := subnet.Addr().Is6(); !subnet.IsValid() || families[six] {
			return nil, fmt.Errorf("%s is no subnet, or the second one of its family", subnet)
		}
		families[subnet.Addr().Is6()] = true
	}
	switch {
	case len(o.Reserved) > 0 && len(o.MAC) != 6:
		return nil, fmt.Errorf("the container's hardware address %q does not have 6 bytes", o.MAC)
	case o.HostOnly && len(o.Bridge) != 6:
		return nil, errors.New("the bridge has no hardware address of 6 bytes")
	}
	p := &program{}
	p.enough(network)
	if o.HostOnly {
		p.hostOnly(o.Bridge)
		p.Mark(toHost)
	}
	switch {
	case len(o.Reserved) > 0:
		p.own(o)
	case !o.HostOnly:
		p.notToPort()
		p.allow()
		p.discards()
	}
	p.ends()
	return p.Code()
}

// mac jumps by whether the frame has the hardware address at the offset;
// otherwise must not be next.
func (p *program) mac(offset uint32, mac net.HardwareAddr, then, otherwise place) {
	p.Load(offset, 4)
	p.Equal(binary.BigEndian.Uint32(mac), next, otherwise)
	p.Load(offset+4, 2)
	p.Equal(uint32(binary.BigEndian.Uint16(mac[4:])), then, otherwise)
}

// hostOnly lets pass what is for the host by its hardware address. What is for
// everybody is needed to find the host, and to be found: ARP, and solicitations
// and advertisements of neighbours. The bridge passes these on to no other
// container, since its ports take no flooded frames of each other (see package
// link), and none can ask for them: reports of multicast groups are discarded, too.
func (p *program) hostOnly(bridge net.HardwareAddr) {
	p.mac(etherDst, bridge, toHost, toOthers)
	p.Mark(toOthers)
	p.Load(etherType, 2)
	p.Equal(typeARP, arpToAll, next)
	p.Equal(typeIPv6, next, discard)
	// Multicast of IPv6, RFC 2464, 7.
	p.Load(etherDst, 2)
	p.Equal(0x3333, next, discard)
	p.short(ip6End+4, discard)
	p.Load(ip6Next, 1)
	p.Equal(icmp6, next, discard)
	p.Load(ip6Hops, 1)
	p.Equal(ndHops, next, discard)
	p.Load(ip6End, 1)
	p.Equal(ndNeighbourSolicitation, toHost, next)
	p.Equal(ndNeighbourAdvertised, toHost, discard)
	p.Mark(arpToAll)
	p.mac(etherDst, net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, toHost, discard)
	p.discards()
}
