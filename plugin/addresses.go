package plugin

import (
	"context"
	"net/netip"
	"time"

	"github.com/docker/go-plugins-helpers/sdk"

	"github.com/gangway-net/gangway/ipam"
	"github.com/gangway-net/gangway/ipam/lease"
)

// Holdings tells of the addresses of Gangway's address manager. Package ipam's Allocator
// is the real one.
type Holdings interface {
	Addresses(ctx context.Context) ([]ipam.AddressStatus, error)
}

// Address is an address of a pool of Gangway's address manager that is in use, or kept
// for the container that had it last.
type Address struct {
	Pool    string     `json:"pool"`
	Address netip.Addr `json:"address"`
	// State is one of the states of package ipam.
	State string `json:"state"`
	// Since is when it got the state.
	Since time.Time `json:"since"`
	// NetworkID is empty where the pool is no network's of this host.
	NetworkID string `json:"network,omitempty"`
	// EndpointID is empty where no endpoint has it.
	EndpointID string `json:"endpoint,omitempty"`
	// Lease is there where a LAN's DHCP server has granted the address.
	Lease *Lease `json:"lease,omitempty"`
	// Whose names the container that has it, or had it last.
	Whose
}

// Lease is what a DHCP server has granted.
type Lease struct {
	// State is one of the states of package lease.
	State string `json:"state"`
	// Server has granted it, asked by Link for the hardware address MAC, and knows the container
	// as Name.
	Server netip.Addr `json:"server"`
	Link   string     `json:"link"`
	MAC    string     `json:"mac"`
	Name   string     `json:"name,omitempty"`
	// Router and DNS are the LAN's.
	Router netip.Addr   `json:"router,omitzero"`
	DNS    []netip.Addr `json:"dns,omitempty"`
	// Until is its end; nothing for one that has none.
	Until time.Time `json:"until,omitzero"`
	// Lost says why it holds no more.
	Lost string `json:"lost,omitempty"`
}

func toLease(l *lease.Lease, now time.Time) *Lease {
	if l == nil {
		return nil
	}
	return &Lease{
		State: l.State(now), Server: l.Server, Link: l.Link, MAC: l.MAC, Name: l.Name,
		Router: l.Router, DNS: l.DNS, Until: l.Until, Lost: l.Gone,
	}
}

// routeHoldings answers with the addresses.
func (s *Server) routeHoldings(h sdk.Handler) {
	if s.o.Holdings == nil && s.o.Refuse == nil {
		return
	}
	s.adminRoute(h, "addresses", func(ctx context.Context) (any, error) { return s.addresses(ctx) })
}

// place is where an address is on this host.
type place struct {
	network string
	addr    netip.Addr
}

func (s *Server) addresses(ctx context.Context) ([]Address, error) {
	held, err := s.o.Holdings.Addresses(ctx)
	if err != nil {
		return nil, err
	}
	endpoints, err := s.o.Inspector.Endpoints(ctx)
	if err != nil {
		return nil, err
	}
	networks, at := map[netip.Prefix]string{}, map[place]string{}
	for _, n := range s.o.Inspector.Networks(ctx) {
		for _, subnet := range n.Subnets {
			networks[subnet] = n.ID
		}
	}
	for _, e := range endpoints {
		for _, a := range e.Addresses {
			at[place{e.NetworkID, a.Addr()}] = e.ID
		}
	}
	out := []Address{}
	for _, a := range held {
		is := Address{Pool: a.Pool, Address: a.Address, State: a.State, Since: a.Since, Lease: toLease(a.Lease, time.Now())}
		if a.Local {
			is.NetworkID = networks[a.Subnet]
		}
		if a.State != ipam.StateKept {
			is.EndpointID = at[place{is.NetworkID, a.Address}]
		}
		if is.Whose = s.whose(is.NetworkID, is.EndpointID); is.ContainerName == "" {
			is.ContainerName = a.Name
		}
		out = append(out, is)
	}
	return out, nil
}
