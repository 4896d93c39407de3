package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/plugin"
)

// hooksOf lists the hooks that packets come to: those that are forwarded to a container,
// those for the daemon's relays, those that the host itself sends to a container, those that
// come into one, and its answers on the host.
func hooksOf(kind packetKind) []string {
	last := []string{"postrouting", "egress", "bridge output", "bridge postrouting"}
	switch kind {
	case forwarded:
		return append([]string{"ingress", "prerouting", "forward"}, last...)
	case sent:
		return append([]string{"output"}, last...)
	case answered:
		return []string{"ingress", "bridge prerouting", "bridge input", "prerouting", "forward", "postrouting"}
	}
	return []string{"ingress", "prerouting", "input"}
}

type packetKind int

const (
	forwarded packetKind = iota
	sent
	taken
	answered
)

// filtered says which rules of others drop what comes for a published port, or lead it
// elsewhere.
func (f Facts) filtered(t Target) []Finding {
	s := sieve{target: t, seen: map[string]int{}, unsure: map[int]bool{}}
	for _, p := range f.State.Ports {
		if !t.port(p) {
			continue
		}
		port := p.First
		if t.Port != 0 {
			port = t.Port
		}
		s.host = "what comes for " + asked(p, port)
		for _, packet := range f.packets(p, port) {
			s.pass(packet, f.Filters, "")
		}
		e := f.endpointOf(p)
		at := p.ContainerFirst + (port - p.First)
		inside := Packet{Protocol: p.Protocol, HostPort: at, To: netip.AddrPortFrom(p.ContainerIP, at), In: e.ContainerInterface, Hooks: hooksOf(taken)}
		own, whose := f.Containers[e.Sandbox].Filters, "in "+nameOf(p.Whose, p.EndpointID)+", "
		s.pass(inside, own, whose)
		s.host = "answers from " + asked(p, port)
		inside.Answer, inside.In, inside.Out, inside.Hooks = true, "", e.ContainerInterface, hooksOf(sent)
		s.pass(inside, own, whose)
		if p.Path != "relay" && !p.HostIP.IsLoopback() {
			inside.HostPort, inside.In, inside.Out, inside.Hooks = port, e.Bridge, "", hooksOf(answered)
			inside.Port = e.HostInterface
			s.pass(inside, f.Filters, "")
		}
	}
	return s.found
}

// sieve collects what rules do with packets, each rule once.
type sieve struct {
	target Target
	// seen has the place of a rule's finding, behind 0.
	seen map[string]int
	// unsure are places where a rule may drop only.
	unsure map[int]bool
	// host are the packets in words.
	host  string
	found []Finding
}

// pass takes a packet through chains; whose says where these are. Where everything is looked
// at, what may drop some packets is no finding.
func (s *sieve) pass(p Packet, chains []Base, whose string) {
	for _, base := range chains {
		for _, d := range base.Drops(p) {
			if d.Sure || !s.target.all() {
				s.find(whose+d.Where, d.Sure, dropFinding(d, whose, s.host))
			}
		}
	}
}

// find keeps one finding of a rule, and one that is sure before others.
func (s *sieve) find(key string, sure bool, f Finding) {
	at := s.seen[key]
	switch {
	case at == 0:
		s.found = append(s.found, f)
		at = len(s.found)
		s.seen[key], s.unsure[at] = at, !sure
	case sure && s.unsure[at]:
		s.found[at-1], s.unsure[at] = f, false
	}
}

// packets are those by which a port of the host is asked for.
func (f Facts) packets(p plugin.Port, port uint16) []Packet {
	inside := Packet{
		Protocol: p.Protocol, HostPort: port, To: netip.AddrPortFrom(p.ContainerIP, p.ContainerFirst+(port-p.First)),
		Out: f.bridge(p.NetworkID), Port: f.endpointOf(p).HostInterface, Hooks: hooksOf(forwarded),
	}
	switch {
	case p.Path == "relay":
		relayed := Packet{Protocol: p.Protocol, HostPort: port, To: netip.AddrPortFrom(p.HostIP, port), Relayed: true, Hooks: hooksOf(taken)}
		inside.Hooks, inside.HostPort = hooksOf(sent), inside.To.Port()
		return []Packet{relayed, inside}
	case p.Path == routed:
		inside.HostPort = inside.To.Port()
	case p.HostIP.IsLoopback():
		inside.Hooks = hooksOf(sent)
	}
	return []Packet{inside}
}

// all says that everything is to be looked at.
func (t Target) all() bool { return t.Endpoints == nil && t.Port == 0 }

func dropFinding(d Drop, whose, host string) Finding {
	does, may := "drops", "may drop"
	switch d.Does {
	case "divert":
		does, may = "leads elsewhere", "may lead elsewhere"
	case "untrack":
		does, may = "leaves untracked, and so untranslated,", "may leave untracked, and so untranslated,"
	}
	if !d.Sure {
		does = may
	}
	out := Finding{fmt.Sprintf("%s%s %s %s", whose, d.Where, does, host), "change that rule"}
	switch {
	case d.Text != "":
		out.Cure += " (" + d.Text + ")"
	case whose != "":
		out.Cure = "change what makes the rules in the container"
	default:
		out.Cure = "let it accept packets to gangway's bridges, see docs/firewalls.md"
		if strings.Contains(strings.ToLower(d.Where), "input") {
			out.Cure = "let it accept that port: the daemon relays it"
		}
	}
	return out
}

// bridge is the bridge of a network.
func (f Facts) bridge(network string) string {
	for _, n := range f.State.Networks {
		if n.ID == network {
			return n.Bridge
		}
	}
	return ""
}

// endpointOf is a port's endpoint.
func (f Facts) endpointOf(p plugin.Port) plugin.Endpoint {
	i := slices.IndexFunc(f.State.Endpoints, func(e plugin.Endpoint) bool { return e.ID == p.EndpointID })
	if i < 0 {
		return plugin.Endpoint{}
	}
	return f.State.Endpoints[i]
}
