package trace

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/plugin"
)

// refused tells what policies say of a flow, that of who sends and that of who gets it, and
// whether one of them refuses it. Within a network they have no say.
func (d *Decision) refused(s State, f Flow, to Party) bool {
	packet := policy.Packet{From: f.Source, To: f.Destination.Addr(), Proto: policy.ProtocolNumber(f.Protocol), Port: f.Destination.Port(), Near: len(f.From.Endpoints) > 0}
	if packet.Near && !packet.To.IsLoopback() {
		e := f.source()
		if !to.Host && inNetwork(s.network(e.NetworkID), packet.To) {
			return false
		}
		packet.Names = s.Names[e.ID][packet.To]
		if p, err := policy.Of(e.Policy); err != nil || p.Outward() {
			if d.judged(s, e, judgement{"sends", packet, p.Audit, p.Why(packet, to.Host)}) {
				return true
			}
		}
	}
	target, found := s.target(f, to)
	if !found || f.From.Host || inNetwork(s.network(target.NetworkID), f.Source) {
		return false
	}
	p, err := policy.Of(target.Policy)
	return (err != nil || !p.Everybody) && d.judged(s, target, judgement{"gets", packet, p.Audit, p.WhyAdmitted(packet)})
}

// judgement is a policy's on a packet, as what a container sends or gets.
type judgement struct {
	what   string
	packet policy.Packet
	audit  bool
	policy.Verdict
}

// judged tells of a verdict, and of the entry that it is by, and says whether it ends the flow.
func (d *Decision) judged(s State, e plugin.Endpoint, j judgement) bool {
	whose := "of network " + netName(s.network(e.NetworkID))
	if e.Policy != s.network(e.NetworkID).Policy {
		whose = "of " + nameOf(e.Whose, e.ID) + " on network " + netName(s.network(e.NetworkID))
	}
	if len(j.packet.Names) > 0 {
		whose += fmt.Sprintf(", which has %s open as an address of %s,", j.packet.To, strings.Join(j.packet.Names, " and "))
	}
	switch {
	case j.Passes:
		d.step("the policy %s about what a container %s allows it: %s", whose, j.what, j.By)
	case j.audit:
		d.step("the policy %s about what a container %s would refuse it, and lets it pass in mode audit: %s", whose, j.what, j.By)
	default:
		d.end(Dropped, "the policy %s about what a container %s refuses it (table inet gangway-policy): %s; %s", whose, j.what, j.By, j.Cure(j.packet))
		return true
	}
	return false
}

// target is the container that gets the flow, if one does.
func (s State) target(f Flow, to Party) (plugin.Endpoint, bool) {
	if port, found := s.published(f); found {
		i := slices.IndexFunc(s.Endpoints, func(e plugin.Endpoint) bool { return e.ID == port.EndpointID })
		if i >= 0 {
			return s.Endpoints[i], true
		}
		return plugin.Endpoint{}, false
	}
	if len(to.Endpoints) == 0 {
		return plugin.Endpoint{}, false
	}
	return s.endpoint(f.Destination.Addr())
}

func inNetwork(n plugin.Network, a netip.Addr) bool {
	return slices.ContainsFunc(n.Subnets, func(p netip.Prefix) bool { return p.Contains(a) })
}

// peers says whether the policies of both sides open a flow between two networks.
func peers(from, to plugin.Endpoint, f Flow) bool {
	asks, err := policy.Of(from.Policy)
	asked, wrong := policy.Of(to.Policy)
	packet := policy.Packet{To: f.Destination.Addr(), Proto: policy.ProtocolNumber(f.Protocol), Port: f.Destination.Port()}
	return err == nil && wrong == nil && policy.Peers(asks, asked, from.Bridge, to.Bridge, packet)
}
