package fwtest

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strings"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// The networks of the world: A masquerades, B does not, I is internal and N
// has no communication between its containers.
var (
	networkA = network("A", func(n *firewall.Network) { n.Masquerade = n.Hairpin })
	networkB = network("B", func(n *firewall.Network) { n.Bridge = "backend" })
	networkI = network("I", func(n *firewall.Network) { n.Internal, n.Hairpin = true, nil })
	networkN = network("N", func(n *firewall.Network) { n.Masquerade, n.ICC = n.Hairpin, false })
)

// network returns the settings of a network of the world, without masquerade
// and with communication between containers, after change.
func network(name string, change func(*firewall.Network)) firewall.Network {
	id := longID("net" + strings.ToLower(name))
	n := firewall.Network{
		ID:      id,
		Bridge:  "gw-" + id[:12],
		Subnets: []netip.Prefix{subnet(name, v4), subnet(name, v6)},
		Hairpin: []netip.Prefix{subnet(name, v4), subnet(name, v6)},
		ICC:     true,
	}
	change(&n)
	return n
}

// longID makes an id as the engine does, 64 hexadecimal digits, from a text.
func longID(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// published says where a run of ports of the host leads: first, last and to
// are ports, host the name of the address or "" for all of them.
type published struct {
	proto       spec.Protocol
	host        string
	first, last uint16
	container   string
	to          uint16
	only4       bool
}

var publications = []published{
	{proto: spec.TCP, first: 8080, last: 8080, container: "a1", to: 80},
	{proto: spec.UDP, first: 8080, last: 8080, container: "a1", to: 80},
	{proto: spec.SCTP, first: 8080, last: 8080, container: "a1", to: 80},
	{proto: spec.TCP, host: "host2", first: 8081, last: 8081, container: "a1", to: 81},
	{proto: spec.TCP, host: "loopback", first: 8082, last: 8082, container: "a1", to: 82, only4: true},
	{proto: spec.UDP, host: "loopback", first: 8099, last: 8099, container: "a1", to: sinkPort, only4: true},
	{proto: spec.TCP, first: 8000, last: 8010, container: "a2", to: 80},
	// Long runs, which a backend may treat in another way than short ones.
	{proto: spec.UDP, first: 80, last: 180, container: "a2", to: 80},
	{proto: spec.TCP, host: "host2", first: 10, last: 90, container: "a1", to: 10},
	{proto: spec.TCP, first: 8090, last: 8090, container: "b1", to: 80},
	{proto: spec.UDP, first: 8090, last: 8090, container: "b1", to: 80},
	{proto: spec.TCP, first: 8091, last: 8091, container: "n1", to: 80},
}

// ports are the published ports of some publications, in both families.
func ports(list []published) []firewall.Port {
	var out []firewall.Port
	for _, p := range list {
		for _, f := range families {
			if p.only4 && f == v6 {
				continue
			}
			host := [...]netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}[f]
			if p.host != "" {
				host = addresses[p.host][f]
			}
			out = append(out, firewall.Port{
				NetworkID:  longID("net" + p.container[:1]),
				EndpointID: longID("endpoint" + p.container),
				Published: spec.Published{
					Proto: p.proto, HostIP: host, First: p.first, Last: p.last,
					ContainerIP: addresses[p.container][f], ContainerFirst: p.to,
				},
			})
		}
	}
	return out
}

// outside are the links of the world that lead outside.
func outside() []spec.Outside {
	return []spec.Outside{{Name: "v-outside"}, {Name: "v-lan"}}
}

// everything is the full ruleset of the world. The open ports let nothing in:
// no packet comes by that link.
func everything() firewall.Ruleset {
	return firewall.Ruleset{
		Networks: []firewall.Network{networkA, networkB, networkI, networkN},
		Ports:    ports(publications),
		Outside:  outside(),
		Open:     append(open("a1", "v-none", spec.TCP, 80, 80), open("b1", "v-none", spec.UDP, 80, 90)...),
	}
}
