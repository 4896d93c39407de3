// Package spec holds the leaf value types that say what the kernel should
// contain for a network or an endpoint: bridges, veth pairs, published ports.
//
// They are computed by package plan from the state and consumed by the
// packages that talk to the kernel (link, firewall, hostport). Values are
// never changed after they were made, and two values that mean the same are
// deeply equal. The package does no I/O and imports the standard library only.
package spec

import (
	"cmp"
	"net"
	"net/netip"
	"strconv"
)

// LinkGroup is the interface group (IFLA_GROUP) of every bridge of a gangway
// network. The firewall recognises "one of ours" by it with a single match,
// however many networks there are. The number spells "GW" and stays clear of
// the small numbers that administrators use.
const LinkGroup uint32 = 0x4757

// BridgePrefix is the start of the name that a bridge gets whose user gave it
// none; 12 characters of the network's id follow. Links of others may begin so
// too.
const BridgePrefix = "gw-"

// OwnerAlias is the start of the interface alias (IFLA_IFALIAS) that marks a
// bridge or veth as created by gangway; the network or endpoint id follows.
// What does not carry it is never deleted.
const OwnerAlias = "gangway:"

// Bridge is the Linux bridge of one network.
type Bridge struct {
	// Name is the link's name, 1 to 15 bytes.
	Name string
	// NetworkID owns the bridge; its alias is OwnerAlias + NetworkID.
	NetworkID string
	// MTU in bytes; 0 leaves the kernel's default.
	MTU int
	// Addresses are the gateway addresses with their prefix lengths, at most
	// one a family. Empty for a network without host addresses.
	Addresses []netip.Prefix
	// Adopted says that the bridge existed before the network and belongs to
	// somebody else: it is used, and never deleted or renumbered.
	Adopted bool
	// IPv6 says whether the bridge takes part in IPv6 (disable_ipv6=0).
	IPv6 bool
	// Localnet says whether packets of the host's 127.0.0.0/8 may leave by the
	// bridge (route_localnet=1): those to a port that is published there.
	Localnet bool
	// LAN says that a port of the bridge leads to a LAN, on which the host may be by another
	// link as well. It answers by the bridge for addresses of the bridge alone (arp_ignore=1).
	LAN bool `json:",omitempty"`
	// Host says that the bridge has the addresses of its uplink (see LANPort), and is to the host
	// what that was: nothing of it is gangway's to decide but who its ports are. It is in no
	// interface group, and its IPv6 settings and MTU are the uplink's.
	Host bool `json:",omitempty"`
	// Routes are the host's by the bridge, to what is behind one of its containers; they are
	// marked by RouteProtocol.
	Routes []Route `json:",omitempty"`
}

// Veth is the pair of links that joins a container to its network's bridge.
type Veth struct {
	// EndpointID owns the pair; the host end's alias is OwnerAlias + EndpointID.
	EndpointID string
	// Host is the name of the end that stays on the bridge.
	Host string
	// Peer is the name of the end that the engine moves into the container,
	// as long as it is in the host's network namespace.
	Peer string
	// Bridge is the name of the bridge that holds the host end. First is that of the network's first
	// bridge, which the host is on, where Bridge is a further one.
	Bridge string
	First  string `json:",omitempty"`
	// MAC is the container end's hardware address.
	MAC net.HardwareAddr
	// Addresses are the container end's, at most one a family: neighbours are
	// told where they are when the pair is made.
	Addresses []netip.Addr
	// MTU in bytes, of both ends; 0 leaves the kernel's default. Follows says that it is of a new
	// pair alone, since what it follows may change: 0 is that of the bridge then, and the
	// end in a container keeps what it has, and so does the host's, which would drop what is
	// longer.
	MTU     int
	Follows bool `json:",omitempty"`
	// Reserved are the subnets of which the container may use no addresses but
	// its own. With any, it can also claim no other hardware address, and be no
	// router of IPv6; with none, it may claim to be anyone.
	Reserved []netip.Prefix
	// Isolated keeps the container from the others of its bridge: it reaches the
	// host, and others by the host at most.
	Isolated bool
	// Ifb is the link that keeps back what the container sends, see Shaper; empty for none.
	Ifb string `json:",omitempty"`
	// Detached says that the endpoint is in no container. Its pair need not exist.
	// One that does, because the engine has not taken its end out of the container
	// yet, or has put it back, is cut off: the host end is down and on no bridge.
	// Of the fields above only the id and the names are set then.
	Detached bool `json:",omitempty"`
}

// HostBridge is the bridge that the host is on.
func (v Veth) HostBridge() string { return cmp.Or(v.First, v.Bridge) }

// Protocol is an IP protocol number as the engine sends it.
type Protocol uint8

// The protocols whose ports can be published.
const (
	TCP  Protocol = 6
	UDP  Protocol = 17
	SCTP Protocol = 132
)

// String returns the lower-case name that docker and iptables use, or
// "proto-N" for a number that cannot be published.
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case SCTP:
		return "sctp"
	}
	return "proto-" + strconv.Itoa(int(p))
}

// Listener is a port on which the host itself listens.
type Listener struct {
	Proto Protocol
	Port  uint16
}

// Span is a range of ports, First <= Last.
type Span struct{ First, Last uint16 }

// Published is one contiguous run of published ports of one endpoint in one
// address family: host port First+i leads to Container port ContainerFirst+i.
type Published struct {
	Proto Protocol
	// HostIP is the host address that packets must be sent to; the family's
	// unspecified address (0.0.0.0 or ::) stands for every host address. Its
	// family is the family of the run.
	HostIP netip.Addr
	// First and Last are the host ports, 1..65535, First <= Last.
	First, Last uint16
	// ContainerIP is the endpoint's address. For NAT it has HostIP's family.
	// When an endpoint has no address of that family, it has the other one
	// and the run is relayed by the daemon instead (see Relayed).
	ContainerIP netip.Addr
	// ContainerFirst is the container port that First leads to.
	ContainerFirst uint16
	// ByDaemon says that the run is relayed all the same: what the container answers to others than
	// the host does not come back by the host.
	ByDaemon bool `json:",omitempty"`
}

// Relayed says whether the run cannot be served by NAT, because host and
// container address are of different families, or is not to be.
func (p Published) Relayed() bool { return p.ByDaemon || p.HostIP.Is4() != p.ContainerIP.Is4() }

// Len returns how many ports the run has.
func (p Published) Len() int { return int(p.Last) - int(p.First) + 1 }
