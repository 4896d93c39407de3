package plugin

import (
	"context"
	"time"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/plugin/names"
)

// Network is a network as the admin API shows it, with what its engine calls it.
type Network struct {
	driver.NetworkStatus
	// Name is empty if it is not known, as are the names below.
	Name string `json:"name,omitempty"`
}

// Endpoint is an endpoint with its network's and its container's names.
type Endpoint struct {
	driver.EndpointStatus
	Whose
}

// PathPrefix is driver.PathPrefix, for who shows ports.
const PathPrefix = driver.PathPrefix

// Port is a run of published ports with the names.
type Port struct {
	driver.PortStatus
	Whose
}

// Whose says in names whose an endpoint or a port is.
type Whose struct {
	NetworkName string `json:"networkName,omitempty"`
	// ContainerID and ContainerName are as docker ps shows them.
	ContainerID   string `json:"container,omitempty"`
	ContainerName string `json:"containerName,omitempty"`
}

// whose looks up names. They are of the moment: nobody waits for an engine.
func (s *Server) whose(networkID, endpointID string) Whose {
	c := s.o.Names.Container(endpointID)
	return Whose{NetworkName: s.o.Names.Network(networkID), ContainerID: c.ID, ContainerName: c.Name}
}

func (s *Server) networks(ctx context.Context) []Network {
	out := []Network{}
	for _, n := range s.o.Inspector.Networks(ctx) {
		out = append(out, Network{n, s.o.Names.Network(n.ID)})
	}
	return out
}

func (s *Server) endpoints(ctx context.Context) ([]Endpoint, error) {
	out := []Endpoint{}
	all, err := s.o.Inspector.Endpoints(ctx)
	for _, e := range all {
		out = append(out, Endpoint{e, s.whose(e.NetworkID, e.ID)})
	}
	return out, err
}

func (s *Server) ports(ctx context.Context) []Port {
	out := []Port{}
	for _, p := range s.o.Inspector.Ports(ctx) {
		out = append(out, Port{p, s.whose(p.NetworkID, p.EndpointID)})
	}
	return out
}

// Event is an event with what it is about, as far as that is known by name.
type Event = events.Event

// Describe adds to an event what it is about by the names of a book, unless it has that. It
// may be called again when more is known.
func Describe(book *names.Book, e *Event) {
	n, p := book.About(e.Text)
	if e.NetworkName == "" {
		e.NetworkID, e.NetworkName = n.ID, n.Name
	}
	if e.ContainerName == "" {
		e.ContainerID, e.ContainerName = p.Container.ID, p.Container.Name
	}
	for _, text := range []*string{&e.Text, &e.Reason, &e.Done} {
		*text = book.Text(*text)
	}
}

// events returns events with names. They are looked up again when they are asked for: events
// may be older than the engine's first answer.
func (s *Server) events(ctx context.Context, after uint64, wait time.Duration) []Event {
	out := []Event{}
	for _, e := range s.o.Inspector.Events(ctx, after, wait) {
		Describe(s.o.Names, &e)
		out = append(out, e)
	}
	return out
}

// named adds to a status what is not the datapath's, and puts names into its texts.
func (s *Server) named(status driver.Status) driver.Status {
	causes := s.Causes(status)
	for i := range causes {
		for _, text := range []*string{&causes[i].What, &causes[i].Why, &causes[i].Do} {
			*text = s.o.Names.Text(*text)
		}
	}
	status.Causes = causes
	var flapping []string
	for _, line := range status.Flapping {
		flapping = append(flapping, s.o.Names.Text(line))
	}
	status.Flapping = flapping
	return status
}
