package plan

import (
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// Compile says what the kernel should contain for a whole state and these facts. It
// is pure and total: two equal states give the same objects.
func Compile(s *model.State, f Facts) Plan {
	var p Plan
	for _, n := range s.Networks {
		p.addNetwork(n)
		for _, e := range s.Members[n.ID] {
			p.addEndpoint(n, e)
			p.addDirect(s, n, e)
		}
	}
	for sandbox := range s.Sandboxes {
		p.addHostPorts(s, sandbox)
	}
	p.add(CompileFacts(s, f)...)
	return p
}

// CompileFacts says what the kernel should contain by these facts: what the networks have in
// common, and what outlives them.
func CompileFacts(s *model.State, f Facts) Plan {
	common := firewall.Ruleset{Closed: f.Closed}
	if len(s.Networks) > 0 || f.Unclaimed || f.Closed != (firewall.Families{}) {
		common.Outside = f.Outside
	}
	if len(s.Networks) > 0 || f.Unclaimed {
		common.HighPorts = f.High
		common.Log = f.Looked
	}
	return common.All()
}

// CompileChange says what the kernel should contain for the objects of c themselves
// before and after it; what follows from others beside them is said by Around. networks are
// those that c's endpoints are on, by id.
func CompileChange(c model.Change, networks map[string]*model.Network) (before, after Plan) {
	if c.Network.Before != nil {
		before.addNetwork(c.Network.Before)
	}
	if c.Network.After != nil {
		after.addNetwork(c.Network.After)
	}
	for _, e := range c.Endpoints {
		network := networks[e.NetworkID()]
		if e.Before != nil {
			before.addEndpoint(network, e.Before)
		}
		if e.After != nil {
			after.addEndpoint(network, e.After)
		}
	}
	return before, after
}

// Around says what the objects of a change contribute together with others that
// are there: side says which of the two the state is.
func Around(s *model.State, c model.Change, side func(model.EndpointChange) *model.Endpoint) (p Plan) {
	for _, e := range c.Endpoints {
		if e := side(e); e != nil && s.Networks[e.NetworkID] != nil {
			p.addDirect(s, s.Networks[e.NetworkID], e)
		}
	}
	for sandbox := range c.Sandboxes() {
		p.addHostPorts(s, sandbox)
	}
	return p
}

// addNetwork adds what a network contributes by itself.
func (p *Plan) addNetwork(n *model.Network) {
	p.add(Bridge(n), isolation(n))
	if !n.Adopted {
		p.add(spec.Zone{Bridge: n.Bridge})
	}
}

// addEndpoint adds what an endpoint of n contributes by itself.
func (p *Plan) addEndpoint(n *model.Network, e *model.Endpoint) {
	p.add(Veth(n, e))
	if e.Sandbox == "" {
		return
	}
	for _, six := range []bool{false, true} {
		if needsForwarding(n, e, six) {
			p.add(spec.Forwarding{Six: six})
		}
	}
	addAll(p, translatedPorts(n, e))
	addAll(p, OpenPorts(n, e))
	addAll(p, keptPorts(n, e))
}
