package driver

import (
	"context"
	"net"
	"net/netip"

	"github.com/gangway-net/gangway/driver/drift"
	"github.com/gangway-net/gangway/driver/kinds"
	"github.com/gangway-net/gangway/driver/needs"
	"github.com/gangway-net/gangway/driver/spec"
)

// Linker makes links what they should be. Package link is the real one.
type Linker interface {
	kinds.Kernel
	// LacksIPv6 says that the container's end of the pair can have no IPv6 address:
	// IPv6 is off there. It says no as well where nothing tells.
	LacksIPv6(ctx context.Context, v spec.Veth) (bool, error)
}

// Host answers questions about the host and sets what is not one network's.
type Host interface {
	kinds.Forwarder
	drift.Links
	// InspectBridge describes the link of that name, as far as it concerns a network
	// with these subnets.
	InspectBridge(ctx context.Context, name string, subnets []netip.Prefix) (spec.BridgeInfo, error)
	// Occupied asks on a bridge that carries more than gangway's pairs, or by another link, who
	// uses the addresses, and returns the hardware address for each that is in use.
	Occupied(ctx context.Context, link string, addrs []netip.Addr) (map[netip.Addr]net.HardwareAddr, error)
	// Veths returns what the kernel knows of gangway's veth pairs, by endpoint.
	Veths(ctx context.Context) (map[string]spec.VethInfo, error)
}

// Facts tells what of the host nobody stores and Gangway does not make. Package link
// is the real one.
type Facts interface {
	needs.Host
	drift.Host
	kinds.Forwards
}

// Origins tells links from each other. Package link is the real one.
type Origins interface {
	// Origin describes the link of that index.
	Origin(ctx context.Context, index int) (spec.Origin, error)
}

// HostPorts holds host ports with bound sockets. Their owners are containers, by
// the keys of their sandboxes. Package hostport is the real one.
type HostPorts interface {
	// Reserve finds and binds the host ports for owner's requests beside what
	// owner has already; a request that owner's ports satisfy keeps its
	// port. All or nothing. What is reserved leads nowhere, and is lost with the next
	// Trim, unless Hold was told of it.
	Reserve(ctx context.Context, owner string, want []spec.PortRequest) ([]spec.Published, error)
	kinds.Ports
	// IPv6 says whether the host has IPv6 at present.
	IPv6() bool
}

// Store keeps values durably, those of EndpointKeys until the host boots. Package
// store's Split is the real one.
type Store interface {
	// Load visits every key.
	Load(visit func(key string, value []byte) error) error
	// Update writes all changes, or none and fails; a nil value deletes its key. A
	// crash may leave those of EndpointKeys alone done.
	Update(changes map[string][]byte) error
}
