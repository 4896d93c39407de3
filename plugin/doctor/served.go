package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/plugin"
)

// service is what the daemon does for containers at a port of the host, whose packets rules redirect there.
type service struct {
	what, protocol string
	port           uint16
}

func (s service) String() string { return fmt.Sprintf("%s port %d (%s)", s.protocol, s.port, s.what) }

// services are those that a policy needs: an answer to questions for names, and somebody who
// reads connections of strict names.
func (f Facts) services(of policy.Policy) (all []service) {
	at := f.State.Serving
	if of.Asks() && at.Questions != 0 {
		all = append(all, service{"names", "udp", at.Questions}, service{"names", "tcp", at.Questions})
	}
	if of.Reads() && at.Connections != 0 {
		all = append(all, service{"strict names", "tcp", at.Connections})
	}
	return all
}

// kept is what a rule keeps from the daemon, or from a container: of a bridge all in one line.
type kept struct {
	Drop
	bridge   string
	answers  bool
	services []service
}

// served says which rules of others on the host keep containers from the daemon, or its answers from them.
func (f Facts) served(t Target) (all []Finding) {
	if t.Port != 0 {
		return nil // which has to do with no names
	}
	var list []kept
	for _, e := range f.State.Endpoints {
		of, err := policy.Of(e.Policy)
		if err != nil || e.Sandbox == "" || !t.endpoint(f, e) {
			continue
		}
		for _, s := range f.services(of) {
			for _, p := range f.servedPackets(e, s) {
				list = f.keep(list, t, kept{bridge: e.Bridge, answers: p.Answer, services: []service{s}}, p)
			}
		}
	}
	for _, k := range list {
		all = append(all, k.finding())
	}
	return all
}

// servedPackets are a container's to a service, and the answers, of each family that it has.
func (f Facts) servedPackets(e plugin.Endpoint, s service) (all []Packet) {
	i := slices.IndexFunc(f.State.Networks, func(n plugin.Network) bool { return n.ID == e.NetworkID })
	if i < 0 {
		return nil
	}
	for _, a := range e.Addresses {
		j := slices.IndexFunc(f.State.Networks[i].Gateways, func(g netip.Addr) bool { return g.Is6() == a.Addr().Is6() })
		if j < 0 || a.Addr().IsLinkLocalUnicast() {
			continue
		}
		to := netip.AddrPortFrom(f.State.Networks[i].Gateways[j], s.port)
		asks := Packet{Protocol: s.protocol, From: a.Addr(), HostPort: 53, To: to, In: e.Bridge, Hooks: []string{"prerouting", "input"}}
		if s.port == f.State.Serving.Connections {
			asks.HostPort, asks.Hooks = 443, []string{"input"} // or any port that an entry has
		}
		all = append(all, asks, Packet{Protocol: s.protocol, Answer: true, From: a.Addr(), To: to, Out: e.Bridge, Hooks: []string{"output"}})
	}
	return all
}

// keep adds what the host's rules do with a packet. Before it is redirected others may lead it
// where they like: the redirection comes first.
func (f Facts) keep(list []kept, t Target, k kept, p Packet) []kept {
	for _, base := range f.Filters {
		for _, d := range base.Drops(p) {
			if d.Does == "divert" || !d.Sure && t.all() {
				continue
			}
			k.Drop = d
			i := slices.IndexFunc(list, func(o kept) bool { return o.Drop == d && o.bridge == k.bridge && o.answers == k.answers })
			switch {
			case i < 0:
				list = append(list, k)
			case !slices.Contains(list[i].services, k.services[0]):
				list[i].services = append(slices.Clip(list[i].services), k.services[0])
			}
		}
	}
	return list
}

func (k kept) finding() Finding {
	does, what, cure := "drops", "what containers send to the daemon by "+k.bridge, "let it accept that from "+k.bridge
	switch {
	case k.Does == "untrack":
		does = "leaves untracked, and so not redirected,"
	case !k.Sure:
		does = "may drop"
	}
	if k.answers {
		what, cure = "what the daemon answers containers by "+k.bridge, "let it accept that to "+k.bridge
	}
	var ports []string
	for _, s := range k.services {
		ports = append(ports, s.String())
	}
	if k.Text != "" {
		cure = "change that rule (" + k.Text + "), or accept that before it"
	}
	return Finding{
		fmt.Sprintf("%s %s %s: %s", k.Where, does, what, strings.Join(ports, ", ")),
		cure + ", see docs/firewalls.md#names-in-policies",
	}
}
