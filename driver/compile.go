package driver

import (
	"net"
	"net/netip"
	"slices"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// plan is what should be there, in no order. An object that several owners need is in
// it several times.
type plan []spec.Object

func (p *plan) add(objects ...spec.Object) { *p = append(*p, objects...) }

// addAll adds objects of one type.
func addAll[T spec.Object](p *plan, objects []T) {
	for _, o := range objects {
		p.add(o)
	}
}

// of returns the objects of a type.
func of[T spec.Object](p plan) (all []T) {
	for _, o := range p {
		if t, is := o.(T); is {
			all = append(all, t)
		}
	}
	return all
}

// rules are the objects that are rules of the firewall.
func (p plan) rules() (r firewall.Ruleset) {
	for _, o := range p {
		r.Add(o)
	}
	return r
}

// facts are what the kernel says and nobody stores, and what plans depend on.
type facts struct {
	// outside are the links that lead outside, sorted.
	outside []spec.Outside
	// closed are the families that the host forwards for gangway's sake alone.
	closed firewall.Families
	// high are the ranges of source ports for what goes out, of protocols that have not
	// all high ports.
	high []firewall.HighPorts
	// unclaimed says that containers of networks that the state does not know use the
	// rules, too.
	unclaimed bool
}

// compile says what the kernel should contain for a whole state and these facts. It
// is pure and total: two equal states give the same objects.
func compile(s *state, f facts) plan {
	var p plan
	for _, n := range s.networks {
		p.addNetwork(n)
		for _, e := range s.members[n.ID] {
			p.addEndpoint(n, e)
			p.addDirect(s, n, e)
		}
	}
	for sandbox := range s.sandboxes {
		p.addHostPorts(s, sandbox)
	}
	p.add(compileFacts(s, f)...)
	return p
}

// compileFacts says what the networks have in common, and what outlives them.
func compileFacts(s *state, f facts) plan {
	common := firewall.Ruleset{Closed: f.closed}
	if len(s.networks) > 0 || f.unclaimed || f.closed != (firewall.Families{}) {
		common.Outside = f.outside
	}
	if len(s.networks) > 0 || f.unclaimed {
		common.HighPorts = f.high
	}
	return common.All()
}

// addAround adds what the objects of a change contribute together with others that
// are there: side says which of the two the state is.
func (p *plan) addAround(s *state, c change, side func(endpointChange) *Endpoint) {
	for _, e := range c.endpoints {
		if e := side(e); e != nil && s.networks[e.NetworkID] != nil {
			p.addDirect(s, s.networks[e.NetworkID], e)
		}
	}
	for sandbox := range c.sandboxes() {
		p.addHostPorts(s, sandbox)
	}
}

// addHostPorts adds what the endpoints of a container have of the host's ports, if they
// have any.
func (p *plan) addHostPorts(s *state, sandbox string) {
	if ports := s.hostPorts(sandbox); len(ports.Runs) > 0 {
		p.add(ports)
	}
}

// hostPorts are those of a container; without runs if it has none.
func (s *state) hostPorts(sandbox string) spec.HostPorts {
	ports := spec.HostPorts{Sandbox: sandbox}
	for _, e := range s.sandboxes[sandbox] {
		for _, r := range e.Published {
			ports.Runs = append(ports.Runs, spec.EndpointRun{EndpointID: e.ID, Published: r})
		}
	}
	slices.SortFunc(ports.Runs, func(a, b spec.EndpointRun) int { return spec.ComparePublished(a.Published, b.Published) })
	return ports
}

// compileChange adds what the kernel should contain for the objects of c themselves
// before and after it. networks are those that c's endpoints are on, by id.
func compileChange(c change, networks map[string]*Network, before, after *plan) {
	if c.network.before != nil {
		before.addNetwork(c.network.before)
	}
	if c.network.after != nil {
		after.addNetwork(c.network.after)
	}
	for _, e := range c.endpoints {
		network := networks[e.network()]
		if e.before != nil {
			before.addEndpoint(network, e.before)
		}
		if e.after != nil {
			after.addEndpoint(network, e.after)
		}
	}
}

// addNetwork adds what a network contributes by itself.
func (p *plan) addNetwork(n *Network) {
	p.add(n.link(), n.policy())
	if !n.Adopted {
		p.add(spec.Zone{Bridge: n.Bridge})
	}
}

// link is the network's bridge.
func (n *Network) link() spec.Bridge {
	return spec.Bridge{
		Name:      n.Bridge,
		NetworkID: n.ID,
		MTU:       n.Options.MTU,
		Addresses: n.bridgeAddresses(),
		Adopted:   n.Adopted,
		IPv6:      n.Subnet6.IsValid() && n.Options.Mode(true) != config.Isolated,
		Localnet:  n.translates4(),
	}
}

// translates4 says whether the network's containers may be reached by ports of
// the host's IPv4 addresses, 127.0.0.1 among them.
func (n *Network) translates4() bool {
	return n.Subnet4.IsValid() && !n.Options.Internal && n.Options.Mode(false).Translated()
}

// bridgeAddresses returns the gateway addresses that are the bridge's own.
func (n *Network) bridgeAddresses() []netip.Prefix {
	return slices.DeleteFunc(n.gateways(), func(p netip.Prefix) bool {
		six := p.Addr().Is6()
		return n.Options.Mode(six) == config.Isolated || !six && n.Options.InhibitIPv4
	})
}

// policy is what the firewall has to know about the network.
func (n *Network) policy() firewall.Network {
	fw := firewall.Network{
		ID:       n.ID,
		Bridge:   n.Bridge,
		Internal: n.Options.Internal,
		ICC:      n.Options.ICC,
	}
	for _, subnet := range n.subnets() {
		// Each link has IPv6 link-local addresses.
		if a := subnet.Addr(); a.Is4() || !a.IsLinkLocalUnicast() {
			fw.Subnets = append(fw.Subnets, subnet)
		}
	}
	if n.Options.Internal {
		return fw
	}
	for _, subnet := range n.forwarded() {
		mode := n.Options.Mode(subnet.Addr().Is6())
		if mode == config.Routed {
			fw.Routed = fw.Routed.With(firewall.Family(subnet.Addr().Is6()))
			continue
		}
		fw.Hairpin = append(fw.Hairpin, subnet)
		if n.Options.Masquerade {
			fw.Masquerade = append(fw.Masquerade, subnet)
		}
		if mode == config.NATUnprotected {
			fw.Unprotected = fw.Unprotected.With(firewall.Family(subnet.Addr().Is6()))
		}
	}
	for _, six := range []bool{false, true} {
		if a := n.source(six); a.IsValid() {
			fw.Source = append(fw.Source, a)
		}
	}
	return fw
}

// source is the address that outgoing traffic of a family takes; invalid for that of
// the link that it leaves by.
func (n *Network) source(six bool) netip.Addr {
	if six {
		return n.Options.Host6
	}
	return n.Options.Host4
}

// addEndpoint adds what an endpoint of n contributes by itself.
func (p *plan) addEndpoint(n *Network, e *Endpoint) {
	p.add(e.link(n))
	if e.Sandbox == "" {
		return
	}
	for _, six := range []bool{false, true} {
		if e.needsForwarding(n, six) {
			p.add(spec.Forwarding{Six: six})
		}
	}
	for _, run := range e.Published {
		if byNAT(run) {
			p.add(firewall.Port{NetworkID: n.ID, EndpointID: e.ID, Published: run})
		}
	}
	addAll(p, openPorts(n, e))
	addAll(p, keptPorts(n, e))
}

// needsForwarding says whether packets of a family must pass from link to link.
func (e *Endpoint) needsForwarding(n *Network, six bool) bool {
	return e.Sandbox != "" && !n.Options.Internal && (!six && e.IPv4.IsValid() || six && forwarded(e.IPv6.Addr()))
}

// link is the endpoint's pair on network n. One that is in no container is an address,
// and a pair that is cut off, if it has one still.
func (e *Endpoint) link(n *Network) spec.Veth {
	if e.Sandbox == "" {
		return spec.Veth{EndpointID: e.ID, Host: vethHost(e.ID), Peer: vethPeer(e.ID), Detached: true}
	}
	var reserved []netip.Prefix
	if n.Options.AntiSpoofing != config.SpoofingAllowed {
		reserved = n.subnets()
	}
	return spec.Veth{
		EndpointID: e.ID,
		Host:       vethHost(e.ID),
		Peer:       vethPeer(e.ID),
		Bridge:     n.Bridge,
		MAC:        net.HardwareAddr(e.MAC),
		Addresses:  e.addrs(),
		MTU:        n.Options.MTU,
		Reserved:   reserved,
		Isolated:   !n.Options.ICC,
	}
}

// keptPorts returns the UDP ports that the container publishes as they are, to
// whomever, as far as its network masquerades.
func keptPorts(n *Network, e *Endpoint) []firewall.Keep {
	if !n.Options.Masquerade {
		return nil
	}
	var runs []spec.Published
	for _, r := range e.Published {
		// Another address of the host may have that port for somebody else.
		mine := r.HostIP.IsUnspecified() || r.HostIP == n.source(r.HostIP.Is6())
		if r.Proto == spec.UDP && r.First == r.ContainerFirst && byNAT(r) && mine {
			r.HostIP = r.ContainerIP // as that of the other family
			runs = append(runs, r)
		}
	}
	var kept []firewall.Keep
	for _, r := range spec.Coalesce(runs) {
		kept = append(kept, firewall.Keep{
			NetworkID: n.ID, EndpointID: e.ID, Addr: r.ContainerIP, Source: n.source(r.ContainerIP.Is6()), First: r.First, Last: r.Last,
		})
	}
	return kept
}

// addDirect adds what follows from the container of an endpoint being on other
// networks as well: clients there must get its answers by way of the host if they
// asked for a port that is published here, and the other way round.
func (p *plan) addDirect(s *state, n *Network, e *Endpoint) {
	if e.Sandbox == "" {
		return
	}
	for _, o := range s.sandboxes[e.Sandbox] {
		other := s.networks[o.NetworkID]
		if other == nil || other.ID == n.ID {
			continue
		}
		addAll(p, direct(other, n, e))
		addAll(p, direct(n, other, o))
	}
}

// direct says which clients of a network an endpoint of another one reaches directly.
func direct(clients, n *Network, e *Endpoint) (all []firewall.Direct) {
	if n.Options.Internal || clients.Options.Internal {
		return nil
	}
	for _, addr := range e.addrs() {
		for _, subnet := range clients.subnets() {
			if subnet.Addr().Is6() == addr.Is6() {
				all = append(all, firewall.Direct{NetworkID: n.ID, EndpointID: e.ID, Clients: subnet, Addr: addr})
			}
		}
	}
	return all
}

// openPorts returns the published ports that are reached by the container's own
// address: in gateway mode routed by anyone, on whichever of the container's
// networks it is published; in mode nat by the trusted links. A port that was published on a loopback address was meant for nobody else.
func openPorts(n *Network, e *Endpoint) []firewall.Open {
	if n.Options.Internal {
		return nil
	}
	var open []firewall.Open
	for _, addr := range e.addrs() {
		if !forwarded(addr) {
			continue
		}
		var from []string
		bindings := e.Publish.Bindings
		switch n.Options.Mode(addr.Is6()) {
		case config.Routed:
			from, bindings = []string{""}, slices.Concat(bindings, e.Asked)
		case config.NAT:
			from = n.Options.TrustedInterfaces()
		}
		if len(from) == 0 {
			continue
		}
		for _, run := range containerPorts(bindings, addr) {
			for _, link := range from {
				open = append(open, firewall.Open{
					NetworkID: n.ID, EndpointID: e.ID, Bridge: n.Bridge, From: link,
					Proto: run.Proto, Addr: addr, First: run.First, Last: run.Last,
				})
			}
		}
	}
	return open
}

// containerPorts returns what bindings publish as runs of the container's ports.
func containerPorts(bindings []config.PortBinding, addr netip.Addr) []spec.Published {
	var runs []spec.Published
	for _, b := range bindings {
		asked := b.HostIP
		if asked.IsValid() && (asked.IsLoopback() || asked.Is6() != addr.Is6()) {
			continue
		}
		runs = append(runs, spec.Published{
			Proto: spec.Protocol(b.Proto), HostIP: addr, First: b.Port, Last: b.Port, ContainerIP: addr, ContainerFirst: b.Port,
		})
	}
	return spec.Coalesce(runs)
}

// byNAT says whether address translation serves the run at all. The kernel
// routes nothing from ::1 to another link, and translates between no families.
func byNAT(p spec.Published) bool {
	return !p.Relayed() && (p.HostIP.Is4() || !p.HostIP.IsLoopback())
}

// vethHost names the end on the bridge, vethPeer the container's. Both have
// at most 15 bytes, the kernel's limit.
func vethHost(endpointID string) string { return "gv-" + short(endpointID) }

func vethPeer(endpointID string) string { return "gp-" + short(endpointID) }

// bridgeName names the bridge of a network whose user did not.
func bridgeName(networkID string) string { return spec.BridgePrefix + short(networkID) }
