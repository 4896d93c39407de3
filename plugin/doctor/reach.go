package doctor

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/kernel"
	"github.com/gangway-net/gangway/plugin"
)

func isGlobal(a netip.Addr) bool { return a.IsGlobalUnicast() && !a.IsLinkLocalUnicast() }

// reached says whether packets come to the host, and go on to the containers.
func (f Facts) reached(t Target) (all []Finding) {
	for _, p := range f.State.Ports {
		if t.port(p) {
			all = append(all, f.hostAddress(p)...)
		}
	}
	for _, e := range f.State.Endpoints {
		if t.endpoint(f, e) {
			all = append(all, f.wayIn(e)...)
		}
	}
	if f.published(t) == nil {
		all = append(all, f.entrances(t)...)
	}
	return append(all, f.queued(t)...)
}

// queued says that packets of a target may be lost in a queue.
func (f Facts) queued(t Target) (all []Finding) {
	if t.all() {
		return nil
	}
	links := append(f.bridges(t), f.outside()...)
	for _, e := range f.State.Endpoints {
		if t.endpoint(f, e) {
			links = append(links, e.HostInterface)
		}
	}
	for _, name := range links {
		if words := f.Host.Queues[name]; words != "" {
			all = append(all, Finding{fmt.Sprintf("what leaves by %s may be lost: its queue %s", name, words), "look at tc -s qdisc show dev " + name + ", again and again"})
		}
	}
	return all
}

// hostAddress says that a port is published at an address that the host does not have.
func (f Facts) hostAddress(p plugin.Port) []Finding {
	at := p.HostIP
	if at.IsUnspecified() || at.IsLoopback() || p.Path == routed || p.Path == plugin.PathPrefix || f.Host.Links == nil {
		return nil
	}
	for _, l := range f.Host.Links {
		if slices.Contains(l.Addresses, at) {
			return nil
		}
	}
	return []Finding{{
		fmt.Sprintf("%s is published at %s, which is no address of this host", asked(p, 0), at),
		"give the host that address again, or publish the port at another one (-p ADDRESS:PORT:PORT)",
	}}
}

// wayIn says that the host sends what is for a container elsewhere.
func (f Facts) wayIn(e plugin.Endpoint) (all []Finding) {
	i := slices.IndexFunc(f.State.Networks, func(n plugin.Network) bool { return n.ID == e.NetworkID })
	if i < 0 || f.State.Networks[i].Adopted || f.Host.Links[e.Bridge].Master != "" {
		return nil // a bridge of others, or in a VRF, has routes of others
	}
	n := f.State.Networks[i]
	for _, p := range e.Addresses {
		a, mode := p.Addr(), n.ModeIPv4
		if a.Is6() {
			mode = n.ModeIPv6
		}
		w, known := f.Host.Ways[a]
		inhibited := a.Is4() && n.Options["com.docker.network.bridge.inhibit_ipv4"] == "true"
		if !known || w.Link == e.Bridge || mode == "isolated" || inhibited || a.IsLinkLocalUnicast() {
			continue
		}
		where := "by " + w.Link
		if w.Refused != "" {
			where = "nowhere (" + w.Refused + ")"
		}
		all = append(all, Finding{
			fmt.Sprintf("the host's way to %s, %s, leads %s, and not by bridge %s", a, nameOf(e.Whose, e.ID), where, e.Bridge),
			fmt.Sprintf("look at ip route get %s, ip route and ip rule; a VPN or another network has the same addresses", a),
		})
	}
	return all
}

// entrances says what is wrong with the links by which others come.
func (f Facts) entrances(t Target) (all []Finding) {
	links, down := f.outside(), []string{}
	for _, name := range links {
		if l := f.Host.Links[name]; !l.Up || !l.Carrier {
			down = append(down, name)
		}
	}
	if len(down) == len(links) || !t.all() {
		for _, name := range down {
			all = append(all, Finding{f.withAddress(name) + " is down or has nobody at its other end", "ip link set " + name + " up; look at the cable or the host's network settings"})
		}
	}
	if t.all() || f.Host.Reversed == 0 || len(links) < 2 {
		return all
	}
	for _, name := range links {
		if f.strict(name) {
			all = append(all, f.reverse(name)...)
		}
	}
	return all
}

// withAddress names a link with its address.
func (f Facts) withAddress(name string) string {
	addrs := f.Host.Links[name].Addresses
	i := slices.IndexFunc(addrs, isGlobal)
	if i < 0 {
		return name
	}
	return fmt.Sprintf("%s, which has %s,", name, addrs[i])
}

// reverse says that a strict link may drop what comes by it.
func (f Facts) reverse(name string) []Finding {
	text := fmt.Sprintf("%s may drop what comes: its way back must lead by %s as well (rp_filter=1), and the kernel has counted %d that were dropped for that", name, name, f.Host.Reversed)
	if f.Client.Addr.IsValid() {
		back := f.Client.Way.Link
		if back == name || back == "" {
			return nil
		}
		text += fmt.Sprintf("; the way to %s leads by %s", f.Client.Addr, back)
	}
	return []Finding{{text, fmt.Sprintf("set net.ipv4.conf.%s.rp_filter=2 (and that of all to 0 or 2), or change the routes", name)}}
}

// strict says that a link takes only what it would answer by (RFC 3704; the larger of its
// own setting and that of all counts, Documentation/networking/ip-sysctl.rst).
func (f Facts) strict(link string) bool {
	return max(f.Host.Settings[ofLink("all", reverse)], f.Host.Settings[ofLink(link, reverse)]) == 1
}

// client says whether answers come to the client that was named.
func (f Facts) client(t Target) (all []Finding) {
	c := f.Client
	if !c.Addr.IsValid() {
		return nil
	}
	if c.Way.Refused != "" {
		return []Finding{{fmt.Sprintf("the host has no way to %s (%s)", c.Addr, c.Way.Refused), "add a route to it, or a default route"}}
	}
	for _, e := range f.State.Endpoints {
		if !t.endpoint(f, e) {
			continue
		}
		all = append(all, f.back(e)...)
		for _, p := range e.Addresses {
			w, known := c.Answers[p.Addr()]
			if !known {
				continue
			}
			look := fmt.Sprintf("look at ip route get %s from %s iif %s, and at ip rule", c.Addr, p.Addr(), e.Bridge)
			switch {
			case w.Refused != "":
				all = append(all, Finding{fmt.Sprintf("answers of %s to %s go nowhere (%s)", nameOf(e.Whose, e.ID), c.Addr, w.Refused), look})
			case w.Link != c.Way.Link:
				all = append(all, Finding{fmt.Sprintf("answers of %s to %s leave by %s, and the host's own by %s", nameOf(e.Whose, e.ID), c.Addr, w.Link, c.Way.Link), look})
			}
		}
	}
	return all
}

// back says that a container sends answers for the client nowhere, or by another link.
func (f Facts) back(e plugin.Endpoint) []Finding {
	six := f.Client.Addr.Is6()
	w := f.Containers[e.Sandbox].Back
	publishes := slices.ContainsFunc(f.State.Ports, func(p plugin.Port) bool {
		return p.EndpointID == e.ID && p.ContainerIP.Is6() == six && p.Path != "relay"
	})
	if w == nil || !publishes {
		return nil
	}
	look := fmt.Sprintf("look at ip route get %s in the container's network namespace (nsenter --net=%s)", f.Client.Addr, e.Sandbox)
	switch {
	case w.Refused != "":
		return []Finding{{fmt.Sprintf("%s has no way to %s (%s)", nameOf(e.Whose, e.ID), f.Client.Addr, w.Refused), look}}
	case w.Link != e.ContainerInterface:
		return []Finding{{fmt.Sprintf("%s answers %s by its link %s, and was asked by %s", nameOf(e.Whose, e.ID), f.Client.Addr, w.Link, e.ContainerInterface), look}}
	}
	return nil
}

// network is the name of an endpoint's network, and whether it is internal.
func (f Facts) network(e plugin.Endpoint) string {
	for _, n := range f.State.Networks {
		if n.ID == e.NetworkID && n.Internal {
			return cmp.Or(n.Name, n.Bridge) + ", which is internal"
		}
		if n.ID == e.NetworkID {
			return cmp.Or(n.Name, n.Bridge)
		}
	}
	return e.Bridge
}

// Missing says what a container that was asked for does not publish, which is no fault; what
// Gangway lacks of the kernel; and which of the links by which others come
// have programs that may drop, which nobody can look into.
func Missing(f Facts, t Target) (notes []string) {
	for _, e := range f.State.Endpoints {
		publishes := slices.ContainsFunc(f.State.Ports, func(p plugin.Port) bool { return p.EndpointID == e.ID })
		if t.Endpoints[e.ID] && !publishes {
			notes = append(notes, nameOf(e.Whose, e.ID)+" publishes no port on network "+f.network(e)+": this host and the network's containers reach it, and nobody else")
		}
	}
	if f.State.HostAsked != "" {
		notes = append(notes, f.State.HostAsked)
	}
	if f.State.Unguarded != "" {
		notes = append(notes, "missing in the kernel: sch_ingress or cls_bpf: containers have no port filter: "+f.State.Unguarded)
	}
	if f.State.Protection == "none" {
		need := kernel.OwnedTables()
		notes = append(notes, strings.ReplaceAll("missing in the kernel: "+need.Needs()+": "+need.Without, "`", ""))
	}
	for _, name := range f.outside() {
		if f.Host.Links[name].Program && (t.all() || len(f.Host.Attached[name]) == 0) {
			notes = append(notes, fmt.Sprintf("not looked at: what the programs at %s drop (XDP, traffic control): see ip -d link show %s, and tc filter show dev %s ingress", name, name, name))
		}
	}
	return notes
}
