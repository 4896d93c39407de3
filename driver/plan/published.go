package plan

import (
	"net/netip"
	"slices"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// ByNAT says whether address translation serves the run at all. The kernel
// routes nothing from ::1 to another link, and translates between no families.
func ByNAT(p spec.Published) bool {
	return !p.Relayed() && (p.HostIP.Is4() || !p.HostIP.IsLoopback())
}

// translatedPorts returns the published ports that lead to the container by address
// translation.
func translatedPorts(n *model.Network, e *model.Endpoint) (ports []firewall.Port) {
	for _, run := range e.Published {
		if ByNAT(run) {
			ports = append(ports, firewall.Port{NetworkID: n.ID, EndpointID: e.ID, Published: run})
		}
	}
	return ports
}

// keptPorts returns the UDP ports that the container publishes as they are, to
// whomever, as far as its network masquerades.
func keptPorts(n *model.Network, e *model.Endpoint) []firewall.PreservedPorts {
	if !n.Options.Masquerade {
		return nil
	}
	var runs []spec.Published
	for _, r := range e.Published {
		// Another address of the host may have that port for somebody else.
		mine := r.HostIP.IsUnspecified() || r.HostIP == SourceAddress(n, r.HostIP.Is6())
		if r.ContainerIP.Is6() && n.Options.Prefix.Follow { // it keeps all its ports
			continue
		}
		if r.Proto == spec.UDP && r.First == r.ContainerFirst && ByNAT(r) && mine {
			r.HostIP = r.ContainerIP // as that of the other family
			runs = append(runs, r)
		}
	}
	var kept []firewall.PreservedPorts
	for _, r := range spec.Coalesce(runs) {
		kept = append(kept, firewall.PreservedPorts{
			NetworkID: n.ID, EndpointID: e.ID, Addr: r.ContainerIP, Source: SourceAddress(n, r.ContainerIP.Is6()), First: r.First, Last: r.Last,
		})
	}
	return kept
}

// OpenPorts returns the published ports that are reached by the container's own
// address: in gateway mode routed by anyone, on whichever of the container's
// networks it is published; in mode nat by the trusted links. A port that was
// published on a loopback address was meant for nobody else.
func OpenPorts(n *model.Network, e *model.Endpoint) []firewall.Open {
	if n.Unrouted() {
		return nil
	}
	var open []firewall.Open
	for _, addr := range e.Addrs() {
		if !model.Forwarded(addr) {
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
