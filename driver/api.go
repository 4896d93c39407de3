package driver

import (
	"net"
	"net/netip"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/cause"
)

// PoolData is one address pool of a network, as the engine hands it over with
// CreateNetwork (libnetwork driverapi.IPAMData).
type PoolData struct {
	// Space is the address space that the pool is of, such as LocalDefault for
	// the engine's own address manager.
	Space string
	// Subnet is the pool, masked.
	Subnet netip.Prefix
	// Gateway is the gateway's address with the pool's prefix length; invalid
	// (the zero Prefix) if the engine allocated none.
	Gateway netip.Prefix
	// Aux maps names to reserved addresses.
	Aux map[string]netip.Prefix
}

// CreateNetworkRequest asks for a network.
type CreateNetworkRequest struct {
	// ID is 64 hex digits, or 25 base36 ones for a swarm network.
	ID string
	// Options are the engine's, still untyped; see config.ParseNetwork.
	Options map[string]any
	// IPv4 and IPv6 hold at most one pool each.
	IPv4, IPv6 []PoolData
	// Exclusive says that the address manager has given the pools to this
	// network and knows of no other that has them.
	Exclusive bool
	// LeasedBy is the link of the LAN whose DHCP server gives the addresses; "" for none.
	LeasedBy string
}

// CreateEndpointRequest asks for an endpoint with addresses that the engine
// has already allocated.
type CreateEndpointRequest struct {
	NetworkID, EndpointID string
	// IPv4 and IPv6 carry the network's prefix length; invalid if unset.
	IPv4, IPv6 netip.Prefix
	// MAC is nil if the engine leaves the choice to the driver.
	MAC net.HardwareAddr
	// Options are the engine's; see config.ParseEndpoint.
	Options config.EndpointOptions
}

// CreateEndpointResult is what the engine did not know yet.
type CreateEndpointResult struct {
	// MAC is set only if the request had none (answering with what the engine
	// gave is an error for it).
	MAC net.HardwareAddr
}

// JoinResult tells the engine which link to move into the container and which
// routes to set there.
type JoinResult struct {
	// SrcName is the link's name in the host's namespace; DstPrefix is what it
	// is renamed to, with an index appended.
	SrcName, DstPrefix string
	// Gateway4 and Gateway6 are the default gateways; invalid for none.
	Gateway4, Gateway6 netip.Addr
	// Routes are further ones, by addresses of the network.
	Routes []config.Route `json:",omitempty"`
	// DisableGatewayService keeps the engine from attaching docker_gwbridge.
	DisableGatewayService bool
}

// GatewayCheck is the answer to GwAllocCheck: which families need no gateway
// address from the address manager.
type GatewayCheck struct {
	SkipIPv4, SkipIPv6 bool
}

// NetworkStatus is one network as the admin API shows it.
type NetworkStatus struct {
	ID      string `json:"id"`
	Bridge  string `json:"bridge"`
	Adopted bool   `json:"adopted,omitempty"`
	// Further are the network's further bridges, if it has any, and Room is how many endpoints it
	// takes.
	Further []string       `json:"furtherBridges,omitempty"`
	Room    int            `json:"room,omitempty"`
	Subnets []netip.Prefix `json:"subnets"`
	// Gateways are where containers send what leaves the network.
	Gateways []netip.Addr `json:"gateways"`
	// Outside is what the IPv6 subnet is outside of the host, with gangway.ipv6=prefix; invalid as long as
	// the host has no prefix for it.
	Outside  netip.Prefix `json:"outside,omitzero"`
	MTU      int          `json:"mtu,omitempty"`
	Internal bool         `json:"internal"`
	// ModeIPv4 and ModeIPv6 are the gateway modes of the families that it has.
	ModeIPv4 string `json:"modeIPv4,omitempty"`
	ModeIPv6 string `json:"modeIPv6,omitempty"`
	// Options are the driver's options as they were given.
	Options map[string]string `json:"options,omitempty"`
	ICC     bool              `json:"icc"`
	// Guarded says that containers are kept from claiming addresses that are not
	// theirs.
	Guarded   bool `json:"guarded"`
	Endpoints int  `json:"endpoints"`
	// Policy is what counts for its containers, but for those that have one of their own;
	// nothing where it refuses nothing.
	Policy config.Policy `json:"policy,omitzero"`
	// Engine is the id of the network "host" of the engine that has named this one
	// as its own; empty if none has.
	Engine string `json:"engine,omitempty"`
	// Dropped are the packets that were refused since the daemon's start: into the
	// network, out of it, and such as claimed to be of it.
	Dropped Drops `json:"dropped,omitempty"`
}

// EndpointStatus is one endpoint as the admin API shows it. The names and
// indexes of links are read from the kernel at the time of asking.
type EndpointStatus struct {
	ID        string         `json:"id"`
	NetworkID string         `json:"network"`
	Bridge    string         `json:"bridge"`
	Addresses []netip.Prefix `json:"addresses"`
	MAC       string         `json:"mac"`
	Sandbox   string         `json:"sandbox,omitempty"`
	// HostInterface and HostIndex are the veth's end on the bridge.
	HostInterface string `json:"hostInterface,omitempty"`
	HostIndex     int    `json:"hostIndex,omitempty"`
	// ContainerInterface and ContainerIndex are the other end, inside the
	// container's namespace (or the host's, as long as it was not moved).
	ContainerInterface string `json:"containerInterface,omitempty"`
	ContainerIndex     int    `json:"containerIndex,omitempty"`
	Ports              int    `json:"ports"`
	// Open are the ports that others reach by the container's own address: those that it
	// publishes on a network of mode routed, or for trusted links.
	Open []OpenStatus `json:"open,omitempty"`
	// RateIn and RateOut are how much the container gets and sends in a second at most, as in
	// the options; empty for no bound.
	RateIn  string `json:"rateIn,omitempty"`
	RateOut string `json:"rateOut,omitempty"`
	// Policy is the one in force for the container, its own or its network's; nothing where
	// it refuses nothing.
	Policy config.Policy `json:"policy,omitzero"`
	// Dropped are those of the network's that the container has sent or was to get, as far
	// as that is counted by container.
	Dropped Drops `json:"dropped,omitempty"`
}

// OpenStatus is one run of ports that are reached by a container's own address.
type OpenStatus struct {
	Protocol string     `json:"protocol"`
	IP       netip.Addr `json:"ip"`
	First    uint16     `json:"first"`
	Last     uint16     `json:"last"`
	// From is the one link by which packets may come; empty for all.
	From string `json:"from,omitempty"`
}

// PortStatus is one run of published ports as the admin API shows it.
type PortStatus struct {
	EndpointID string `json:"endpoint"`
	NetworkID  string `json:"network"`
	Protocol   string `json:"protocol"`
	// HostIP, First and Last: where the host listens.
	HostIP netip.Addr `json:"hostIP"`
	First  uint16     `json:"first"`
	Last   uint16     `json:"last"`
	// ContainerIP and ContainerFirst: where it leads.
	ContainerIP    netip.Addr `json:"containerIP"`
	ContainerFirst uint16     `json:"containerFirst"`
	// Ingress are the sources that may ask for it from outside, by gangway.ingress; empty for
	// anybody.
	Ingress []string `json:"ingress,omitempty"`
	// Path is "nat", "relay" or "nat+relay" ([::1] and link-local addresses beside
	// NAT), or PathPrefix.
	Path string `json:"path"`
}

// PathPrefix is the Path of ports that are reached at the container's address behind the prefix of the host's that
// its network is translated into, which is no address of the host.
const PathPrefix = "prefix"

// Status is the health of the datapath.
type Status struct {
	Firewall  string `json:"firewall"`
	Networks  int    `json:"networks"`
	Endpoints int    `json:"endpoints"`
	Ports     int    `json:"ports"`
	// Checks counts the comparisons of the kernel with the state, Repairs what
	// they had to mend.
	Checks    uint64    `json:"checks"`
	Repairs   uint64    `json:"repairs"`
	LastCheck time.Time `json:"lastCheck"`
	// Dropped are all packets that were refused since the daemon's start, also those of
	// networks that are gone.
	Dropped Drops `json:"dropped,omitempty"`
	// Flapping are the repairs that somebody keeps undoing.
	Flapping []string `json:"flapping,omitempty"`
	// Causes are what keeps the datapath from being ok, the worst first.
	Causes []cause.Cause `json:"causes,omitempty"`
	// Protection says what stands between a flush of all rules by others and open
	// networks: see firewall.Protection.
	Protection string `json:"protection,omitempty"`
	// Unguarded says why containers are not kept from claiming addresses that
	// are not theirs; empty if they are.
	Unguarded string `json:"unguarded,omitempty"`
	// Closed are the families that the host forwards for the networks alone: what its
	// other links would pass on to one another is dropped.
	Closed []string `json:"closed,omitempty"`
}
