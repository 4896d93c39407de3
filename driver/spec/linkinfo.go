package spec

import (
	"net"
	"net/netip"
)

// BridgeInfo describes a link that may serve as a network's bridge, and what
// its network has to leave alone.
type BridgeInfo struct {
	Exists bool
	// Kind is the link's kind, such as "bridge" or "dummy".
	Kind string
	// Owner is the network id of a bridge that gangway created, else empty.
	Owner string
	// MAC is its hardware address.
	MAC net.HardwareAddr
	// Addresses are its global addresses, of the families that the network has.
	Addresses []netip.Prefix
	// Elsewhere are the global addresses of all other links that lie within the
	// network's subnets.
	Elsewhere []LinkAddress
}

// LinkAddress is an address of the host, with its subnet's length.
type LinkAddress struct {
	Link    string
	Address netip.Prefix
}

// VethInfo describes both ends of a pair.
type VethInfo struct {
	Host      string
	HostIndex int
	// Peer is empty if the kernel does not tell.
	Peer      string
	PeerIndex int
	// Moved says that the peer has left the host's namespace.
	Moved bool
	// Bridge is the bridge that holds the host end, and NetworkID whose that is, as far
	// as the bridge itself tells; Further is its number, if it is a further one.
	Bridge, NetworkID string
	Further           int
}

// LinkCheck is what one look at links shows of those that were looked at.
type LinkCheck struct {
	// Gone and Amiss are the endpoints whose pair is not there, and those whose
	// host end is, or may be, not as it should be.
	Gone, Amiss map[string]bool
	// Outside are the endpoints both ends of whose pair are in the host's namespace,
	// though it is not detached.
	Outside map[string]bool
	// Orphans are the names of links that belong, or of bridges that were changed for
	// what belongs, to no network and no endpoint, and of links that should have
	// another name.
	Orphans map[string]bool
}

// Outside is a link of the host that leads outside: to other hosts, and to no
// containers or virtual machines of this one.
type Outside struct {
	// Name is the link's name.
	Name string
	// Bridge says that it is a bridge.
	Bridge bool
}

// Origin describes the link that a packet came in by, as the host sees it. Of one on
// top of another link, such as a VLAN of a bridge, it is that one.
type Origin struct {
	Name string
	// Owner is the id of the network, or endpoint, that the link was made for.
	Owner string
	// Marked says that it is in the interface group of gangway's bridges.
	Marked   bool
	Loopback bool
}

// ForeignPort is a port of a bridge that is none of gangway's.
type ForeignPort struct {
	Name  string
	Index int
	// Kind is the link's kind, such as "tap".
	Kind   string
	Bridge string
	// NetworkID is whose the bridge is; empty where it is that of several networks.
	NetworkID string
	Up        bool
	// Learned are hardware addresses behind the port, Addresses is how many there are.
	Learned   []string
	Addresses int
}
