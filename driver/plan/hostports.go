package plan

import (
	"slices"

	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// addHostPorts adds what the endpoints of a container have of the host's ports, if they
// have any.
func (p *Plan) addHostPorts(members []Member) {
	ports := spec.HostPorts{Sandbox: members[0].Endpoint.Sandbox}
	for _, m := range members {
		for _, r := range m.Endpoint.Published {
			ports.Runs = append(ports.Runs, spec.EndpointRun{EndpointID: m.Endpoint.ID, Published: r})
		}
	}
	if len(ports.Runs) == 0 {
		return
	}
	slices.SortFunc(ports.Runs, func(a, b spec.EndpointRun) int { return spec.ComparePublished(a.Published, b.Published) })
	p.add(ports)
}

// HostPorts are those of a container; without runs if it has none.
func HostPorts(s *model.State, sandbox string) spec.HostPorts {
	var p Plan
	if from := SourceOf(s, Owner{Kind: OfContainer, ID: sandbox}, Facts{}); len(from.Members) > 0 {
		p.addHostPorts(from.Members)
	}
	for _, ports := range Of[spec.HostPorts](p) {
		return ports
	}
	return spec.HostPorts{Sandbox: sandbox}
}
