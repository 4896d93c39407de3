package ipam

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/ipam/lease"
	"github.com/sirupsen/logrus"
)

// The address spaces. A swarm leader sees the pools of its own node and those
// that it allocates for all nodes, with the same subnets: they do not conflict.
const (
	LocalSpace  = "gangway-local"
	GlobalSpace = "gangway-global"
)

// Store keeps values durably.
type Store interface {
	// Load visits every key. The value is valid only during the visit.
	Load(visit func(key string, value []byte) error) error
	// Update writes all changes in one durable transaction; a nil value deletes
	// its key.
	Update(changes map[string][]byte) error
}

// Options are what New needs.
type Options struct {
	// Ranges are cut into automatic pools, in this order within a family.
	Ranges []config.PoolRange
	// Store holds the pools and addresses; nobody else writes to it.
	Store Store
	// Used returns every route and address of the host, of all routing tables.
	// It is asked for each automatic pool, without locks held.
	Used func(ctx context.Context) ([]netip.Prefix, error)
	// Holder says in a few words who has an address of a LocalSpace pool, such
	// as an endpoint and its network, or "" if it does not know. It completes
	// the error about an address in use. Optional; called without locks held.
	Holder func(addr netip.Addr) string
	// Shared says whether an address of a LocalSpace pool, which is held for a
	// network, is left for a container to have: the gateway where the bridge has no
	// address. Then it is given to whoever names it, and kept when that gives it
	// back; the network's driver lets one have it at a time. Optional; called with
	// the pool's lock held.
	Shared func(addr netip.Addr) bool
	// Server is asked for the addresses of LANs; without it there are no pools of such.
	Server lease.Server
	// Name says what the container is called that has an address, as far as an engine has
	// told; LeaseChanged is told of a lease that is lost, or holds again. Both are optional, and
	// wait for nothing.
	Name         func(addr netip.Addr) string
	LeaseChanged func(l lease.Lease)
	// Log is optional.
	Log *logrus.Entry
}

// PoolRequest asks for a pool.
type PoolRequest struct {
	// Space is LocalSpace or GlobalSpace.
	Space string
	// Pool is the subnet, whose host bits are masked; the zero Prefix for one
	// of the configured ranges.
	Pool netip.Prefix
	// SubPool is the range within Pool that addresses are chosen from; the zero
	// Prefix for all of Pool.
	SubPool netip.Prefix
	// V6 is the family of an automatic pool. With an explicit one the prefix
	// decides: swarm asks for IPv6 subnets with V6 unset.
	V6 bool
	// Options are the user's (--ipam-opt; see config.ParsePool), and swarm's.
	Options map[string]string
}

// Pool is a granted pool.
type Pool struct {
	// ID is SPACE/SUBNET or SPACE/SUBNET/RANGE, the same at every request for
	// the same pool.
	ID string
	// Subnet is masked.
	Subnet netip.Prefix
}

// AddressRequest asks for an address.
type AddressRequest struct {
	PoolID string
	// Address is the zero Addr to have one chosen.
	Address netip.Addr
	// Gateway says that the address is for the network's gateway.
	Gateway bool
	// Options are the engine's; the endpoint's name and MAC address are remembered to
	// name the holder of an address, and the name to give it the same one again. Others
	// are ignored.
	Options map[string]string
}

// Options of AddressRequest, as the engine calls them (moby netlabel; the name
// from engine 29 on, the MAC address only if the driver asks for it).
const (
	optionEndpointName = "com.docker.network.endpoint.name"
	optionEndpointMAC  = "com.docker.network.endpoint.macaddress"
)

// Allocator holds pools and addresses. It is safe for concurrent use.
type Allocator struct {
	o Options
	// generation counts Greets; a holding is confirmed if its confirmation
	// has the current number. Loaded holdings have 0, which never is current.
	generation atomic.Uint64

	mu    sync.RWMutex
	byID  map[string]*pool
	space map[string]poolIndex
	// cursor is the automatic pool handed out last, by family key.
	cursor map[string]netip.Prefix

	leases *lease.Keeper
}

// New loads the store. A key or value that it does not understand is an error
// that names the key: going on without it could give an address out twice.
// Nothing is written.
func New(o Options) (*Allocator, error) {
	if o.Store == nil || o.Used == nil {
		return nil, errors.New("address manager: Store and Used must be set")
	}
	if o.Log == nil {
		quiet := logrus.New()
		quiet.SetOutput(io.Discard)
		o.Log = logrus.NewEntry(quiet)
	}
	for _, r := range o.Ranges {
		if err := checkRange(r); err != nil {
			return nil, err
		}
	}
	a := &Allocator{
		o:      o,
		byID:   map[string]*pool{},
		space:  map[string]poolIndex{},
		cursor: map[string]netip.Prefix{},
	}
	if o.LeaseChanged == nil {
		o.LeaseChanged = func(lease.Lease) {}
	}
	a.leases = lease.New(lease.Options{Server: o.Server, Write: a.writeLease, Name: o.Name, Tell: o.LeaseChanged, Log: o.Log})
	a.generation.Store(1)
	if err := a.load(); err != nil {
		return nil, fmt.Errorf("read the stored pools and addresses: %w", err)
	}
	return a, nil
}

// Greet tells that an engine introduces itself anew: it may repeat its claims,
// so every holding becomes unconfirmed.
func (a *Allocator) Greet() { a.generation.Add(1) }
