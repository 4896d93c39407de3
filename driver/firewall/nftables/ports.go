package nftables

import (
	"net/netip"

	"github.com/google/nftables/expr"

	"github.com/gangway-net/gangway/driver/firewall"
)

// The maps of published ports: of every address of the host and of one, of single ports
// and of runs that keep their numbers.
const (
	portMap    = "port"
	portAtMap  = "port_at"
	rangeMap   = "range_" // + protocol
	rangeAtMap = "range_at"
)

// portRows are of where published ports lead to.
func portRows() []row {
	single := []field{toAddr, toPort}
	rows := []row{
		{name: portMap, perFamily: true, key: []field{l4proto, dport}, data: single},
		{name: portAtMap, perFamily: true, key: []field{l4proto, daddr, dport}, data: single},
	}
	for _, p := range protocols() {
		rows = append(rows, row{name: rangeMap + p.String(), perFamily: true, key: []field{dport}, data: []field{toAddr}, kind: interval})
	}
	return append(rows, row{name: rangeAtMap, perFamily: true, key: []field{l4proto, daddr, dport}, data: []field{toAddr}, kind: interval})
}

// portElements turns runs into intervals or into single ports. The kernel
// knows no intervals that shift ports, nor such that lead to several of them.
func portElements(r firewall.Ruleset, put putter) {
	for _, p := range r.Ports {
		if p.Relayed() {
			continue
		}
		h, note := headerOf(p.HostIP), endpointNote(p.NetworkID, p.EndpointID)
		v := values{proto: p.Proto, addr: [3]netip.Addr{receiver: p.HostIP, target: p.ContainerIP}}
		port, run := portMap, rangeMap+p.Proto.String()
		if !p.HostIP.IsUnspecified() {
			port, run = portAtMap, rangeAtMap
		}
		if p.Len() >= longRun && p.ContainerFirst == p.First {
			end := v
			v.port[receiver], end.port[receiver] = p.First, p.Last
			put.between(h.find(run), &v, &end, note)
			continue
		}
		set := h.find(port)
		for i := range p.Len() {
			v.port[receiver], v.port[target] = p.First+uint16(i), p.ContainerFirst+uint16(i) //nolint:gosec // up to a port
			put.one(set, &v, note)
		}
	}
}

// portChains look published ports up, those of one address first.
func portChains() []chain {
	var all []chain
	for _, h := range headers() {
		rules := [][]expr.Any{
			rule(h.own(), h.dnat(portAtMap)), // known here; nft names the address by it
			rule(h.own(), h.dnat(rangeAtMap)),
			h.dnat(portMap),
		}
		for _, p := range protocols() {
			rules = append(rules, rule(meta(expr.MetaKeyL4PROTO, 1), is(byte(p)), h.dnat(rangeMap+p.String())))
		}
		all = append(all, regular("ports"+h.name, rules...))
	}
	return all
}
