// Package graphtest has hosts for tests of pictures: a small shop, one with names that
// nobody should have, and a large one. The same call gives the same host.
package graphtest

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/plugin"
)

// Host is a host under construction.
type Host struct {
	plugin.Graph
	ids int
}

// New returns a host without networks.
func New() *Host {
	started := time.Date(2026, 2, 3, 4, 0, 0, 0, time.UTC)
	return &Host{Graph: plugin.Graph{
		Time: started.Add(time.Hour), Networks: []plugin.Network{}, Endpoints: []plugin.GraphEndpoint{}, Ports: []plugin.Port{},
		Status: plugin.Status{
			Status: driver.Status{Firewall: "nftables", Protection: "owned table", Checks: 720, LastCheck: started.Add(time.Hour)},
			State:  cause.OK, Started: started, Version: plugin.Version{Version: "1.2.0", Commit: "fedcba9", Go: "go1.26.1"},
		},
	}}
}

func (h *Host) id(of string) string {
	h.ids++
	return fmt.Sprintf("%012x", 0x5eed00000000+h.ids*0x10001) + strings.Repeat(of, 52)
}

// Network adds a network of mode nat, or what edit makes of it.
func (h *Host) Network(name string, edit func(*plugin.Network), subnets ...string) (id string) {
	n := plugin.Network{Name: name, NetworkStatus: driver.NetworkStatus{ID: h.id("a"), ICC: true, Guarded: true, Gateways: []netip.Addr{}}}
	n.Bridge = "gw-" + n.ID[:12]
	for _, s := range subnets {
		p := netip.MustParsePrefix(s)
		n.Subnets, n.Gateways = append(n.Subnets, p), append(n.Gateways, p.Addr().Next())
		if p.Addr().Is4() {
			n.ModeIPv4 = "nat"
		} else {
			n.ModeIPv6 = "nat"
		}
	}
	if edit != nil {
		edit(&n)
	}
	h.Networks = append(h.Networks, n)
	h.Status.Networks++
	return n.ID
}

// Container adds a container with addresses, such as "10.80.0.2/24", to a network. One with
// the name of another is the same one.
func (h *Host) Container(name, network string, addresses ...string) (endpoint string) {
	e := plugin.GraphEndpoint{Traffic: &plugin.Passed{}}
	e.ID, e.NetworkID, e.ContainerName = h.id("e"), network, name
	e.ContainerID, e.Sandbox = h.id("c"), "/var/run/docker/netns/"+e.ID[:12]
	for _, other := range h.Endpoints {
		if other.ContainerName == name {
			e.ContainerID, e.Sandbox = other.ContainerID, other.Sandbox
		}
	}
	for i := range h.Networks {
		if n := &h.Networks[i]; n.ID == network {
			e.NetworkName, e.Bridge = n.Name, n.Bridge
			n.Endpoints++
		}
	}
	for _, a := range addresses {
		e.Addresses = append(e.Addresses, netip.MustParsePrefix(a))
	}
	e.MAC = fmt.Sprintf("02:42:0a:50:%02x:%02x", h.ids>>8&0xff, h.ids&0xff)
	e.HostInterface, e.HostIndex, e.ContainerInterface, e.ContainerIndex = "gv-"+e.ID[:12], 10+h.ids, "eth0", 9+h.ids
	h.Endpoints = append(h.Endpoints, e)
	h.Status.Endpoints++
	return e.ID
}

// Publish has ports of the host lead to a container, on all addresses of the families that
// it has, or on one.
func (h *Host) Publish(endpoint, hostIP, protocol string, first, last, to uint16) {
	for i := range h.Endpoints {
		e := &h.Endpoints[i]
		if e.ID != endpoint {
			continue
		}
		for _, a := range e.Addresses {
			at, path := netip.IPv4Unspecified(), "nat"
			if a.Addr().Is6() {
				at, path = netip.IPv6Unspecified(), "nat+relay"
			}
			if hostIP != "" {
				if at = netip.MustParseAddr(hostIP); at.Is6() != a.Addr().Is6() {
					continue
				}
			}
			h.Ports = append(h.Ports, plugin.Port{
				PortStatus: driver.PortStatus{EndpointID: e.ID, NetworkID: e.NetworkID, Protocol: protocol, HostIP: at, First: first, Last: last, ContainerIP: a.Addr(), ContainerFirst: to, Path: path},
				Whose:      e.Whose,
			})
			e.Ports++
			h.Status.Ports++
		}
	}
}

// Shop is a host with three networks and seven containers.
func Shop() *Host {
	h := New()
	back := h.Network("back", func(n *plugin.Network) { n.Internal = true }, "10.81.0.0/24")
	front := h.Network("front", nil, "10.80.0.0/24", "fd00:80::/64")
	monitoring := h.Network("monitoring", func(n *plugin.Network) { n.ICC = false }, "10.82.0.0/24")
	h.Container("api", back, "10.81.0.2/24")
	h.Container("cache", back, "10.81.0.3/24")
	h.Container("db", back, "10.81.0.4/24")
	api := h.Container("api", front, "10.80.0.3/24", "fd00:80::3/64")
	h.Container("mail", front, "10.80.0.4/24")
	web := h.Container("web", front, "10.80.0.2/24", "fd00:80::2/64")
	grafana := h.Container("grafana", monitoring, "10.82.0.2/24")
	h.Container("prometheus", monitoring, "10.82.0.3/24")
	h.Publish(api, "192.0.2.1", "tcp", 9000, 9000, 9000)
	h.Publish(web, "", "tcp", 443, 443, 8443)
	h.Publish(web, "", "tcp", 8000, 8000, 80)
	h.Publish(grafana, "127.0.0.1", "tcp", 3000, 3000, 3000)
	h.Publish(grafana, "", "udp", 9100, 9109, 9100)
	return h
}

// HostileNames are names that try to be something else.
func HostileNames() []string {
	return []string{
		`<img src=x onerror=alert(1)>`, `</script><script>alert(1)</script>`, `"];c0-->p0;click c0 "javascript:alert(1)"`, `"]; evil [label="`,
		"\x1b[31mred\x1b[0m\r\nline", "abc\u202egnp.exe\u2066", "tab\tnul\x00end", strings.Repeat("long-name-", 50), "`**bold**` _x_ # &amp; &#60;b&#62; #35;",
		"1. list", "\\", "\\\"", "日本語のコンテナの名前はとても長いことがあります", "a\u0300\u0301\u0302\u0303\u0304\u0305", "\xff\xfe", "style end subgraph", "]]><!--", "שלום",
	}
}

// Hostile is a host on which networks and containers have such names.
func Hostile() *Host {
	h := New()
	names := HostileNames()
	for i, name := range names {
		n := h.Network(name, func(n *plugin.Network) { n.Options = map[string]string{name: name} }, fmt.Sprintf("10.90.%d.0/24", i))
		e := h.Container(names[len(names)-1-i], n, fmt.Sprintf("10.90.%d.2/24", i))
		h.Publish(e, "", "tcp", uint16(8000+i), uint16(8000+i), 80) //nolint:gosec // a few
	}
	return h
}

// Many is a host with so many networks, and so many containers on each, half of which
// publish a port.
func Many(networks, each int) *Host {
	h := New()
	for i := range networks {
		n := h.Network(fmt.Sprintf("team-%02d_default", i), nil, fmt.Sprintf("10.%d.%d.0/24", 100+i/200, i%200))
		for j := range each {
			e := h.Container(fmt.Sprintf("team-%02d-service-%02d-1", i, j), n, fmt.Sprintf("10.%d.%d.%d/24", 100+i/200, i%200, 2+j))
			if j%2 == 0 {
				h.Publish(e, "", "tcp", uint16(10000+i*100+j), uint16(10000+i*100+j), 8080) //nolint:gosec // some thousand
			}
		}
	}
	return h
}
