package page

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/trace"
)

// way is what the desired state says of packets between a container and somebody.
type way struct {
	// Title says who that is.
	Title string `json:"title"`
	trace.Decision
}

// elsewhere and elsewhereIPv6 stand for somebody outside (RFC 5737, RFC 3849).
func elsewhere(six bool) netip.Addr {
	if six {
		return netip.MustParseAddr("2001:db8::1")
	}
	return netip.MustParseAddr("198.51.100.1")
}

// serveWays answers about a container's place on a network, or about one of its published
// ports.
func (p *Page) serveWays(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), askTime)
	defer cancel()
	g, err := p.live.latest(ctx)
	if err != nil {
		refuse(w, http.StatusBadGateway, err.Error())
		return
	}
	s := trace.State{Networks: g.Networks, Ports: g.Ports}
	for _, e := range g.Endpoints {
		s.Endpoints = append(s.Endpoints, e.Endpoint)
	}
	if s.Host, err = p.o.Host(); err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	of, found := find(s, r.URL.Query())
	if !found {
		refuse(w, http.StatusNotFound, "there is no such container or port any more")
		return
	}
	answer(w, http.StatusOK, of.ways())
}

// latest is the last graph, or a new one if nobody looks.
func (l *live) latest(ctx context.Context) (plugin.Graph, error) {
	l.mu.Lock()
	var g plugin.Graph
	if l.running != nil {
		g = l.running.graph
	}
	l.mu.Unlock()
	if !g.Time.IsZero() {
		return g, nil
	}
	return l.source.Graph(ctx)
}

func hostAddresses() (all []netip.Addr, err error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list the host's addresses: %w", err)
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, p.Addr().Unmap())
		}
	}
	return all, nil
}

// subject is what ways are asked of.
type subject struct {
	trace.State
	of   plugin.Endpoint
	port *plugin.Port
}

// find reads endpoint=ID and, for a port, run=PROTOCOL,HOST ADDRESS,FIRST PORT.
func find(s trace.State, q url.Values) (of subject, found bool) {
	of.State = s
	i := slices.IndexFunc(s.Endpoints, func(e plugin.Endpoint) bool { return e.ID == q.Get("endpoint") })
	if i < 0 {
		return of, false
	}
	of.of = s.Endpoints[i]
	if !q.Has("run") {
		return of, len(of.of.Addresses) > 0
	}
	i = slices.IndexFunc(s.Ports, func(p plugin.Port) bool {
		return p.EndpointID == of.of.ID && fmt.Sprintf("%s,%s,%d", p.Protocol, p.HostIP, p.First) == q.Get("run")
	})
	if i < 0 {
		return of, false
	}
	of.port = &s.Ports[i]
	return of, true
}

// ways are those from everybody, and for a container itself that to the outside.
func (s subject) ways() []way {
	protocol, to := s.target()
	decide := func(title string, from trace.Party, to netip.AddrPort) way {
		return way{title, trace.Decide(s.State, trace.Flow{Protocol: protocol, From: from, Source: from.Likely(to.Addr()), Destination: to})}
	}
	all := []way{}
	if s.port == nil {
		all = append(all, decide("to the outside", s.party(s.of), netip.AddrPortFrom(elsewhere(to.Addr().Is6()), 443)))
	}
	all = append(all, decide("from outside", trace.Party{}, to), decide("from this host", trace.Party{Host: true}, to))
	if e, found := s.other(s.of.NetworkID); found {
		all = append(all, decide("from its own network", s.party(e), to))
	}
	groups := map[trace.Verdict]int{}
	names := map[int][]string{}
	for _, n := range s.Networks {
		e, found := s.other(n.ID)
		if !found || n.ID == s.of.NetworkID {
			continue
		}
		w := decide("", s.party(e), to)
		i, known := groups[w.Verdict]
		if !known {
			i = len(all)
			groups[w.Verdict] = i
			all = append(all, w)
		}
		names[i] = append(names[i], cmp.Or(n.Name, n.ID[:min(12, len(n.ID))]))
	}
	for i, networks := range names {
		all[i].Title = "from " + enumerate(networks)
	}
	return all
}

// enumerate names the first few.
func enumerate(networks []string) string {
	const most = 3
	what, names := "network ", networks
	if len(names) > 1 {
		what = "networks "
	}
	if len(names) <= most {
		return what + strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s%s and %d more", what, strings.Join(names[:most], ", "), len(names)-most)
}

// target is what is asked: the port of the host, or the container's own address, at a port
// that it publishes or else that of HTTP.
func (s subject) target() (protocol string, to netip.AddrPort) {
	if s.port != nil {
		at := s.port.HostIP
		if at.IsUnspecified() {
			at = s.hostAddress(at.Is6())
		}
		return s.port.Protocol, netip.AddrPortFrom(at, s.port.First)
	}
	protocol, to = "tcp", netip.AddrPortFrom(s.of.Addresses[0].Addr(), 80)
	for _, p := range s.Ports {
		if p.EndpointID == s.of.ID {
			return p.Protocol, netip.AddrPortFrom(to.Addr(), p.ContainerFirst)
		}
	}
	return protocol, to
}

// hostAddress is one by which others reach the host: none of a bridge of its own.
func (s subject) hostAddress(six bool) netip.Addr {
	for _, a := range s.Host {
		own := slices.ContainsFunc(s.Networks, func(n plugin.Network) bool {
			return slices.ContainsFunc(n.Subnets, func(p netip.Prefix) bool { return p.Contains(a) })
		})
		if a.Is6() == six && a.IsGlobalUnicast() && !own {
			return a
		}
	}
	if six {
		return netip.IPv6Loopback()
	}
	return netip.MustParseAddr("127.0.0.1")
}

// other is a container on a network that is not the subject.
func (s subject) other(network string) (plugin.Endpoint, bool) {
	i := slices.IndexFunc(s.Endpoints, func(e plugin.Endpoint) bool {
		return e.NetworkID == network && e.ID != s.of.ID && (e.Sandbox == "" || e.Sandbox != s.of.Sandbox) && len(e.Addresses) > 0
	})
	if i < 0 {
		return plugin.Endpoint{}, false
	}
	return s.Endpoints[i], true
}

// party is the container by one place alone: by others it may reach more.
func (s subject) party(e plugin.Endpoint) trace.Party {
	return trace.Party{Endpoints: []plugin.Endpoint{e}}
}
