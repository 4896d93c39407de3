package doctor

import (
	"net/netip"

	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/plugin"
)

// Facts are what findings follow from. What could not be found out is left out of maps and
// lists, and Notes says why: nothing follows from it.
type Facts struct {
	// State is what the daemon says: of itself, and of what should be there.
	State State
	// Host is the host's kernel.
	Host Host
	// Containers are the network namespaces of containers, by sandbox.
	Containers map[string]Container
	// Filters are the rules of others that packets meet on the host.
	Filters []Base
	// Client is somebody who gets no answers, if one was named.
	Client Client
	// Notes say what could not be looked at, and why.
	Notes []string
}

// State is what the daemon says.
type State struct {
	// Health has what keeps the daemon from being ok.
	Health []cause.Cause
	// HostAsked says that the engine asks for names in the host's own name, where a policy has
	// *.NAME, with what to do.
	HostAsked string
	// Unguarded says why containers have no port filter, Protection what stands between a
	// flush of all rules and open networks, in the words of plugin.Health.
	Unguarded, Protection string
	Networks              []plugin.Network
	Endpoints             []plugin.Endpoint
	// Ports are the published ones, and in Facts also those that are reached by the
	// container's own address.
	Ports []plugin.Port
	// Serving is where the daemon serves containers whose policy has names.
	Serving plugin.Serving
	// Files are the descriptors that the daemon has open and may have; 0 for unknown.
	Files, FileLimit int
	// Engine says why the engine does not answer; empty if it does, or was not asked.
	Engine string
}

// Host is what the kernel says of the host.
type Host struct {
	// Settings are numbers of /proc/sys, by their path below it.
	Settings map[string]int
	// Links are the host's links by name.
	Links map[string]Link
	// Uplinks are the links of the default routes.
	Uplinks []string
	// Neighbours are what the host knows of hardware addresses.
	Neighbours map[netip.Addr]Neighbour
	// Ways are the host's ways to addresses of containers.
	Ways map[netip.Addr]Way
	// Queues are those of traffic control that have dropped packets or hold some, in words,
	// by link.
	Queues map[string]string
	// Attached are what may drop packets at a link, by the link.
	Attached map[string][]Attached
	// Reversed counts the packets that were dropped since the boot because the way back to
	// their source leads by another link (IPReversePathFilter).
	Reversed int
}

// Link is one link.
type Link struct {
	Index  int
	MTU    int
	Up     bool
	Master string
	// Kind is the kernel's, such as bridge; device for hardware.
	Kind string
	// Carrier says that somebody is at the other end; of a bridge, at one of its ports.
	Carrier   bool
	Addresses []netip.Addr
	// Program says that packets meet programs (XDP, traffic control) when they come in.
	Program bool
}

// Way is where a packet goes, as the kernel's routes say.
type Way struct {
	// Link is where it leaves, MTU the path's where the kernel knows one, else 0.
	Link string
	MTU  int
	// Refused says why it goes nowhere; empty if it does.
	Refused string
}

// Client is somebody outside who asks for a published port.
type Client struct {
	// Addr is invalid if none was named.
	Addr netip.Addr
	// Way is the host's own to it, and Answers those of what containers send, by their
	// address.
	Way     Way
	Answers map[netip.Addr]Way
}

// Neighbour is what the host knows of who has an address.
type Neighbour struct {
	MAC    string
	Failed bool
}

// Container is the inside of a container's network namespace.
type Container struct {
	// Addresses are all of its links' that it may use; Refused are those that somebody
	// else on the link has (duplicate address detection).
	Addresses, Refused []netip.Addr
	// Default4 and Default6 say whether it has default routes; Silent are routers of these that
	// have not answered when it asked for their hardware addresses.
	Default4, Default6 bool
	Silent             []netip.Addr
	// Down are the links that are down, by name.
	Down map[string]bool
	// Listeners are the sockets that wait for clients, of all protocols but Unlisted.
	Listeners []Listener
	Unlisted  map[string]bool
	// Filters are its own rules.
	Filters []Base
	// Back is its way to the client, where one was named.
	Back *Way
}

// Listener is a socket that waits for clients.
type Listener struct {
	// Protocol is tcp, udp or sctp.
	Protocol string
	// Addr is what it is bound to; unspecified for all addresses of its family, those of
	// IPv4 as well if Both.
	Addr netip.AddrPort
	Both bool
	// Waiting are the connections that nobody has accepted yet, of a queue of so many.
	Waiting, Queue int
	// Stuck says that none of them was accepted for a while.
	Stuck bool
}
