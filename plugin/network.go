package plugin

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/docker/go-plugins-helpers/network"
	"github.com/docker/go-plugins-helpers/sdk"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/ipam"
)

// networkCapabilities has the field that the helpers' struct lacks; engines
// before 28.0 ignore it.
type networkCapabilities struct {
	network.CapabilitiesResponse
	GwAllocChecker bool
}

// createEndpointRequest, joinRequest and publishRequest are what is used of the
// helpers' requests, whose options are decoded, however long the list of
// published ports is.
type createEndpointRequest struct {
	NetworkID  string
	EndpointID string
	Interface  *network.EndpointInterface
	Options    config.EndpointOptions
}

type joinRequest struct {
	NetworkID  string
	EndpointID string
	SandboxKey string
	Options    config.EndpointOptions
}

type publishRequest struct {
	NetworkID  string
	EndpointID string
	Options    config.EndpointOptions
}

// gatewayCheckRequest is the request of GwAllocCheck, the options of the
// CreateNetwork that follows.
type gatewayCheckRequest struct {
	Options map[string]any
}

// gatewayCheckResponse is the answer to GwAllocCheck.
type gatewayCheckResponse struct {
	SkipIPv4 bool
	SkipIPv6 bool
}

// routeNetworks makes h answer the NetworkDriver.
func (s *Server) routeNetworks(h sdk.Handler) {
	route(s, h, verb[none, networkCapabilities]{
		op: "NetworkDriver.GetCapabilities", bodiless: true, early: true,
		do: func(context.Context, *none) (*networkCapabilities, error) {
			return &networkCapabilities{
				CapabilitiesResponse: network.CapabilitiesResponse{Scope: network.LocalScope, ConnectivityScope: network.LocalScope},
				GwAllocChecker:       true,
			}, nil
		},
	})
	route(s, h, verb[gatewayCheckRequest, gatewayCheckResponse]{
		op: "NetworkDriver.GwAllocCheck",
		do: func(ctx context.Context, r *gatewayCheckRequest) (*gatewayCheckResponse, error) {
			check, err := s.o.Networks.CheckGateway(ctx, r.Options)
			return &gatewayCheckResponse{SkipIPv4: check.SkipIPv4, SkipIPv6: check.SkipIPv6}, err
		},
	})
	route(s, h, verb[network.CreateNetworkRequest, none]{
		op:    "NetworkDriver.CreateNetwork",
		about: func(r *network.CreateNetworkRequest, _ *none) subject { return subject{net: r.NetworkID} },
		do:    s.createNetwork,
	})
	route(s, h, verb[network.DeleteNetworkRequest, none]{
		op:    "NetworkDriver.DeleteNetwork",
		about: func(r *network.DeleteNetworkRequest, _ *none) subject { return subject{net: r.NetworkID} },
		do: func(ctx context.Context, r *network.DeleteNetworkRequest) (*none, error) {
			if err := needIDs(r.NetworkID); err != nil {
				return nil, err
			}
			return nil, s.o.Networks.DeleteNetwork(ctx, r.NetworkID)
		},
	})
	s.routeSwarm(h)
	s.routeEndpoints(h)
	s.routeSandbox(h)
}

// routeSwarm answers what only a swarm's leader and its gossip ask for.
func (s *Server) routeSwarm(h sdk.Handler) {
	route(s, h, verb[network.AllocateNetworkRequest, network.AllocateNetworkResponse]{
		op: "NetworkDriver.AllocateNetwork",
		do: func(_ context.Context, r *network.AllocateNetworkRequest) (*network.AllocateNetworkResponse, error) {
			return nil, badf("network %s: gangway networks are local to a node; create one on each node with docker network create --scope local", short(r.NetworkID))
		},
	})
	route(s, h, verb[network.FreeNetworkRequest, none]{op: "NetworkDriver.FreeNetwork", do: nothing[network.FreeNetworkRequest]})
	route(s, h, verb[network.DiscoveryNotification, none]{op: "NetworkDriver.DiscoverNew", do: nothing[network.DiscoveryNotification]})
	route(s, h, verb[network.DiscoveryNotification, none]{op: "NetworkDriver.DiscoverDelete", do: nothing[network.DiscoveryNotification]})
}

func nothing[Req any](context.Context, *Req) (*none, error) { return nil, nil }

// routeEndpoints answers the calls about an endpoint as such.
func (s *Server) routeEndpoints(h sdk.Handler) {
	route(s, h, verb[createEndpointRequest, network.CreateEndpointResponse]{
		op: "NetworkDriver.CreateEndpoint",
		about: func(r *createEndpointRequest, _ *network.CreateEndpointResponse) subject {
			return subject{net: r.NetworkID, ep: r.EndpointID}
		},
		do: s.createEndpoint,
	})
	route(s, h, verb[network.DeleteEndpointRequest, none]{
		op: "NetworkDriver.DeleteEndpoint",
		about: func(r *network.DeleteEndpointRequest, _ *none) subject {
			return subject{net: r.NetworkID, ep: r.EndpointID}
		},
		do: func(ctx context.Context, r *network.DeleteEndpointRequest) (*none, error) {
			if err := needIDs(r.NetworkID, r.EndpointID); err != nil {
				return nil, err
			}
			return nil, s.o.Networks.DeleteEndpoint(ctx, r.NetworkID, r.EndpointID)
		},
	})
	route(s, h, verb[network.InfoRequest, network.InfoResponse]{
		op: "NetworkDriver.EndpointOperInfo",
		// The engine reads port bindings from Value by Go types that JSON
		// cannot produce, so no content would ever be used.
		do: func(_ context.Context, r *network.InfoRequest) (*network.InfoResponse, error) {
			return &network.InfoResponse{Value: map[string]string{}}, needIDs(r.NetworkID, r.EndpointID)
		},
	})
}

// routeSandbox answers the calls about an endpoint in its container.
func (s *Server) routeSandbox(h sdk.Handler) {
	route(s, h, verb[joinRequest, network.JoinResponse]{
		op: "NetworkDriver.Join",
		about: func(r *joinRequest, _ *network.JoinResponse) subject {
			return subject{net: r.NetworkID, ep: r.EndpointID}
		},
		do: func(ctx context.Context, r *joinRequest) (*network.JoinResponse, error) {
			if err := needIDs(r.NetworkID, r.EndpointID); err != nil {
				return nil, err
			}
			if r.SandboxKey == "" {
				return nil, badf("request field SandboxKey is missing")
			}
			result, err := s.o.Networks.Join(ctx, r.NetworkID, r.EndpointID, r.SandboxKey, r.Options)
			return toJoinResponse(result), err
		},
	})
	route(s, h, verb[network.LeaveRequest, none]{
		op:    "NetworkDriver.Leave",
		about: func(r *network.LeaveRequest, _ *none) subject { return subject{net: r.NetworkID, ep: r.EndpointID} },
		do: func(ctx context.Context, r *network.LeaveRequest) (*none, error) {
			if err := needIDs(r.NetworkID, r.EndpointID); err != nil {
				return nil, err
			}
			return nil, s.o.Networks.Leave(ctx, r.NetworkID, r.EndpointID)
		},
	})
	route(s, h, verb[publishRequest, none]{
		op: "NetworkDriver.ProgramExternalConnectivity",
		about: func(r *publishRequest, _ *none) subject {
			return subject{net: r.NetworkID, ep: r.EndpointID}
		},
		do: func(ctx context.Context, r *publishRequest) (*none, error) {
			if err := needIDs(r.NetworkID, r.EndpointID); err != nil {
				return nil, err
			}
			return nil, s.o.Networks.Publish(ctx, r.NetworkID, r.EndpointID, r.Options)
		},
	})
	route(s, h, verb[network.RevokeExternalConnectivityRequest, none]{
		op: "NetworkDriver.RevokeExternalConnectivity",
		about: func(r *network.RevokeExternalConnectivityRequest, _ *none) subject {
			return subject{net: r.NetworkID, ep: r.EndpointID}
		},
		do: func(ctx context.Context, r *network.RevokeExternalConnectivityRequest) (*none, error) {
			if err := needIDs(r.NetworkID, r.EndpointID); err != nil {
				return nil, err
			}
			return nil, s.o.Networks.Unpublish(ctx, r.NetworkID, r.EndpointID)
		},
	})
}

func (s *Server) createNetwork(ctx context.Context, r *network.CreateNetworkRequest) (*none, error) {
	req, err := toCreateNetwork(r)
	if err != nil {
		return nil, err
	}
	req.Exclusive = s.exclusive(slices.Concat(req.IPv4, req.IPv6))
	for _, p := range req.IPv4 {
		if p.Space == ipam.LocalSpace {
			req.LeasedBy = s.o.Addresses.LeasedBy(p.Subnet)
		}
	}
	err = s.o.Networks.CreateNetwork(ctx, req)
	var conflict *model.ConflictError
	if errors.As(err, &conflict) {
		s.retainPools(conflict, append(slices.Clone(req.IPv4), req.IPv6...))
	}
	return nil, err
}

// engineSpace is the address space of the engine's own address manager (moby
// libnetwork/ipams/defaultipam), which never gives two networks the same pool.
const engineSpace = "LocalDefault"

// exclusive says whether the pools are certainly no other network's. Of other
// plugins' address managers that is not known.
func (s *Server) exclusive(pools []driver.PoolData) bool {
	return !slices.ContainsFunc(pools, func(p driver.PoolData) bool {
		return p.Space != engineSpace && (p.Space != ipam.LocalSpace || !s.o.Addresses.Fresh(p.Subnet))
	})
}

// retainPools keeps for their holder the pools that the engine is about to
// release. Only a pool equal to a held one can have been claimed twice; one
// that merely overlaps it, or that fell with another pool of the request, was
// given to this request alone and has to go.
func (s *Server) retainPools(conflict *model.ConflictError, pools []driver.PoolData) {
	for _, p := range pools {
		if !slices.Contains(conflict.Subnets, p.Subnet) {
			continue
		}
		var addrs []netip.Addr
		if p.Gateway.IsValid() {
			addrs = append(addrs, p.Gateway.Addr())
		}
		for _, aux := range p.Aux {
			addrs = append(addrs, aux.Addr())
		}
		slices.SortFunc(addrs, netip.Addr.Compare)
		s.o.Addresses.RetainPool(p.Subnet, addrs)
	}
}

func (s *Server) createEndpoint(ctx context.Context, r *createEndpointRequest) (*network.CreateEndpointResponse, error) {
	req, err := toCreateEndpoint(r)
	if err != nil {
		return nil, err
	}
	result, err := s.o.Networks.CreateEndpoint(ctx, req)
	var conflict *model.ConflictError
	if errors.As(err, &conflict) {
		for _, p := range []netip.Prefix{req.IPv4, req.IPv6} {
			if p.IsValid() && slices.Contains(conflict.Addresses, p.Addr()) {
				s.o.Addresses.RetainAddresses(p.Masked(), []netip.Addr{p.Addr()})
			}
		}
	}
	if err != nil {
		return nil, err
	}
	// An address in the answer is an error for the engine, even the same one.
	answer := &network.EndpointInterface{}
	if len(result.MAC) > 0 && len(req.MAC) == 0 {
		answer.MacAddress = result.MAC.String()
	}
	return &network.CreateEndpointResponse{Interface: answer}, nil
}
