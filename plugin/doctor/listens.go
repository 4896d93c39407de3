package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/plugin"
)

// listens says whether somebody in the container waits for what a published port brings.
func (f Facts) listens(p plugin.Port, t Target) (all []Finding) {
	i := slices.IndexFunc(f.State.Endpoints, func(e plugin.Endpoint) bool { return e.ID == p.EndpointID })
	if i < 0 {
		return nil
	}
	c, known := f.Containers[f.State.Endpoints[i].Sandbox]
	if !known || c.Unlisted[p.Protocol] {
		return nil
	}
	// Of a long range nobody expects all to be served, unless one is asked for.
	first, last := p.ContainerFirst, p.ContainerFirst+(p.Last-p.First)
	if t.Port != 0 {
		first = p.ContainerFirst + (t.Port - p.First)
		last = first
	}
	if last-first > 16 {
		return nil
	}
	for port := first; ; port++ {
		if finding, ok := f.listensAt(p, port, c.Listeners); !ok {
			all = append(all, finding)
		}
		if port == last {
			return all
		}
	}
}

func (f Facts) listensAt(p plugin.Port, port uint16, listeners []Listener) (Finding, bool) {
	var elsewhere []string
	var wrong []Listener
	for _, l := range listeners {
		switch {
		case l.Protocol != p.Protocol:
		case l.Addr.Port() != port:
			if !l.Addr.Addr().IsLoopback() {
				elsewhere = append(elsewhere, fmt.Sprint(l.Addr.Port()))
			}
		case l.takes(p.ContainerIP):
			return f.waiting(p, l)
		default:
			wrong = append(wrong, l)
		}
	}
	name, host := nameOf(p.Whose, p.EndpointID), asked(p, 0)
	if len(wrong) > 0 {
		l := wrong[0]
		where := l.Addr.String()
		if l.Addr.Addr().IsLoopback() {
			any := "0.0.0.0"
			if p.ContainerIP.Is6() {
				any = "[::]"
			}
			return Finding{fmt.Sprintf("%s, behind %s, listens on %s only, which nobody outside of the container reaches", name, host, where), "have the application bind " + any}, false
		}
		if l.Addr.Addr() == netip.IPv6Unspecified() {
			return Finding{fmt.Sprintf("%s, behind %s, listens on %s for IPv6 only, and its address is %s", name, host, where, p.ContainerIP), "have the application take IPv4 as well (IPV6_V6ONLY off), or bind 0.0.0.0"}, false
		}
		return Finding{fmt.Sprintf("%s, behind %s, listens on %s, and not on its address %s", name, host, where, p.ContainerIP), "have the application bind all addresses"}, false
	}
	cure := "see whether the application runs (docker logs)"
	if slices.Sort(elsewhere); len(elsewhere) > 0 {
		elsewhere = slices.Compact(elsewhere)
		cure = fmt.Sprintf("it listens on %s: publish that", strings.Join(elsewhere, ", "))
		if p.Path != routed {
			cure += fmt.Sprintf(", as %d:%s", p.First, elsewhere[0])
		}
	}
	return Finding{fmt.Sprintf("nobody in %s listens on %s port %d, where %s leads", name, p.Protocol, port, host), cure}, false
}

// waiting says that a program does not take the connections that there are. ok is true where
// it does.
func (f Facts) waiting(p plugin.Port, l Listener) (_ Finding, ok bool) {
	if !l.Stuck && (l.Waiting == 0 || l.Waiting <= l.Queue) {
		return Finding{}, true
	}
	return Finding{
		fmt.Sprintf("%s accepts no connections at %s port %d: %d wait, and there is room for %d", nameOf(p.Whose, p.EndpointID), p.Protocol, l.Addr.Port(), l.Waiting, l.Queue+1),
		"see whether the container is paused (docker ps) or its application hangs (docker top, docker logs)",
	}, false
}

// takes says whether the socket gets what is sent to an address of the container.
func (l Listener) takes(a netip.Addr) bool {
	bound := l.Addr.Addr()
	if bound.IsUnspecified() {
		return bound.Is4() == a.Is4() || l.Both
	}
	return bound == a
}
