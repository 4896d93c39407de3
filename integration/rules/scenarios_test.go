package rules

// scenario is a page about what one wish puts into the kernel.
type scenario struct {
	// file is the page's name, without its ending; title its heading.
	file, title string
	// create and run are those of a combination in the matrix.
	create, run string
	// says is for the reader, what to look for.
	says string
	// ways are journeys that this is about.
	ways []string
}

// scenarios are what a newcomer tries, one thing after the other.
func scenarios() []scenario {
	return []scenario{
		{"empty-network", "A network without containers", "", none,
			"The first network also brings what all networks share ([nftables](nftables.md), [iptables](iptables.md)); the last one takes it along, but for what keeps the host from being a router. The network itself is a bridge with the gateway's address and these few entries. Nothing can reach it yet, since there is nobody on it.", nil},
		{"one-container", "A container that publishes nothing", "", "",
			"A container adds no rule: what holds for it was said for its network, by the bridge and the subnet. It adds a port to the bridge, and turns on forwarding. It reaches the outside with the host's address; from outside, and from other networks, nobody reaches it.",
			[]string{"out", "same-network", "same-network-bridged", "host", "unpublished"}},
		{"published-port", "A published port", "", "-p 8000:80",
			"One entry in a map, or one rule. IPv6 packets to port 8000 of the host are served by a relay in the daemon here, since the network has no IPv6: the kernel translates between no families. `gangway ports` says `relay` for those.",
			[]string{"published", "host-published", "hairpin", "unpublished"}},
		{"published-range", "A run of UDP ports", "", "-p 9000-9099:9000-9099/udp",
			"A hundred ports, and still one entry or one rule. It takes equal ports outside and inside, and with nftables 64 or more of them: shorter runs are single entries, which are found faster.",
			[]string{"published"}},
		{"ipv6", "IPv6", "--ipv6", "-p 8000:80",
			"Everything is there twice, with the same meaning. A port that names no address of the host is published in both families; `-p [::]:8000:80` would be the IPv6 half alone, `-p 0.0.0.0:8000:80` the other one. Packets to `[::1]` never come by these rules: the kernel does not route them to a bridge, so a relay in the daemon serves them.",
			[]string{"published"}},
		{"ipv6-prefix", "A prefix that changes", "--ipv6 -o ipv6=prefix", "-p 8000:80",
			"The host was delegated 2001:db8:1200::/56. IPv6 leaves by the container's address in the last subnet of that, and port 80 is reached there; a new prefix changes these entries and nothing else ([how](../ipv6.md#a-prefix-that-changes)). The host's port 8000 is published as ever.", nil},
		{"internal", "An internal network", "--internal", "-p 8000:80",
			"Containers talk to each other and to the host, and to nobody else. What they publish is not published: there is no entry for the port. Nor is anything translated. The entries are the same with IPv6, since they name the bridge and no address.",
			[]string{"internal", "same-network"}},
		{"icc-off", "Containers that may not talk to each other", "-o enable_icc=false", "-p 8000:80",
			"Two things differ from a [published port](published-port.md): the entry or rule about packets within the network, and the container's port on the bridge. What passes directly between two ports of a bridge is no business of the firewall, unless br_netfilter is on; so the port filter lets frames reach the host alone, whatever their protocol, and the bridge floods nothing to it. Published ports stay open to all.",
			[]string{"published", "hairpin", "out"}},
		{"routed", "Gateway mode routed", "-o gateway_mode_ipv4=routed", "-p 8000:80",
			"Nothing is translated: the outside needs a route to the subnet by this host, and sees the containers' own addresses. The published port is the container's, 80; port 8000 of the host means nothing here in IPv4, and the connection comes without any entry in a nat chain.",
			[]string{"routed"}},
		{"nat-unprotected", "Gateway mode nat-unprotected", "-o gateway_mode_ipv4=nat-unprotected", "-p 8000:80",
			"As with a [published port](published-port.md), and in addition whoever has a route to the subnet reaches every port of its containers. What goes out takes the host's address, as usual.",
			[]string{"published", "out"}},
		{"isolated", "Gateway mode isolated", "--internal -o gateway_mode_ipv4=isolated", "-p 8000:80",
			"The rules are those of an [internal network](internal.md). The difference is in the bridge: it has no address, so nothing in the containers' subnet is the host's, and the host has no route to them.",
			[]string{"internal", "same-network"}},
		{"two-networks", "Two networks", " | ", "-p 8000:80 | ",
			"Each has its own entries. That they do not reach each other takes none: a packet into a network of Gangway that no entry lets through is dropped. What they publish they reach, by the host's address.",
			[]string{"other-network", "out"}},
	}
}
