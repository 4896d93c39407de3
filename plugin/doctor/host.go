package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/plugin"
)

// maxPorts is the kernel's limit (BR_MAX_PORTS), without port 0.
const maxPorts = 1023

// full says that nine tenths are used.
func full(n, limit int) bool { return limit > 0 && n >= limit-limit/10 }

// host says what the host lacks or runs out of.
func (f Facts) host(t Target) (all []Finding) {
	h := f.Host
	if n, limit := h.Settings[flows], h.Settings[flowLimit]; full(n, limit) {
		all = append(all, Finding{fmt.Sprintf("the connection table has %d of %d entries, and refuses new connections when it is full", n, limit), "raise net.netfilter.nf_conntrack_max"})
	}
	if full(f.State.Files, f.State.FileLimit) {
		all = append(all, Finding{fmt.Sprintf("the daemon has %d of %d files open, one for each published port", f.State.Files, f.State.FileLimit), "raise LimitNOFILE of gangway.service"})
	}
	for _, n := range f.State.Networks {
		if h.Links == nil {
			break
		}
		l, known := h.Links[n.Bridge]
		if (!known || !l.Up) && n.Endpoints > 0 {
			all = append(all, Finding{"bridge " + n.Bridge + " is missing or down", "gangway mends it within seconds; if not, see gangway events"})
		}
		all = append(all, h.crowded(n)...)
		all = append(all, f.large(n, l)...)
	}
	return append(all, f.forwarding(t)...)
}

// crowded says that a network takes hardly any further containers. One that can have further bridges has more
// room than the first one has ports.
func (h Host) crowded(n plugin.Network) []Finding {
	const cure = "put further containers on another network"
	if n.Room > maxPorts {
		if full(n.Endpoints, n.Room) {
			return []Finding{{fmt.Sprintf("the network of bridge %s has %d of %d containers", n.Bridge, n.Endpoints, n.Room), cure}}
		}
		return nil
	}
	if ports := h.ports(n.Bridge); full(ports, maxPorts) {
		return []Finding{{fmt.Sprintf("bridge %s has %d of %d ports", n.Bridge, ports, maxPorts), cure}}
	}
	return nil
}

// ports counts the links that are ports of a bridge.
func (h Host) ports(bridge string) (n int) {
	for _, l := range h.Links {
		if l.Master == bridge {
			n++
		}
	}
	return n
}

// large says that packets of a network are too large for the way.
func (f Facts) large(n plugin.Network, bridge Link) (all []Finding) {
	if n.Internal || bridge.MTU == 0 {
		return nil
	}
	const cure = "create the network with -o com.docker.network.driver.mtu=%d, or auto: large packets other than TCP's get lost where ICMP is filtered"
	for _, name := range f.Host.Uplinks {
		if up := f.Host.Links[name]; up.MTU > 0 && bridge.MTU > up.MTU {
			all = append(all, Finding{fmt.Sprintf("bridge %s has an MTU of %d and %s, the way out, %d", n.Bridge, bridge.MTU, name, up.MTU), fmt.Sprintf(cure, up.MTU)})
		}
	}
	for _, e := range f.State.Endpoints {
		for _, a := range e.Addresses {
			w := f.Client.Answers[a.Addr()]
			if e.NetworkID == n.ID && w.MTU > 0 && w.MTU < bridge.MTU {
				all = append(all, Finding{fmt.Sprintf("bridge %s has an MTU of %d, and the way to %s %d", n.Bridge, bridge.MTU, f.Client.Addr, w.MTU), fmt.Sprintf(cure, w.MTU)})
			}
		}
	}
	return all
}

func dotted(setting string) string { return strings.ReplaceAll(setting, "/", ".") }

// off says that a setting is known to be 0.
func (f Facts) off(setting string) bool {
	n, known := f.Host.Settings[setting]
	return known && n == 0
}

// forwarding says that the host or a link passes nothing on.
func (f Facts) forwarding(t Target) (all []Finding) {
	needs := func(six bool) bool {
		return slices.ContainsFunc(f.State.Ports, func(p plugin.Port) bool { return p.ContainerIP.Is6() == six && p.Path != "relay" })
	}
	for _, six := range []bool{false, true} {
		name, setting := "IPv4", forward4
		if six {
			name, setting = "IPv6", forward6
		}
		if needs(six) && f.off(setting) {
			all = append(all, Finding{"the host does not forward " + name, "set " + dotted(setting) + "=1; look for what turns it off (a file in /etc/sysctl.d)"})
		}
	}
	if !needs(false) || len(all) > 0 {
		return all
	}
	for _, name := range f.bridges(t) {
		all = append(all, f.deaf(name, "what containers answer")...)
	}
	for _, name := range f.outside() {
		if !t.all() || slices.Contains(f.Host.Uplinks, name) {
			all = append(all, f.deaf(name, "what comes by it")...)
		}
	}
	return all
}

// deaf says that a link of its own does not forward: the kernel asks the one by which a
// packet comes. IPv6 has no such setting.
func (f Facts) deaf(link, what string) []Finding {
	setting := ofLink(link, forwarding)
	if !f.off(setting) {
		return nil
	}
	return []Finding{{fmt.Sprintf("%s does not forward IPv4: %s is not passed on", link, what), "set " + dotted(setting) + "=1; look for what turns it off (a file in /etc/sysctl.d)"}}
}

// bridges are those of the networks that a target is on, sorted.
func (f Facts) bridges(t Target) (all []string) {
	for _, e := range f.State.Endpoints {
		if t.endpoint(f, e) && !slices.Contains(all, e.Bridge) {
			all = append(all, e.Bridge)
		}
	}
	slices.Sort(all)
	return all
}

// outside lists the links by which others may come, sorted: those with addresses that are
// neither Gangway's nor bridges of other containers.
func (f Facts) outside() (all []string) {
	for name, l := range f.Host.Links {
		used := slices.Contains(f.Host.Uplinks, name) || f.Client.Addr.IsValid() && f.Client.Way.Link == name
		ours := slices.ContainsFunc(f.State.Networks, func(n plugin.Network) bool { return n.Bridge == name })
		global := slices.ContainsFunc(l.Addresses, isGlobal)
		if used || global && name != "lo" && !ours && l.Kind != "bridge" && l.Master == "" {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}
