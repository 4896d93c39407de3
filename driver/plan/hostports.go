package plan

import (
	"slices"

	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// addHostPorts adds what the endpoints of a container have of the host's ports, if they
// have any.
func (p *Plan) addHostPorts(s *model.State, sandbox string) {
	if ports := HostPorts(s, sandbox); len(ports.Runs) > 0 {
		p.add(ports)
	}
}

// HostPorts are those of a container; without runs if it has none.
func HostPorts(s *model.State, sandbox string) spec.HostPorts {
	ports := spec.HostPorts{Sandbox: sandbox}
	for _, e := range s.Sandboxes[sandbox] {
		for _, r := range e.Published {
			ports.Runs = append(ports.Runs, spec.EndpointRun{EndpointID: e.ID, Published: r})
		}
	}
	slices.SortFunc(ports.Runs, func(a, b spec.EndpointRun) int { return spec.ComparePublished(a.Published, b.Published) })
	return ports
}
