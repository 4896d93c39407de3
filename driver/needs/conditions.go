// Package needs says what networks need of the host that Gangway does not make itself: an
// address, a link, a way to a container, source ports, and routes that nobody's rules divert.
//
// It asks the host, and tells in words what is not met and what to do about it. It refuses to
// make what is missing, and to overrule what the administrator has set.
package needs

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// Condition is what a network needs of the host that Gangway does not make itself:
// an address or a link that has to be there, or the host's way to a container. It
// may come and go at any time, so that a network without it is not refused: an
// engine that starts asks for its networks before the host has all its links.
type Condition struct {
	// address has to be one of the host's, link the name of one of its links; the
	// way to reach has to lead by the bridge. Each is empty where it does not matter.
	address netip.Addr
	link    string
	reach   netip.Addr
	bridge  string
	// unmet says what is missing, what does not work without it, and what to do.
	unmet cause.Cause
}

// unmet is the cause that something a network needs is missing.
func unmet(what, why, do string) cause.Cause {
	return cause.Cause{Code: cause.Unmet, State: cause.Degraded, What: what, Why: why, Do: do}
}

// unknown is the cause that the host does not tell.
func unknown(err error) cause.Cause {
	return unmet(err.Error(), "whether the host has what networks need is not known", "see the kernel's log (dmesg); it is asked again")
}

// Of lists what the networks of a state need, in no order.
func Of(s *model.State) (all []Condition) {
	for _, n := range s.Networks {
		all = append(all, byOptions(n)...)
		if n.Unrouted() {
			continue
		}
		if n.Steered() && s.GatewayOf(n) == nil && len(s.Members[n.ID]) > 0 {
			all = append(all, noGateway(n))
		}
		if c := wayIn(s, n); c.bridge != "" {
			all = append(all, c)
		}
		if !n.Subnet4.IsValid() && !model.Forwarded(n.Subnet6.Addr()) {
			all = append(all, unpublished(s, n)...)
		}
	}
	return all
}

// noGateway is the condition of a network whose gateway is not there.
func noGateway(n *model.Network) Condition {
	do := "start a container of that name on the network; an engine has to say that it is called so (GANGWAY_ENGINE)"
	if _, addr := config.ParseGateway(n.Options.Gateway); addr.IsValid() {
		do = fmt.Sprintf("start a container with that address on the network (--ip %s)", addr)
	}
	return Condition{unmet: unmet(fmt.Sprintf("%s has the option gangway.gateway=%s, and no such container is on it", n, n.Options.Gateway), "nothing leaves the network", do)}
}

// OfPrefixes lists networks that have no prefix of the host's, by which they would be known outside.
func OfPrefixes(s *model.State, prefixes []spec.HostPrefix) (all []Condition) {
	for _, n := range s.Networks {
		want := n.Options.Prefix
		if !want.Follow || plan.OutsidePrefix(s, n, prefixes).IsValid() {
			continue
		}
		do := "have the host's DHCPv6 client ask for a prefix (ip -6 route show type unreachable has it then), name the link that has one with gangway.ipv6.prefix, or choose a gangway.ipv6.subnet in which no link of the host has an address"
		if want.From != config.Delegated {
			do = fmt.Sprintf("see ip -6 address show dev %s scope global: a prefix of less than %d bits is needed, and in it a gangway.ipv6.subnet that no other network has, and no address of the host", want.From, n.Subnet6.Bits())
		}
		all = append(all, Condition{unmet: unmet(
			fmt.Sprintf("%s has the option gangway.ipv6=prefix, and the host has no %s prefix for it", n, want.From),
			"nothing leaves the network by IPv6", do)})
	}
	return all
}

// OfUsers lists addresses outside that somebody else has where the host would answer for them.
func OfUsers(s *model.State, f plan.Facts) (all []Condition) {
	for o, p := range plan.AnsweredOutside(s, f.Prefixes) {
		user := f.Users[p.Nameless()]
		if user == "" {
			continue
		}
		all = append(all, Condition{unmet: unmet(
			fmt.Sprintf("endpoint %s on %s is %s outside, and %s has that address on link %s", model.Short(o.ID), s.Networks[o.Network], p.Address, user, p.Link),
			"the host does not answer for it there: the container is not reached, and gets no answers, by IPv6", "take the address from whoever has it, start the container with another --ip6, or create the network with another gangway.ipv6.subnet")})
	}
	return all
}

// unpublished lists the endpoints whose ports have no address to lead to.
func unpublished(s *model.State, n *model.Network) (all []Condition) {
	for _, e := range s.Members[n.ID] {
		if len(e.Publish.Bindings) > 0 {
			all = append(all, Condition{unmet: unmet(
				fmt.Sprintf("the ports of endpoint %s on %s are not published", model.Short(e.ID), n),
				fmt.Sprintf("its only address %s is link-local and reaches as far as the bridge", e.IPv6.Addr()),
				"give the network IPv4 or another IPv6 subnet")})
		}
	}
	return all
}

// byOptions lists what the network's options name of the host.
func byOptions(n *model.Network) (all []Condition) {
	for _, o := range []struct {
		name   string
		addrs  []netip.Addr
		effect string
	}{
		{"com.docker.network.host_ipv4", []netip.Addr{n.Options.Host4}, "what leaves the network by IPv4 gets no answers"},
		{"com.docker.network.host_ipv6", []netip.Addr{n.Options.Host6}, "what leaves the network by IPv6 gets no answers"},
		{"com.docker.network.bridge.host_binding_ipv4", n.Options.HostBindings(false), "no container can publish ports there"},
		{"gangway.host_binding_ipv6", n.Options.HostBindings(true), "no container can publish ports there"},
	} {
		for _, a := range o.addrs {
			if a.IsValid() && !a.IsLoopback() {
				all = append(all, Condition{address: a, unmet: unmet(
					fmt.Sprintf("%s has the option %s, and the host has no address %s", n, o.name, a), o.effect,
					"add the address to the host, or create the network with another one")})
			}
		}
	}
	if n.Proxied() {
		all = append(all, Condition{link: n.Options.NDPProxy, unmet: unmet(
			fmt.Sprintf("%s has the option gangway.ndp_proxy, and the host has no interface %s", n, n.Options.NDPProxy),
			"routers and neighbours there do not find the containers", "create the interface: it is used as soon as it is there")})
	}
	for _, name := range n.Options.TrustedInterfaces() {
		all = append(all, Condition{link: name, unmet: unmet(
			fmt.Sprintf("%s has the option com.docker.network.bridge.trusted_host_interfaces, and the host has no interface %s", n, name),
			"nothing comes from there", "create the network with another one")})
	}
	return all
}

// wayIn is the condition of IPv4 ports on a network whose bridge gets no address:
// somebody else has to give the host a way to the containers.
func wayIn(s *model.State, n *model.Network) Condition {
	if !n.Options.InhibitIPv4 {
		return Condition{}
	}
	var first netip.Addr
	for _, e := range s.Members[n.ID] {
		leads := slices.ContainsFunc(e.Published, func(r spec.Published) bool { return r.ContainerIP.Is4() })
		if a := e.IPv4.Addr(); leads && (!first.IsValid() || a.Less(first)) {
			first = a
		}
	}
	if !first.IsValid() {
		return Condition{}
	}
	return Condition{reach: first, bridge: n.Bridge, unmet: unmet(
		fmt.Sprintf("%s has the option com.docker.network.bridge.inhibit_ipv4, and the host has no way to %s by the bridge", n, first),
		"published ports lead nowhere", fmt.Sprintf("give the bridge an address of %s, or publish none", n.Subnet4))}
}

// minHigh is how few ports for what goes out are told of.
const minHigh = 1024

// OfSourcePorts tells of few ports that are left for what goes out. problem is why it is not
// known on which ports the host listens; empty if it is.
func OfSourcePorts(ports []plan.SourcePorts, problem string) (all []Condition) {
	if problem != "" {
		all = append(all, Condition{unmet: unmet(
			fmt.Sprintf("on which ports from %d on the host listens is not known: %s", firewall.FirstHighPort, problem),
			"what a container sends out may get such a port as its source, and take what comes to it", "see the kernel's log (dmesg); it is asked again")})
	}
	for _, r := range ports {
		switch {
		case r.None:
			all = append(all, Condition{unmet: unmet(
				fmt.Sprintf("each %s port from %d on is published, or the host listens on it", r.Proto, firewall.FirstHighPort),
				"what a container sends out gets such a port as its source, and may take what comes to it", "publish fewer ports there")})
		case r.Len() < minHigh:
			all = append(all, Condition{unmet: unmet(
				fmt.Sprintf("only %d %s source ports (%d-%d) are left for what containers send out, and so many flows to one address and port", r.Len(), r.Proto, r.First, r.Last),
				fmt.Sprintf("the others from %d on lie between ports that are published or that the host listens on", firewall.FirstHighPort), "publish fewer there")})
		}
	}
	return all
}

// Host answers what conditions ask of the host. Package link is the real one.
type Host interface {
	// HostAddresses returns the addresses of all links of the host.
	HostAddresses(ctx context.Context) (map[netip.Addr]bool, error)
	// HasLink says whether the host has a link of that name.
	HasLink(ctx context.Context, name string) (bool, error)
	// LinkTo names the link by which the host reaches an address; empty for none.
	LinkTo(ctx context.Context, addr netip.Addr) (string, error)
}

// Unmet asks the host, and returns a cause for each condition that is not met.
func Unmet(ctx context.Context, host Host, all []Condition) (causes []cause.Cause) {
	if len(all) == 0 {
		return nil
	}
	have, err := host.HostAddresses(ctx)
	if err != nil {
		return []cause.Cause{unknown(err)}
	}
	for _, c := range all {
		met, err := met(ctx, host, c, have)
		switch {
		case err != nil:
			causes = append(causes, unknown(err))
		case !met:
			causes = append(causes, c.unmet)
		}
	}
	return causes
}

func met(ctx context.Context, host Host, c Condition, have map[netip.Addr]bool) (bool, error) {
	switch {
	case c.address.IsValid():
		return have[c.address], nil
	case c.link != "":
		return host.HasLink(ctx, c.link)
	case c.reach.IsValid():
		by, err := host.LinkTo(ctx, c.reach)
		return by == c.bridge, err
	}
	return false, nil
}
