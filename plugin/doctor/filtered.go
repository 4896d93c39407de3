package doctor

import (
	"fmt"
	"net/netip"

	"github.com/gangway-net/gangway/plugin"
)

// filtered says which rules of others drop what comes for a published port.
func (f Facts) filtered(t Target) (all []Finding) {
	seen := map[string]bool{}
	for _, p := range f.State.Ports {
		if !t.port(p) || p.Path == "relay" || p.HostIP.IsLoopback() {
			continue
		}
		port := p.First
		if t.Port != 0 {
			port = t.Port
		}
		packet := Packet{
			Protocol: p.Protocol, HostPort: port,
			To: netip.AddrPortFrom(p.ContainerIP, p.ContainerFirst+(port-p.First)), Out: f.bridge(p.NetworkID),
		}
		for _, base := range f.Filters {
			for _, d := range base.Drops(packet) {
				if !d.Sure && t.all() || seen[d.Where] {
					continue
				}
				seen[d.Where] = true
				all = append(all, dropFinding(d, p, port))
			}
		}
	}
	return all
}

// all says that everything is to be looked at: then what may drop some packets is no
// finding.
func (t Target) all() bool { return t.Endpoints == nil && t.Port == 0 }

func dropFinding(d Drop, p plugin.Port, port uint16) Finding {
	verb := "drops"
	if !d.Sure {
		verb = "may drop"
	}
	out := Finding{fmt.Sprintf("%s %s what comes for host port %d/%s", d.Where, verb, port, p.Protocol), "change that rule"}
	if d.Text != "" {
		out.Cure += " (" + d.Text + ")"
	} else {
		out.Cure = "let it accept packets to gangway's bridges, see docs/firewalls.md"
	}
	return out
}

// bridge is the bridge of a network.
func (f Facts) bridge(network string) string {
	for _, n := range f.State.Networks {
		if n.ID == network {
			return n.Bridge
		}
	}
	return ""
}
