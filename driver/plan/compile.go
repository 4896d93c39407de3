package plan

import (
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// Compile says what the kernel should contain for a whole state and these facts: for each of
// its owners, and for the host. It is pure and total: two equal states give the same objects.
func Compile(s *model.State, f Facts) (p Plan) {
	for o := range Owners(s) {
		p.add(SourceOf(s, o, f).Compile()...)
	}
	p.add(CompileFacts(s, f)...)
	return p
}

// CompileFacts says what the kernel should contain for the host by these facts: what the networks have in
// common, and what outlives them.
func CompileFacts(s *model.State, f Facts) Plan {
	common := firewall.Ruleset{NoTransit: f.Closed}
	if len(s.Networks) > 0 || f.Unclaimed || f.Closed != (firewall.Families{}) {
		common.Outside = f.Outside
	}
	if len(s.Networks) > 0 || f.Unclaimed {
		common.HighPorts = f.High
		common.Log = f.Looked
	}
	return common.All()
}

// addNetwork adds what a network contributes by itself.
func (p *Plan) addNetwork(from Source) {
	n := from.Network
	p.add(Bridge(n, from.Uplink), isolation(n, from.Gateway))
	if port, there := LANPort(n); there {
		p.add(port)
	}
	if t, there := translation(n, from.Outside); there {
		p.add(t)
	}
	if way, there := Steering(n, from.Gateway); there {
		p.add(way)
	}
	if proxy, there := NDPProxy(n, from.Outside); there {
		p.add(proxy)
	}
	further := FurtherBridges(n, from.Further, from.Uplink)
	addAll(p, further)
	addAll(p, furtherRules(further))
	addAll(p, Zones(n, from.Further))
}

// addEndpoint adds what an endpoint contributes by itself.
func (p *Plan) addEndpoint(from Source) {
	n, e := from.Network, from.Endpoint
	p.add(Veth(n, e, from.Uplink))
	if e.Sandbox == "" {
		return
	}
	if s, bounded := Shaper(n, e); bounded {
		p.add(s)
	}
	if f, there := Forwarded(n, e); there {
		p.add(f)
	}
	addAll(p, Mirrors(n, e, from.Watched))
	if address, there := Proxied(n, e, from.Outside, from.Unused); there {
		p.add(address)
	}
	for _, six := range []bool{false, true} {
		if needsForwarding(n, e, six) {
			p.add(spec.Forwarding{Six: six})
		}
	}
	addAll(p, translatedPorts(n, e))
	addAll(p, OpenPorts(n, e))
	addAll(p, InwardPorts(n, e, from.Outside))
	addAll(p, keptPorts(n, e))
}

// addContainer adds what the endpoints of a container contribute together.
func (p *Plan) addContainer(members []Member) {
	p.addDirect(members)
	p.addHostPorts(members)
}
