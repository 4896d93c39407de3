package plugin

import (
	"context"
	"strings"

	ipamapi "github.com/docker/go-plugins-helpers/ipam"
	"github.com/docker/go-plugins-helpers/sdk"

	"github.com/gangway-net/gangway/ipam"
)

// The option of RequestAddress by which the engine asks for the address of a
// gateway (moby daemon/libnetwork/ipamapi and netlabel).
const (
	addressType        = "RequestAddressType"
	addressTypeGateway = "com.docker.network.gateway"
)

// ipamCapabilities has the field that the helpers' struct lacks. With it the
// engine repeats, when it starts, its requests for what it remembers.
//
// RequiresMACAddress has it tell a container's hardware address before the container has an
// address: a DHCP server knows it by that. Where the user gives none the engine then chooses
// one, for the containers of all networks with this address manager: it asks once, for the
// driver as a whole.
type ipamCapabilities struct {
	ipamapi.CapabilitiesResponse
	RequiresRequestReplay bool
}

// routeAddresses makes h answer the IpamDriver.
func (s *Server) routeAddresses(h sdk.Handler) {
	route(s, h, verb[none, ipamCapabilities]{
		op: "IpamDriver.GetCapabilities", bodiless: true, early: true,
		do: func(context.Context, *none) (*ipamCapabilities, error) {
			s.greet()
			return &ipamCapabilities{CapabilitiesResponse: ipamapi.CapabilitiesResponse{RequiresMACAddress: true}, RequiresRequestReplay: true}, nil
		},
	})
	route(s, h, verb[none, ipamapi.AddressSpacesResponse]{
		op: "IpamDriver.GetDefaultAddressSpaces", bodiless: true, early: true,
		do: func(context.Context, *none) (*ipamapi.AddressSpacesResponse, error) {
			return &ipamapi.AddressSpacesResponse{LocalDefaultAddressSpace: ipam.LocalSpace, GlobalDefaultAddressSpace: ipam.GlobalSpace}, nil
		},
	})
	s.routePools(h)
	s.routeRequests(h)
}

func (s *Server) routePools(h sdk.Handler) {
	route(s, h, verb[ipamapi.RequestPoolRequest, ipamapi.RequestPoolResponse]{
		op: "IpamDriver.RequestPool",
		about: func(r *ipamapi.RequestPoolRequest, a *ipamapi.RequestPoolResponse) subject {
			if a.Pool != "" {
				return subject{pool: a.PoolID}
			}
			return subject{pool: r.Pool}
		},
		do: s.requestPool,
	})
	route(s, h, verb[ipamapi.ReleasePoolRequest, none]{
		op:    "IpamDriver.ReleasePool",
		about: func(r *ipamapi.ReleasePoolRequest, _ *none) subject { return subject{pool: r.PoolID} },
		do: func(ctx context.Context, r *ipamapi.ReleasePoolRequest) (*none, error) {
			if err := needPool(r.PoolID); err != nil {
				return nil, err
			}
			return nil, s.o.Addresses.ReleasePool(ctx, r.PoolID)
		},
	})
}

func (s *Server) routeRequests(h sdk.Handler) {
	route(s, h, verb[ipamapi.RequestAddressRequest, ipamapi.RequestAddressResponse]{
		op: "IpamDriver.RequestAddress",
		about: func(r *ipamapi.RequestAddressRequest, a *ipamapi.RequestAddressResponse) subject {
			if a.Address != "" {
				return subject{pool: r.PoolID, addr: a.Address}
			}
			return subject{pool: r.PoolID, addr: r.Address}
		},
		do: s.requestAddress,
	})
	route(s, h, verb[ipamapi.ReleaseAddressRequest, none]{
		op: "IpamDriver.ReleaseAddress",
		about: func(r *ipamapi.ReleaseAddressRequest, _ *none) subject {
			return subject{pool: r.PoolID, addr: r.Address}
		},
		do: func(ctx context.Context, r *ipamapi.ReleaseAddressRequest) (*none, error) {
			if err := needPool(r.PoolID); err != nil {
				return nil, err
			}
			addr, err := parseAddr("Address", r.Address)
			if err != nil {
				return nil, err
			}
			return nil, s.o.Addresses.ReleaseAddress(ctx, r.PoolID, addr)
		},
	})
}

func needPool(id string) error {
	if id == "" {
		return badf("request field PoolID is missing")
	}
	return nil
}

func (s *Server) requestPool(ctx context.Context, r *ipamapi.RequestPoolRequest) (*ipamapi.RequestPoolResponse, error) {
	req, err := toPoolRequest(r)
	if err != nil {
		return nil, err
	}
	pool, err := s.o.Addresses.RequestPool(ctx, req)
	if err != nil {
		return nil, err
	}
	return &ipamapi.RequestPoolResponse{PoolID: pool.ID, Pool: pool.Subnet.String(), Data: map[string]string{}}, nil
}

// toPoolRequest converts a RequestPool. Host bits of a subnet are dropped, as
// the engine's own address manager does.
func toPoolRequest(r *ipamapi.RequestPoolRequest) (ipam.PoolRequest, error) {
	out := ipam.PoolRequest{Space: r.AddressSpace, V6: r.V6, Options: r.Options}
	if r.AddressSpace == "" {
		return out, badf("request field AddressSpace is missing")
	}
	if r.Pool == "" && r.SubPool != "" {
		return out, badf("sub-pool %s without a pool: give --subnet together with --ip-range", r.SubPool)
	}
	if r.Pool == "" {
		return out, nil
	}
	// A swarm asks for IPv6 subnets without V6.
	f := family(4)
	if r.V6 || strings.Contains(r.Pool, ":") {
		f = 6
	}
	p, err := parseInterface("Pool", r.Pool, f)
	if err != nil {
		return out, err
	}
	out.Pool = p.Masked()
	if r.SubPool == "" {
		return out, nil
	}
	if p, err = parseInterface("SubPool", r.SubPool, f); err != nil {
		return out, err
	}
	out.SubPool = p.Masked()
	return out, nil
}

func (s *Server) requestAddress(ctx context.Context, r *ipamapi.RequestAddressRequest) (*ipamapi.RequestAddressResponse, error) {
	if err := needPool(r.PoolID); err != nil {
		return nil, err
	}
	req := ipam.AddressRequest{PoolID: r.PoolID, Gateway: r.Options[addressType] == addressTypeGateway, Options: r.Options}
	if r.Address != "" {
		var err error
		if req.Address, err = parseAddr("Address", r.Address); err != nil {
			return nil, err
		}
	}
	p, err := s.o.Addresses.RequestAddress(ctx, req)
	if err != nil {
		return nil, err
	}
	return &ipamapi.RequestAddressResponse{Address: p.String(), Data: map[string]string{}}, nil
}
