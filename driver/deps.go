package driver

import (
	"context"
	"net"
	"net/netip"

	"github.com/gangway-net/gangway/driver/needs"
	"github.com/gangway-net/gangway/driver/spec"
)

// Linker makes links what the specs say. Package link is the real one.
type Linker interface {
	// EnsureBridge creates the bridge or mends it, and returns one line for
	// each thing that was not as it should be (nil when nothing was).
	EnsureBridge(ctx context.Context, b spec.Bridge) (fixed []string, err error)
	// DeleteBridge removes a bridge that gangway created; of an adopted one it
	// gives back what it changed. What is gone already is no error.
	DeleteBridge(ctx context.Context, b spec.Bridge) error
	// EnsureVeth creates the pair, or mends the host end of an existing one.
	// A host end whose peer is in a container is never re-created. Of a detached
	// pair nothing is created, and what there is is cut off.
	EnsureVeth(ctx context.Context, v spec.Veth) (fixed []string, err error)
	// DeleteVeth removes the pair, wherever the peer is. What is gone already
	// is no error.
	DeleteVeth(ctx context.Context, v spec.Veth) error
	// LacksIPv6 says that the container's end of the pair can have no IPv6 address:
	// IPv6 is off there. It says no as well where nothing tells.
	LacksIPv6(ctx context.Context, v spec.Veth) (bool, error)
}

// Host answers questions about the host and sets what is not one network's.
type Host interface {
	// EnableForwarding turns forwarding on for the families asked for, and
	// returns one line for each switch it had to turn.
	EnableForwarding(ctx context.Context, ipv4, ipv6 bool) (fixed []string, err error)
	// InspectBridge describes the link of that name, as far as it concerns a network
	// with these subnets.
	InspectBridge(ctx context.Context, name string, subnets []netip.Prefix) (spec.BridgeInfo, error)
	// Occupied asks on a bridge that carries more than gangway's pairs who uses
	// the addresses, and returns the hardware address for each that is in use.
	Occupied(ctx context.Context, bridge string, addrs []netip.Addr) (map[netip.Addr]net.HardwareAddr, error)
	// Veths returns what the kernel knows of gangway's veth pairs, by endpoint.
	Veths(ctx context.Context) (map[string]spec.VethInfo, error)
	// Check takes one look at the links of a scope: which of the veths are gone or
	// not as they should be, and whether Prune would find anything. The lists are
	// complete, whatever the scope.
	Check(ctx context.Context, of spec.Scope, bridges []spec.Bridge, veths []spec.Veth) (spec.LinkCheck, error)
	// Prune removes links that gangway created and that belong to none of the
	// given bridges and veths, gives those that do their names back, and tells what
	// it did.
	Prune(ctx context.Context, bridges []spec.Bridge, veths []spec.Veth) (removed []string, err error)
}

// Facts tells what of the host nobody stores and Gangway does not make. Package link
// is the real one.
type Facts interface {
	needs.Host
	// Outside returns the links that lead outside, sorted by name.
	Outside(ctx context.Context) ([]spec.Outside, error)
	// Listening returns the TCP and UDP ports from first on where sockets of the host
	// wait for whoever sends there, but for those that only the host itself reaches. To
	// leave out spans of ports of a protocol, sorted, makes that short.
	Listening(ctx context.Context, first uint16, without map[spec.Protocol][]spec.Span) (map[spec.Listener]bool, error)
	// Forwarding says whether the host forwards packets of a family, if only from some
	// link.
	Forwarding(ctx context.Context, six bool) (bool, error)
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
	// Keep, unless Hold was told of it.
	Reserve(ctx context.Context, owner string, want []spec.PortRequest) ([]spec.Published, error)
	// Hold holds a container's ports and leads them to it, each for itself, beside what
	// else it has. It returns a line for what it took, and one for what it could not
	// have. An error says that what it has is not relayed.
	Hold(ctx context.Context, p spec.HostPorts) (held, unheld []string, err error)
	// Keep releases what the container has beyond these ports.
	Keep(p spec.HostPorts)
	// Lacking returns the containers that do not hold exactly what is given for them,
	// with the relays; of those that are not given who has anything.
	Lacking(want []spec.HostPorts) (sandboxes []string)
	// IPv6 says whether the host has IPv6 at present.
	IPv6() bool
}

// Zones has a manager of the host's firewall let bridges be that would reject
// what they forward. Package firewalld is the real one. Where there is no such
// manager, nothing is done; one that does not answer is an error soon.
type Zones interface {
	// Enter puts a bridge, which need not exist yet, where its packets pass.
	Enter(ctx context.Context, bridge string) error
	// Leave undoes Enter. What is gone already is no error.
	Leave(ctx context.Context, bridge string) error
	// Sync makes it so for the bridges that want names and no others of gangway,
	// and returns one line for each that was not as it should be. It asks want when
	// it is the only one to change anything; who is about to enter or to leave is
	// moving, and left alone.
	Sync(ctx context.Context, want func() (bridges, moving []string)) (fixed []string, err error)
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
