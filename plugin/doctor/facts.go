package doctor

import (
	"net/netip"

	"github.com/gangway-net/gangway/plugin"
)

// Facts are what findings follow from. Maps and lists are empty where nothing could be
// found out; Notes says why.
type Facts struct {
	// State is what the daemon says: of itself, and of what should be there.
	State State
	// Host is the host's kernel.
	Host Host
	// Containers are the network namespaces of containers, by sandbox.
	Containers map[string]Container
	// Filters are the rules of others that see forwarded packets.
	Filters []Base
	// Notes say what could not be looked at, and why.
	Notes []string
}

// State is what the daemon says.
type State struct {
	// Health has a line for each problem and each thing that is degraded.
	Health    []string
	Networks  []plugin.Network
	Endpoints []plugin.Endpoint
	Ports     []plugin.Port
	// Files are the descriptors that the daemon has open and may have; 0 for unknown.
	Files, FileLimit int
}

// Host is what the kernel says of the host.
type Host struct {
	// Forwarding says whether packets pass from link to link, by family.
	Forwarding4, Forwarding6 bool
	// Flows and FlowLimit are the entries of the connection table, and how many there
	// may be; 0 for unknown.
	Flows, FlowLimit int
	// Links are the host's links by name.
	Links map[string]Link
	// Uplink is the link of the default route; empty for none.
	Uplink string
	// Neighbours are what the host knows of hardware addresses.
	Neighbours map[netip.Addr]Neighbour
}

// Link is one link.
type Link struct {
	MTU    int
	Up     bool
	Master string
}

// Neighbour is what the host knows of who has an address.
type Neighbour struct {
	MAC    string
	Failed bool
}

// Container is the inside of a container's network namespace.
type Container struct {
	// Addresses are all of its links', Default says whether it has default routes.
	Addresses          []netip.Addr
	Default4, Default6 bool
	// Down are the links that are down, by name.
	Down map[string]bool
	// Listeners are the sockets that wait for clients.
	Listeners []Listener
}

// Listener is a socket that waits for clients.
type Listener struct {
	// Protocol is tcp, udp or sctp.
	Protocol string
	// Addr is what it is bound to; unspecified for all addresses of its family, those of
	// IPv4 as well if Both.
	Addr netip.AddrPort
	Both bool
}
