package driver

import (
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// compile says what the kernel should contain for a whole state and these facts. It
// is pure and total: two equal states give the same objects.
func compile(s *model.State, f facts) plan {
	var p plan
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
	p.add(compileFacts(s, f)...)
	return p
}

// compileFacts says what the networks have in common, and what outlives them.
func compileFacts(s *model.State, f facts) plan {
	common := firewall.Ruleset{Closed: f.closed}
	if len(s.Networks) > 0 || f.unclaimed || f.closed != (firewall.Families{}) {
		common.Outside = f.outside
	}
	if len(s.Networks) > 0 || f.unclaimed {
		common.HighPorts = f.high
	}
	return common.All()
}

// compileChange says what the kernel should contain for the objects of c themselves
// before and after it; what follows from others beside them is said by around. networks are
// those that c's endpoints are on, by id.
func compileChange(c model.Change, networks map[string]*model.Network) (before, after plan) {
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

// around says what the objects of a change contribute together with others that
// are there: side says which of the two the state is.
func around(s *model.State, c model.Change, side func(model.EndpointChange) *model.Endpoint) (p plan) {
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
func (p *plan) addNetwork(n *model.Network) {
	p.add(planBridge(n), isolation(n))
	if !n.Adopted {
		p.add(spec.Zone{Bridge: n.Bridge})
	}
}

// addEndpoint adds what an endpoint of n contributes by itself.
func (p *plan) addEndpoint(n *model.Network, e *model.Endpoint) {
	p.add(planVeth(n, e))
	if e.Sandbox == "" {
		return
	}
	for _, six := range []bool{false, true} {
		if needsForwarding(n, e, six) {
			p.add(spec.Forwarding{Six: six})
		}
	}
	for _, run := range e.Published {
		if byNAT(run) {
			p.add(firewall.Port{NetworkID: n.ID, EndpointID: e.ID, Published: run})
		}
	}
	addAll(p, openPorts(n, e))
	addAll(p, keptPorts(n, e))
}
