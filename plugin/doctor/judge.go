package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/plugin"
)

// Finding is one thing that is wrong, with what to do about it.
type Finding struct {
	// Text says what is wrong, Cure what to do.
	Text string `json:"text"`
	Cure string `json:"cure"`
}

// String is the finding in a line.
func (f Finding) String() string { return f.Text + ": " + f.Cure }

// Target is what to look at: all for the zero value.
type Target struct {
	// Endpoints are those of a container; nil for all.
	Endpoints map[string]bool
	// Port is a host port, of Protocol unless that is empty; 0 for all.
	Port     uint16
	Protocol string
}

func (t Target) port(p plugin.Port) bool {
	return (t.Endpoints == nil || t.Endpoints[p.EndpointID]) &&
		(t.Port == 0 || p.First <= t.Port && t.Port <= p.Last && (t.Protocol == "" || t.Protocol == p.Protocol))
}

func (t Target) endpoint(f Facts, e plugin.Endpoint) bool {
	if t.Endpoints != nil {
		return t.Endpoints[e.ID]
	}
	return t.Port == 0 || slices.ContainsFunc(f.State.Ports, func(p plugin.Port) bool { return p.EndpointID == e.ID && t.port(p) })
}

// Judge returns what is wrong, the nearest cause first. It is pure.
func Judge(f Facts, t Target) (all []Finding) {
	if f.State.Engine != "" {
		all = append(all, Finding{"the engine does not answer: " + f.State.Engine, "see systemctl status docker; containers run on, but none starts, and names are not known"})
	}
	for _, c := range f.State.Health {
		if c.Code == cause.Unnamed && f.State.Engine != "" {
			continue // said above
		}
		all = append(all, Finding{c.What, c.Do})
	}
	all = append(all, f.published(t)...)
	all = append(all, f.policies(t)...)
	for _, e := range f.State.Endpoints {
		if t.endpoint(f, e) {
			all = append(all, f.endpoint(e)...)
		}
	}
	for _, p := range f.State.Ports {
		if t.port(p) {
			all = append(all, f.listens(p, t)...)
		}
	}
	all = append(all, f.attached(t)...)
	all = append(all, f.filtered(t)...)
	all = append(all, f.served(t)...)
	all = append(all, f.reached(t)...)
	all = append(all, f.client(t)...)
	all = append(all, f.host(t)...)
	return compact(all)
}

// routed is the Path of ports that are reached by the container's own address.
const routed = "routed"

// routedPorts are those as published ports, at the container's address.
func routedPorts(endpoints []plugin.Endpoint) (all []plugin.Port) {
	for _, e := range endpoints {
		for _, o := range e.Open {
			p := plugin.Port{Whose: e.Whose}
			p.EndpointID, p.NetworkID, p.Protocol, p.Path = e.ID, e.NetworkID, o.Protocol, routed
			p.HostIP, p.First, p.Last, p.ContainerIP, p.ContainerFirst = o.IP, o.First, o.Last, o.IP, o.First
			all = append(all, p)
		}
	}
	return all
}

// asked says in words what others ask for: the whole run, or one port of it.
func asked(p plugin.Port, port uint16) string {
	ports := span(p.First, p.Last)
	if port != 0 {
		ports = span(port, port)
	}
	if p.Path == routed {
		return fmt.Sprintf("port %s/%s of %s", ports, p.Protocol, p.HostIP)
	}
	return fmt.Sprintf("host port %s/%s", ports, p.Protocol)
}

// compact leaves out what was found before: most ports are published in both families.
func compact(all []Finding) (once []Finding) {
	for _, f := range all {
		if !slices.Contains(once, f) {
			once = append(once, f)
		}
	}
	return once
}

// published says that a port is not, or for whom it is.
func (f Facts) published(t Target) (all []Finding) {
	var on []netip.Addr
	for _, p := range f.State.Ports {
		if t.port(p) {
			on = append(on, p.HostIP)
		}
	}
	switch {
	case t.Port != 0 && len(on) == 0:
		var others []string
		for _, p := range f.State.Ports {
			if (t.Endpoints == nil || t.Endpoints[p.EndpointID]) && len(others) < 8 {
				others = append(others, fmt.Sprintf("%s/%s", span(p.First, p.Last), p.Protocol))
			}
		}
		cure := "no port is; start the container with -p " + fmt.Sprint(t.Port) + ":PORT"
		if slices.Sort(others); len(others) > 0 {
			cure = "published are " + strings.Join(slices.Compact(others), ", ")
		}
		if slices.ContainsFunc(f.State.Networks, func(n plugin.Network) bool { return n.Internal && n.Endpoints > 0 }) {
			cure += "; containers of internal networks publish nothing"
		}
		all = append(all, Finding{fmt.Sprintf("no container of gangway's networks publishes port %d", t.Port), cure})
	case t.Port != 0 && !slices.ContainsFunc(on, func(a netip.Addr) bool { return !a.IsLoopback() }):
		all = append(all, Finding{
			fmt.Sprintf("port %d is published on %s alone, which only this host reaches", t.Port, on[0]),
			fmt.Sprintf("publish it as %d:PORT for other hosts", t.Port),
		})
	}
	return all
}

func span(first, last uint16) string {
	if first == last {
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d-%d", first, last)
}

// endpoint says what is wrong with a container's place on a network.
func (f Facts) endpoint(e plugin.Endpoint) (all []Finding) {
	name := nameOf(e.Whose, e.ID)
	if e.Sandbox == "" {
		return []Finding{{name + " is in no container", "start the container"}}
	}
	switch {
	case e.HostInterface == "":
		all = append(all, Finding{name + " has no link any more", "restart the container"})
	case f.Host.Links != nil && !f.Host.Links[e.HostInterface].Up:
		all = append(all, Finding{fmt.Sprintf("%s: the host's end %s of its link is down", name, e.HostInterface), "gangway mends it within seconds; if not, see gangway events"})
	}
	for _, a := range e.Addresses {
		n, known := f.Host.Neighbours[a.Addr()]
		switch {
		case known && n.Failed:
			all = append(all, Finding{fmt.Sprintf("%s does not answer when the host asks who has %s", name, a.Addr()), "see whether the container is paused, or has changed its interface"})
		case known && n.MAC != "" && n.MAC != e.MAC:
			all = append(all, Finding{fmt.Sprintf("%s is answered for by %s, and %s has %s", a.Addr(), n.MAC, name, e.MAC), "somebody else uses the address: remove it there, or give the container another --ip"})
		}
	}
	c, known := f.Containers[e.Sandbox]
	if !known {
		return all
	}
	return append(all, f.inside(name, e, c)...)
}

// silent says that the router of a LAN does not answer the container. The router of all other networks is
// the host.
func (f Facts) silent(name string, e plugin.Endpoint, c Container) (all []Finding) {
	bridge, uplink := f.Host.Links[e.HostInterface].Master, ""
	for port, l := range f.Host.Links {
		if bridge != "" && l.Master == bridge && !slices.ContainsFunc(f.State.Endpoints, func(e plugin.Endpoint) bool { return e.HostInterface == port }) {
			uplink = port
		}
	}
	for _, router := range c.Silent {
		if uplink != "" && slices.ContainsFunc(e.Addresses, func(a netip.Prefix) bool { return a.Contains(router) }) {
			all = append(all, Finding{
				fmt.Sprintf("%s: its router %s does not answer it by %s", name, router, uplink),
				fmt.Sprintf("see whether a machine behind %s has that address (--gateway); what is behind %s may pass on one hardware address only, as in clouds and under hypervisors: allow more there (forged transmits, MAC spoofing), see docs/lan.md", uplink, uplink),
			})
		}
	}
	return all
}

// inside says what is wrong within the container.
func (f Facts) inside(name string, e plugin.Endpoint, c Container) (all []Finding) {
	if c.Down[e.ContainerInterface] {
		all = append(all, Finding{fmt.Sprintf("%s: its interface %s is down", name, e.ContainerInterface), "ip link set " + e.ContainerInterface + " up in the container, or restart it"})
	}
	all = append(all, f.silent(name, e, c)...)
	internal := slices.ContainsFunc(f.State.Networks, func(n plugin.Network) bool { return n.ID == e.NetworkID && n.Internal })
	for _, a := range e.Addresses {
		switch {
		case slices.Contains(c.Refused, a.Addr()):
			all = append(all, Finding{fmt.Sprintf("%s may not use its address %s: somebody else on the network has it", name, a.Addr()), "remove it there, or give the container another --ip6"})
		case !slices.Contains(c.Addresses, a.Addr()):
			all = append(all, Finding{fmt.Sprintf("%s has lost its address %s", name, a.Addr()), "restart the container; look for what changes addresses in it"})
		}
		has := c.Default4
		if a.Addr().Is6() {
			has = c.Default6
		}
		if !has && !internal && !a.Addr().IsLinkLocalUnicast() {
			all = append(all, Finding{fmt.Sprintf("%s has no default route for %s, so that nobody outside of its networks gets answers", name, family(a.Addr())), "restart the container; look for what changes routes in it"})
		}
	}
	return all
}

func family(a netip.Addr) string {
	if a.Is6() {
		return "IPv6"
	}
	return "IPv4"
}

// nameOf is an endpoint as people know it.
func nameOf(w plugin.Whose, endpoint string) string {
	if w.ContainerName != "" {
		return "container " + w.ContainerName
	}
	return "endpoint " + endpoint[:min(len(endpoint), 12)]
}
