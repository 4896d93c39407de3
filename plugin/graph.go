package plugin

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/spec"
)

// Traffic tells what has passed endpoints since their links were made, by id. Package
// link's Handle is the real one.
type Traffic interface {
	Traffic(ctx context.Context) (map[string]spec.Traffic, error)
}

// Graph is all that there is at one moment: what pictures are made of.
type Graph struct {
	Time      time.Time       `json:"time"`
	Status    Status          `json:"status"`
	Networks  []Network       `json:"networks"`
	Endpoints []GraphEndpoint `json:"endpoints"`
	Ports     []Port          `json:"ports"`
}

// GraphEndpoint is an endpoint with what has passed it.
type GraphEndpoint struct {
	Endpoint
	// Traffic is nil where the kernel has no link of it.
	Traffic *Passed `json:"traffic,omitempty"`
}

// Passed is what has passed an endpoint since its link was made, as its container sees it.
type Passed struct {
	SentBytes       uint64 `json:"sentBytes"`
	SentPackets     uint64 `json:"sentPackets"`
	ReceivedBytes   uint64 `json:"receivedBytes"`
	ReceivedPackets uint64 `json:"receivedPackets"`
}

// Graph waits for the state, and returns all that there is, in an order that the same
// networks and containers always have: by names.
func (s *Server) Graph(ctx context.Context) (Graph, error) {
	if err := s.waitReady(ctx); err != nil {
		return Graph{}, err
	}
	g := Graph{Networks: s.networks(ctx), Endpoints: []GraphEndpoint{}}
	endpoints, err := s.endpoints(ctx)
	if err != nil {
		return Graph{}, err
	}
	passed := map[string]spec.Traffic{}
	if s.o.Traffic != nil {
		if passed, err = s.o.Traffic.Traffic(ctx); err != nil {
			return Graph{}, err
		}
	}
	g.Time = time.Now()
	for _, e := range endpoints {
		of := GraphEndpoint{Endpoint: e}
		if t, found := passed[e.ID]; found {
			of.Traffic = &Passed{t.SentBytes, t.SentPackets, t.ReceivedBytes, t.ReceivedPackets}
		}
		g.Endpoints = append(g.Endpoints, of)
	}
	g.Ports, g.Status = s.ports(ctx), s.status(ctx)
	g.sort()
	return g, nil
}

func (g Graph) sort() {
	slices.SortFunc(g.Networks, func(a, b Network) int {
		return cmp.Or(cmp.Compare(cmp.Or(a.Name, a.ID), cmp.Or(b.Name, b.ID)), cmp.Compare(a.ID, b.ID))
	})
	slices.SortFunc(g.Endpoints, func(a, b GraphEndpoint) int {
		return cmp.Or(cmp.Compare(cmp.Or(a.NetworkName, a.NetworkID), cmp.Or(b.NetworkName, b.NetworkID)), cmp.Compare(a.NetworkID, b.NetworkID),
			cmp.Compare(cmp.Or(a.ContainerName, a.ID), cmp.Or(b.ContainerName, b.ID)), cmp.Compare(a.ID, b.ID))
	})
	slices.SortFunc(g.Ports, func(a, b Port) int {
		return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Protocol, b.Protocol), a.HostIP.Compare(b.HostIP), cmp.Compare(a.EndpointID, b.EndpointID))
	})
}

// EventsAfter returns the events after a number that are remembered, oldest first.
func (s *Server) EventsAfter(ctx context.Context, number uint64) ([]Event, error) {
	if s.o.Refuse != nil {
		return nil, s.o.Refuse
	}
	return s.events(ctx, number, 0), nil
}

// FollowDrops hands out packets as they are refused, until ctx ends or take fails.
func (s *Server) FollowDrops(ctx context.Context, take func(DroppedPacket) error) error {
	if err := s.waitReady(ctx); err != nil {
		return err
	}
	if s.o.Drops == nil {
		<-ctx.Done()
		return nil
	}
	return s.o.Drops.FollowDrops(ctx, func() error { return nil }, func(p driver.DroppedPacket) error { return take(s.packet(p)) })
}
