package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/plugin"
)

// hooksOf lists the hooks that packets come to: those that are forwarded to a container,
// those for the daemon's relays, those that the host itself sends to a container, and those
// that come into one.
func hooksOf(kind packetKind) []string {
	last := []string{"postrouting", "egress", "bridge output", "bridge postrouting"}
	switch kind {
	case forwarded:
		return append([]string{"ingress", "prerouting", "forward"}, last...)
	case sent:
		return append([]string{"output"}, last...)
	}
	return []string{"ingress", "prerouting", "input"}
}

type packetKind int

const (
	forwarded packetKind = iota
	sent
	taken
)

// filtered says which rules of others drop what comes for a published port, or lead it
// elsewhere.
func (f Facts) filtered(t Target) []Finding {
	s := sieve{target: t, seen: map[string]bool{}}
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
		s.pass(inside, f.Containers[e.Sandbox].Filters, "in "+nameOf(p.Whose, p.EndpointID)+", ")
	}
	return s.found
}

// sieve collects what rules do with packets, each rule once.
type sieve struct {
	target Target
	seen   map[string]bool
	// host are the packets in words.
	host  string
	found []Finding
}

// pass takes a packet through chains; whose says where these are. Where everything is looked
// at, what may drop some packets is no finding.
func (s *sieve) pass(p Packet, chains []Base, whose string) {
	for _, base := range chains {
		for _, d := range base.Drops(p) {
			if key := whose + d.Where; (d.Sure || !s.target.all()) && !s.seen[key] {
				s.seen[key] = true
				s.found = append(s.found, dropFinding(d, whose, s.host))
			}
		}
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
	verb := "drops"
	switch {
	case d.Diverts && d.Sure:
		verb = "leads elsewhere"
	case d.Diverts:
		verb = "may lead elsewhere"
	case !d.Sure:
		verb = "may drop"
	}
	out := Finding{fmt.Sprintf("%s%s %s %s", whose, d.Where, verb, host), "change that rule"}
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
