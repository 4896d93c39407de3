package plan

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// PortRequests says which host addresses and ports the endpoints that publish a container's
// ports need: latest is the id of the one that was asked last, empty if nobody asked.
// networks are those of the endpoints, by id.
func PortRequests(all []*model.Endpoint, networks map[string]*model.Network, latest string) (requests []spec.PortRequest) {
	serves := serving(all, latest)
	for _, e := range all {
		requests = append(requests, requestsOf(networks[e.NetworkID], e, serves[e.ID])...)
	}
	return requests
}

// requestsOf turns what the user asked for into host addresses and ports.
func requestsOf(n *model.Network, e *model.Endpoint, of families) []spec.PortRequest {
	if n.Unrouted() || len(e.Addrs()) == 0 {
		return nil
	}
	four, six := e.Reached()
	if !four.IsValid() && !six.IsValid() {
		return nil
	}
	want := e.Publish
	out := make([]spec.PortRequest, 0, len(want.Bindings))
	for _, b := range want.Bindings {
		hosts := slices.DeleteFunc(hostIPs(n, b.HostIP), func(a netip.Addr) bool { return !of.has(a) })
		implied := !b.HostIP.IsValid()
		if !six.IsValid() && (want.NoProxy6To4 || implied && spec.Protocol(b.Proto) == spec.SCTP) {
			// Another endpoint of the container serves its IPv6 ports; or a relay
			// would have to, which SCTP has none of and nobody asked for.
			hosts = slices.DeleteFunc(hosts, netip.Addr.Is6)
		}
		if implied && !four.IsValid() {
			// As with docker, IPv4 leads to an endpoint without it only where an
			// address was named: another endpoint of the container may serve the
			// IPv4 ports, and the engine does not tell.
			hosts = slices.DeleteFunc(hosts, netip.Addr.Is4)
		}
		if len(hosts) == 0 {
			continue
		}
		out = append(out, spec.PortRequest{
			Proto:         spec.Protocol(b.Proto),
			HostIPs:       hosts,
			First:         b.HostPort,
			Last:          b.HostPortEnd,
			Container4:    four,
			Container6:    six,
			Endpoint:      e.ID,
			ContainerPort: b.Port,
			ByDaemon:      n.Steered(),
		})
	}
	return out
}

// hostIPs says on which host addresses a binding is published: the one that
// was asked for, else the network's defaults, else every address of both
// families, as docker does. A family that is routed has no host ports.
func hostIPs(n *model.Network, asked netip.Addr) []netip.Addr {
	four, six := n.Options.HostBindings(false), n.Options.HostBindings(true)
	var all []netip.Addr
	switch {
	case asked.IsValid():
		all = []netip.Addr{asked}
	case len(four) > 0:
		all = append(four, six...)
	case len(six) > 0:
		all = append([]netip.Addr{netip.IPv4Unspecified()}, six...)
	default:
		all = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	return slices.DeleteFunc(all, func(a netip.Addr) bool { return n.Options.Mode(a.Is6()) == config.Routed })
}

// families are those of host addresses.
type families struct{ four, six bool }

func (f families) has(a netip.Addr) bool { return a.Is4() && f.four || a.Is6() && f.six }

// serving says which host addresses each of the endpoints that publish a container's
// ports serves. Of two gateways, the one that is asked first has one family alone, or
// it would be the gateway of both: that family is its, and the other one the other's.
// Where several could serve a family all the same, it is the latest that was asked;
// without it, who serves it already. A family that nobody has is relayed.
func serving(all []*model.Endpoint, latest string) map[string]families {
	out := map[string]families{}
	for _, four := range []bool{true, false} {
		e := server(all, latest, four)
		if e == nil {
			continue
		}
		f := out[e.ID]
		f.four, f.six = f.four || four, f.six || !four
		out[e.ID] = f
	}
	return out
}

// server chooses the endpoint that serves a family, nil if there is none at all.
func server(all []*model.Endpoint, latest string, four bool) *model.Endpoint {
	ranks := func(e *model.Endpoint) (family, time int) {
		has, other := e.IPv4.IsValid(), e.IPv6.IsValid()
		if !four {
			has, other = other, has
		}
		switch {
		case !has:
			family = 2
		case other:
			family = 1
		}
		switch {
		case e.ID == latest:
		case slices.ContainsFunc(e.Published, func(r spec.Published) bool { return r.HostIP.Is4() == four }):
			time = 1
		default:
			time = 2
		}
		return family, time
	}
	if len(all) == 0 {
		return nil
	}
	return slices.MinFunc(all, func(a, b *model.Endpoint) int {
		familyA, timeA := ranks(a)
		familyB, timeB := ranks(b)
		return cmp.Or(cmp.Compare(familyA, familyB), cmp.Compare(timeA, timeB), strings.Compare(a.ID, b.ID))
	})
}
