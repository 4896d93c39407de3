package plugin

import (
	"context"
	"net/netip"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/ipam"
)

// Networks is what NetworkDriver calls lead to; *driver.Driver is the real one.
// Setting something up is idempotent by id, and tearing down what is unknown
// succeeds.
type Networks interface {
	NetworkVerbs
	EndpointVerbs
}

// NetworkVerbs are the calls about a network as a whole.
type NetworkVerbs interface {
	CreateNetwork(ctx context.Context, r driver.CreateNetworkRequest) error
	DeleteNetwork(ctx context.Context, networkID string) error
	// CheckGateway answers GwAllocCheck (engine 28.0 and later), which comes
	// before CreateNetwork with the same options.
	CheckGateway(ctx context.Context, options map[string]any) (driver.GatewayCheck, error)
}

// EndpointVerbs are the calls about one endpoint.
type EndpointVerbs interface {
	CreateEndpoint(ctx context.Context, r driver.CreateEndpointRequest) (driver.CreateEndpointResult, error)
	DeleteEndpoint(ctx context.Context, networkID, endpointID string) error
	Join(ctx context.Context, networkID, endpointID, sandboxKey string, options config.EndpointOptions) (driver.JoinResult, error)
	Leave(ctx context.Context, networkID, endpointID string) error
	// Publish replaces the endpoint's published ports by those of options
	// (ProgramExternalConnectivity), Unpublish takes them all back
	// (RevokeExternalConnectivity).
	Publish(ctx context.Context, networkID, endpointID string, options config.EndpointOptions) error
	Unpublish(ctx context.Context, networkID, endpointID string) error
}

// Addresses is what IpamDriver calls lead to; *ipam.Allocator is the real one.
type Addresses interface {
	AddressVerbs
	Claims
}

// AddressVerbs are the calls about pools and addresses.
type AddressVerbs interface {
	RequestPool(ctx context.Context, r ipam.PoolRequest) (ipam.Pool, error)
	ReleasePool(ctx context.Context, id string) error
	RequestAddress(ctx context.Context, r ipam.AddressRequest) (netip.Prefix, error)
	ReleaseAddress(ctx context.Context, poolID string, addr netip.Addr) error
}

// Claims are the hints by which the address manager tells an engine that
// repeats its requests after a restart from a user who asks for what is taken.
type Claims interface {
	// Greet says that an engine asked for the capabilities: it may replay the
	// requests for everything it remembers.
	Greet()
	// Fresh says whether the pool with this subnet was free when it was
	// requested last, in the life of this process.
	Fresh(subnet netip.Prefix) bool
	// LeasedBy returns the link of the LAN whose DHCP server gives the addresses of the pool
	// with this subnet; "" if none does.
	LeasedBy(subnet netip.Prefix) string
	// RetainPool and RetainAddresses say that the driver refused what the
	// engine asked for because somebody else holds it. The engine is about to
	// release what was claimed twice, and the holder must not lose it.
	RetainPool(subnet netip.Prefix, addrs []netip.Addr)
	RetainAddresses(subnet netip.Prefix, addrs []netip.Addr)
}

// Inspector answers the admin API; *driver.Driver is the real one.
type Inspector interface {
	Status(ctx context.Context) driver.Status
	Networks(ctx context.Context) []driver.NetworkStatus
	Endpoints(ctx context.Context) ([]driver.EndpointStatus, error)
	Ports(ctx context.Context) []driver.PortStatus
	// Events returns the events after a number, and waits for one if there are
	// none.
	Events(ctx context.Context, after uint64, wait time.Duration) []events.Event
}
