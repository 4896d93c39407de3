package plan

import (
	"net/netip"

	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// Of a network whose subnet is on-link at a link of the host, routers and neighbours there ask for each
// address by neighbour discovery. The host answers for those that containers have: one entry for each, which comes
// and goes with its endpoint. The rejected alternative, a program that answers for the whole subnet, would claim
// addresses of others on that link. To answer opens nothing: what passes is the firewall's to say.

// Of a network that is translated into the prefix of a link, others there ask for the addresses that containers are known by
// outside. Which these are follows the prefix, and nobody has chosen them for that link: the host answers for one
// only when it has been asked for there, and nobody else has it.

// NDPProxy is the link by which the host answers for a network's addresses, if there is to be one. outside is as
// in OutsidePrefix.
func NDPProxy(n *model.Network, outside netip.Prefix) (p spec.NDPProxy, there bool) {
	if !n.Proxied() {
		return p, false
	}
	return spec.NDPProxy{Link: n.Options.NDPProxy, NetworkID: n.ID, Subnet: n.Subnet6, Outside: outside}, true
}

// Proxied is the endpoint's address for which the host answers, if it does. One that is in no container is
// answered for by nobody. unused is as Facts.unused says.
func Proxied(n *model.Network, e *model.Endpoint, outside netip.Prefix, unused bool) (p spec.Proxied, there bool) {
	p, there = proxiable(n, e, outside)
	if !there || e.Sandbox == "" || n.Options.Prefix.Follow && !unused {
		return spec.Proxied{}, false
	}
	return p, true
}

// proxiable is the address by which others ask for an endpoint on a link, if they do.
func proxiable(n *model.Network, e *model.Endpoint, outside netip.Prefix) (p spec.Proxied, there bool) {
	if !n.Proxied() || !e.IPv6.IsValid() {
		return p, false
	}
	a := e.IPv6.Addr()
	if n.Options.Prefix.Follow {
		a = Translated(a, outside)
	}
	return spec.Proxied{EndpointID: e.ID, Link: n.Options.NDPProxy, Address: a}, a.IsValid()
}

// unused says whether nobody else has an address, as far as it has been asked for.
func (f Facts) unused(p spec.Proxied) bool {
	user, asked := f.Users[p.Nameless()]
	return asked && user == ""
}

// ProxiedOf are the addresses of a network's containers for which the host answers. With doubtful those are among them that nobody has
// asked for yet: they may be answered for since before a restart.
func ProxiedOf(s *model.State, n *model.Network, f Facts, doubtful bool) (all []spec.Proxied) {
	if !n.Proxied() {
		return nil
	}
	outside := OutsidePrefix(s, n, f.Prefixes)
	for _, e := range s.Members[n.ID] {
		may, _ := proxiable(n, e, outside)
		_, asked := f.Users[may.Nameless()]
		if p, there := Proxied(n, e, outside, f.unused(may) || doubtful && !asked); there {
			all = append(all, p)
		}
	}
	return all
}

// AnsweredOutside are the addresses that endpoints are known by on links where the host may answer for them, whoever has
// them there. An endpoint that is in no container yet is about to be in one.
func AnsweredOutside(s *model.State, prefixes []spec.HostPrefix) map[Owner]spec.Proxied {
	all := map[Owner]spec.Proxied{}
	for _, n := range s.Networks {
		if !n.Proxied() || !n.Options.Prefix.Follow {
			continue
		}
		outside := OutsidePrefix(s, n, prefixes)
		for _, e := range s.Members[n.ID] {
			if p, there := proxiable(n, e, outside); there {
				all[Owner{OfEndpoint, n.ID, e.ID}] = p
			}
		}
	}
	return all
}

// AskedOutside is the address outside by which others ask on a link for an endpoint that is not in the state yet, if they do.
func AskedOutside(s *model.State, n *model.Network, e *model.Endpoint, prefixes []spec.HostPrefix) (p spec.Proxied, there bool) {
	if !n.Options.Prefix.Follow {
		return p, false
	}
	return proxiable(n, e, OutsidePrefix(s, n, prefixes))
}
