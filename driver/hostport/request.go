package hostport

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"slices"

	"github.com/gangway-net/gangway/driver/spec"
)

// request is a spec.PortRequest that was found valid, with the host addresses
// that can be served and where each leads.
type request struct {
	proto       spec.Protocol
	first, last uint16
	ends        []end
}

// end is one host address of a request.
type end struct {
	ip netip.Addr
	to target
}

func (q *request) fixed() bool { return q.first == q.last && q.first != 0 }

// parseRequests checks requests and orders them by how little choice they
// leave: fixed ports, ranges by their end, ephemeral ports. So a free choice
// never takes what a later request has to have.
func parseRequests(want []spec.PortRequest, ipv6 ipv6Probe) ([]request, error) {
	out := make([]request, 0, len(want))
	for i := range want {
		q, err := parseRequest(&want[i], &ipv6)
		if err != nil {
			return nil, err
		}
		out = append(out, q)
	}
	slices.SortStableFunc(out, func(a, b request) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.first, b.first))
	})
	return out, nil
}

func (q *request) rank() int {
	switch {
	case q.fixed():
		return 0
	case q.last != 0:
		return int(q.last)
	}
	return math.MaxInt
}

func parseRequest(w *spec.PortRequest, ipv6 *ipv6Probe) (request, error) {
	q := request{proto: w.Proto, first: w.First, last: w.Last}
	if err := checkRequest(w); err != nil {
		return q, fmt.Errorf("publish container port %d/%s: %w", w.ContainerPort, w.Proto, err)
	}
	for _, ip := range w.HostIPs {
		q.ends = append(q.ends, end{ip: ip, to: targetOf(w, ip)})
	}
	if err := q.serve(ipv6); err != nil {
		return q, fmt.Errorf("publish container port %d/%s: %w", w.ContainerPort, w.Proto, err)
	}
	return q, nil
}

// serve leaves out the host addresses that cannot be published on. Without any it is an
// error, and all stay.
func (q *request) serve(ipv6 *ipv6Probe) error {
	var reason error
	served := make([]end, 0, len(q.ends))
	for _, e := range q.ends {
		if err := servable(q.proto, e, ipv6); err != nil {
			reason = err
			continue
		}
		served = append(served, e)
	}
	if len(served) == 0 {
		return reason
	}
	q.ends = served
	return nil
}

// lead is a host port, and the container's.
type lead struct {
	key
	container uint16
}

// twin is the same on every address of the other family.
func (l lead) twin() lead {
	four := l.ip.Is4()
	l.ip = netip.IPv4Unspecified()
	if four {
		l.ip = netip.IPv6Unspecified()
	}
	return l
}

// fixedRequests asks for exactly the ports of runs. Those that lead to the same port in
// both families share a socket, as when they were asked for. Runs do not tell: one of them
// may go on where the other ends.
func fixedRequests(runs []spec.EndpointRun) (all []request) {
	twins := map[lead]target{}
	each := func(do func(lead, target)) {
		for _, r := range runs {
			for i := range r.Len() {
				port, container := r.First+uint16(i), r.ContainerFirst+uint16(i)
				do(lead{key{r.HostIP, port, r.Proto}, container}, target{ip: r.ContainerIP, port: container, endpoint: r.EndpointID, whole: r.ByDaemon})
			}
		}
	}
	each(func(l lead, to target) {
		if l.ip.IsUnspecified() {
			twins[l] = to
		}
	})
	each(func(l lead, to target) {
		q := request{proto: l.proto, first: l.port, last: l.port, ends: []end{{l.ip, to}}}
		if other, ok := twins[l.twin()]; ok && l.ip.IsUnspecified() {
			if l.ip.Is6() {
				return // with the other one
			}
			q.ends = append(q.ends, end{netip.IPv6Unspecified(), other})
		}
		all = append(all, q)
	})
	return all
}

func checkRequest(w *spec.PortRequest) error {
	switch {
	case w.Proto != spec.TCP && w.Proto != spec.UDP && w.Proto != spec.SCTP:
		return errors.New("the protocol has no ports that can be published: use tcp, udp or sctp")
	case w.ContainerPort == 0:
		return errors.New("container port 0 does not exist: use 1 to 65535")
	case w.First > w.Last || w.First == 0 && w.Last != 0:
		return fmt.Errorf("%d-%d is no range of host ports: use 1 to 65535, lower one first", w.First, w.Last)
	case len(w.HostIPs) == 0:
		return errors.New("no host address to publish on")
	}
	return errors.Join(checkContainer(w), checkHostIPs(w.HostIPs))
}

func checkContainer(w *spec.PortRequest) error {
	switch {
	case !w.Container4.IsValid() && !w.Container6.IsValid():
		return errors.New("the endpoint has no address")
	case w.Container4.IsValid() && !w.Container4.Is4():
		return fmt.Errorf("container address %s is no IPv4 address", w.Container4)
	case w.Container6.IsValid() && (!w.Container6.Is6() || w.Container6.Is4In6()):
		return fmt.Errorf("container address %s is no IPv6 address", w.Container6)
	}
	return nil
}

func checkHostIPs(ips []netip.Addr) error {
	for i, ip := range ips {
		if !ip.IsValid() || ip.Is4In6() || ip.Zone() != "" || ip.IsMulticast() {
			return fmt.Errorf("cannot publish on host address %s: use a unicast address without a zone", ip)
		}
		if slices.ContainsFunc(ips[:i], func(o netip.Addr) bool { return overlap(o, ip) }) {
			return fmt.Errorf("host addresses %v are one another's: name each once, or every address by itself", ips)
		}
	}
	return nil
}

// targetOf prefers the container's address of the host address's family.
func targetOf(w *spec.PortRequest, host netip.Addr) target {
	same, other := w.Container4, w.Container6
	if host.Is6() {
		same, other = other, same
	}
	if !same.IsValid() {
		same = other
	}
	return target{ip: same, port: w.ContainerPort, endpoint: w.Endpoint, whole: w.ByDaemon}
}

// servable says why an address cannot be published on, nil if it can.
func servable(proto spec.Protocol, e end, ipv6 *ipv6Probe) error {
	if e.ip.Is6() && !ipv6.present() {
		return fmt.Errorf("host has no IPv6, so nothing can be published on %s: enable it or publish on an IPv4 address", e.ip)
	}
	if proto == spec.SCTP && (e.to.whole || e.ip.Is4() != e.to.ip.Is4() || e.ip == netip.IPv6Loopback()) {
		return fmt.Errorf("sctp on %s cannot lead to %s without a relay, which sctp does not have: publish on another host address", e.ip, e.to.ip)
	}
	return nil
}

// ipv6Probe finds out whether the host has IPv6, once in a call: a look costs more
// than a socket. It may be turned off, or on, at any time.
type ipv6Probe struct{ asked, known bool }

// present says whether any link has an IPv6 address. Binding [::] would tell
// less: it succeeds on a host whose links all have disable_ipv6=1.
func (s *ipv6Probe) present() bool {
	if s.asked {
		return s.known
	}
	s.asked = true
	f, err := os.Open("/proc/thread-self/net/if_inet6")
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	_, err = io.ReadFull(f, make([]byte, 1))
	s.known = err == nil
	return s.known
}
