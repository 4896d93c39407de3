package needs

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// A published port is reached from another network by the host's routes: the packet has
// got the container's address as its destination and kept the client's as its source. A
// rule of policy routing (ip rule) that sends what comes from one network elsewhere, to
// a VPN, takes those packets as well, and answers.
//
// The administrator's rules are not overruled. The rejected alternative, a rule of
// gangway's own before all others that looks up a table of its own subnets, would cost
// every packet of the host a look at the rules, would lead past what somebody refuses
// on purpose, and would be removed by managers of the network that keep no rules but
// their own (systemd-networkd, ManageForeignRoutingPolicyRules). What is lost is told, with
// the rule that keeps it.

// Paths tells where the host sends what it forwards. Package link is the real one.
type Paths interface {
	// RoutingRules returns the rules of policy routing of a family, in the kernel's order.
	RoutingRules(ctx context.Context, six bool) ([]spec.RoutingRule, error)
	// ExitOf says where a packet leaves that came by a link; known is false where it does
	// not come by that link.
	ExitOf(ctx context.Context, p spec.Passage) (exit spec.Exit, known bool, err error)
}

// party is a network as far as others reach it, or it others, in one family.
type party struct {
	*model.Network
	subnet netip.Prefix
	// guests are the addresses of its containers, host the first one of a container that
	// others may ask for something; invalid for none.
	guests []netip.Addr
	host   netip.Addr
}

// target is where the others' packets to it go: to what they ask, or else to who has
// asked them.
func (p *party) target() netip.Addr {
	if p.host.IsValid() {
		return p.host
	}
	return p.guests[0]
}

// client stands for all guests that are alike to the rules as sources.
type client struct {
	*party
	addr netip.Addr
}

// mostQuestions bounds what the kernel is asked of a family at a time. It matters where
// hundreds of networks have a rule each and their routes in the tables that these look
// up: what goes by the main table by a rule is not asked.
const mostQuestions = 2048

// mostDiverted is how many networks are told of, each with a rule; the rest is counted.
const mostDiverted = 8

// Diverted returns a cause for each network that containers of others would reach but
// for rules of policy routing. Without such rules it costs one question a
// family. read gives the desired state, which stays as it is until it is unlocked.
func Diverted(ctx context.Context, paths Paths, read func() (s *model.State, unlock func())) (causes []cause.Cause) {
	for _, six := range []bool{false, true} {
		s, unlock := read()
		there := crossed(s, six)
		unlock()
		if !there {
			continue
		}
		rules, err := paths.RoutingRules(ctx, six)
		if err != nil {
			causes = append(causes, unknown(err))
			continue
		}
		if rules = foreignRules(rules); len(rules) == 0 {
			continue
		}
		s, unlock = read()
		all := parties(s, six)
		unlock()
		found := search{paths: paths, rules: rules}
		causes = append(causes, found.causes(ctx, all)...)
	}
	return causes
}

// crossed says whether there may be packets of a family from network to network.
func crossed(s *model.State, six bool) bool {
	some := 0
	for _, n := range s.Networks {
		if !n.Unrouted() && !n.Steered() && model.Forwarded(n.Subnet(six).Addr()) {
			some++
		}
	}
	return some > 1
}

// foreignRules returns those before the one by which the ordinary routes decide about
// every packet.
func foreignRules(rules []spec.RoutingRule) []spec.RoutingRule {
	last := slices.IndexFunc(rules, func(r spec.RoutingRule) bool { return r.All() && r.Main() })
	if last < 0 {
		return rules
	}
	return rules[:last]
}

// parties lists the networks that have containers which others may reach, or that may
// reach others, sorted by bridge.
func parties(s *model.State, six bool) []*party {
	var all []*party
	for _, n := range s.Networks {
		// Whether the host has a way to a bridge without an address is told by wayIn.
		if n.Unrouted() || n.Steered() || !model.Forwarded(n.Subnet(six).Addr()) || !six && n.Options.InhibitIPv4 {
			continue
		}
		p := &party{Network: n, subnet: n.Subnet(six)}
		for _, e := range s.Members[n.ID] {
			a := e.IPv4.Addr()
			if six {
				a = e.IPv6.Addr()
			}
			if e.Sandbox == "" || !model.Forwarded(a) {
				continue
			}
			p.guests = append(p.guests, a)
			if serves(n, e, six) && (!p.host.IsValid() || a.Less(p.host)) {
				p.host = a
			}
		}
		if len(p.guests) > 0 {
			slices.SortFunc(p.guests, netip.Addr.Compare)
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b *party) int { return strings.Compare(a.Bridge, b.Bridge) })
	return all
}

// serves says whether containers of other networks may ask the endpoint for something.
func serves(n *model.Network, e *model.Endpoint, six bool) bool {
	if n.Options.Mode(six) == config.NATUnprotected {
		return true
	}
	return slices.ContainsFunc(e.Published, func(r spec.Published) bool {
		return plan.ByNAT(r) && r.HostIP.Is6() == six && !r.HostIP.IsLoopback()
	}) || slices.ContainsFunc(plan.OpenPorts(n, e), func(o firewall.Open) bool { return o.From == "" && o.Addr.Is6() == six })
}

// search finds what rules divert.
type search struct {
	paths Paths
	rules []spec.RoutingRule
	asked int
}

// lines returns a line for each network that cannot be reached, up to mostDiverted.
func (s *search) causes(ctx context.Context, all []*party) (causes []cause.Cause) {
	clients, more := s.clients(all), 0
	for _, to := range all {
		found, err := s.diverted(ctx, clients, to)
		if err != nil {
			return append(causes, unknown(err))
		}
		switch {
		case found == nil:
		case len(causes) < mostDiverted:
			causes = append(causes, *found)
		default:
			more++
		}
	}
	if more > 0 {
		causes = append(causes, unmet(fmt.Sprintf("rules of policy routing divert what containers send to %d more networks than are named", more),
			"what they publish is not reached from other networks", "run what is said for those that are named"))
	}
	return causes
}

// clients returns sources that stand for all: those of one kind are named by the same
// rules. Of each kind there are some of two networks, as one may be the destination's.
func (s *search) clients(all []*party) (found []client) {
	kinds := map[string][]*party{}
	for _, p := range all {
		for _, a := range p.guests {
			kind := s.kind(p, a)
			if have := kinds[kind]; len(have) < 2 && !slices.Contains(have, p) {
				kinds[kind] = append(have, p)
				found = append(found, client{p, a})
			}
		}
	}
	return found
}

// kind tells sources apart that rules tell apart, or of which one is asked by others
// and the other is not.
func (s *search) kind(p *party, a netip.Addr) string {
	kind := make([]byte, 0, len(s.rules)+1)
	for _, r := range s.rules {
		kind = append(kind, "ny"[bit(r.MatchesSource(p.Bridge, a))])
	}
	return string(append(kind, "ny"[bit(p.host.IsValid())]))
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// diverted tells of the first source whose packets to a network go elsewhere; it is nil
// if there is none.
func (s *search) diverted(ctx context.Context, clients []client, to *party) (*cause.Cause, error) {
	for _, from := range clients {
		if from.Network == to.Network || !from.host.IsValid() && !to.host.IsValid() {
			continue
		}
		p := spec.Passage{By: from.Bridge, From: from.addr, To: to.target()}
		about := s.about(p)
		if len(about) == 0 || s.asked >= mostQuestions {
			continue
		}
		s.asked++
		exit, known, err := s.paths.ExitOf(ctx, p)
		if err != nil {
			return nil, err
		}
		if !known || exit.Link == to.Bridge {
			continue
		}
		if r, found := culprit(about, exit); found {
			c := diversion(from, to, r, exit)
			return &c, nil
		}
	}
	return nil, nil
}

// about returns the rules that may lead a packet elsewhere, up to the one by which the
// ordinary routes decide.
func (s *search) about(p spec.Passage) (rules []spec.RoutingRule) {
	for _, r := range s.rules {
		if !r.Matches(p) {
			continue
		}
		if r.Main() {
			break
		}
		rules = append(rules, r)
	}
	return rules
}

// culprit returns the rule by which a packet leaves elsewhere. Where a rule refuses it,
// somebody means it. What no rule accounts for is no matter of these, as a bridge in a
// VRF.
func culprit(rules []spec.RoutingRule, exit spec.Exit) (spec.RoutingRule, bool) {
	if exit.Link == "" && slices.ContainsFunc(rules, func(r spec.RoutingRule) bool { return r.Refuses }) {
		return spec.RoutingRule{}, false
	}
	i := slices.IndexFunc(rules, func(r spec.RoutingRule) bool {
		return r.Table != 0 && r.Table == cmp.Or(exit.Table, r.Table)
	})
	if i < 0 {
		return spec.RoutingRule{}, false
	}
	return rules[i], true
}

// diversion tells what is lost, and the rule that keeps it. That one is about all
// packets to the network, which no other way leads to: one rule for each network that is
// asked, not one for each pair of networks. Once the network is gone it leads nowhere, as
// it takes no default route, and the other rules decide.
func diversion(from client, to *party, r spec.RoutingRule, exit spec.Exit) cause.Cause {
	what, way := fmt.Sprintf("containers of %s do not reach the published ports of %s", from.Network, to.Network), "nowhere"
	if !to.host.IsValid() {
		what = fmt.Sprintf("containers of %s get no answers from the published ports of %s", to.Network, from.Network)
	}
	if exit.Link != "" {
		way = "out by " + exit.Link
	}
	cmd := "ip rule add"
	if to.subnet.Addr().Is6() {
		cmd = "ip -6 rule add"
	}
	do := fmt.Sprintf("to keep them on the host, run: %s to %s lookup main suppress_prefixlength 0 priority %d", cmd, to.subnet, r.Priority-1)
	if r.Priority == 0 {
		do = "give that rule a larger priority"
	}
	return unmet(what, fmt.Sprintf("the rule of policy routing %q leads %s", r, way), do)
}
