package rules

import "slices"

// nftablesChains explain the table's chains, in the order in which a packet
// meets them, and each of their rules.
func nftablesChains() []explanation {
	return slices.Concat(nftablesArrival(), nftablesVerdicts(), nftablesGateways(), nftablesPeers(), nftablesOut(), nftablesRefused(), nftablesDeparture())
}

// nftablesArrival explain what a packet meets before it is known where it goes.
func nftablesArrival() []explanation {
	return []explanation{
		{"chain source_check", "", "Drops what has a source that cannot come by the link that it came by. It comes first of all, before connection tracking: what the connection table says of a flow can be believed only if the flow began with who it says."},
		{"chain source_check", "iifgroup 18263 goto source_check_bridge", "Came in by a bridge of Gangway. All these bridges are in interface group 18263 (0x4757, \"GW\"), so one comparison finds them, however many networks there are."},
		{"chain source_check", "iifgroup 18264 goto further_bridge", "Passes within a further bridge of a large network (br_netfilter), which is in a group of its own."},
		{"chain source_check", "ip saddr @subnets4 goto by_other_link", "Has the address of a container, or of a network's gateway, and came by another link."},
		{"chain source_check", "ip daddr 127.0.0.0/8 meta iifkind \"bridge\" iifname @bridges drop", "To the host's loopback, by a bridge that somebody took out of the interface group: Gangway puts it back within moments."},

		{"chain by_other_link", "", "Who sends in the name of a network that it does not belong to."},
		{"chain by_other_link", "meta iiftype loopback accept", "The host to itself."},
		{"chain by_other_link", "goto spoofed", "A container that is in two networks and answers on the wrong one is dropped, too."},

		{"chain further_bridge", "", "A further bridge is a part of a network's wire: the host is not on it, and nothing is decided there."},
		{"chain further_bridge", "notrack accept", "Neither tracked nor translated. What of it concerns the host comes by here again, by the network's first bridge."},

		{"chain source_check_bridge", "", "What came in by a bridge of Gangway."},
		{"chain source_check_bridge", "ip daddr 127.0.0.0/8 goto martian", "Wants to go to the host's loopback. Gangway lets packets of 127.0.0.1 leave to its bridges (`route_localnet`), so that a port published on 127.0.0.1 works; this rule keeps that from being a way in the other direction."},
		{"chain source_check_bridge", "fib saddr . iif oif != 0 accept", "The host has a route to its source by that bridge: an address of the network, or what is routed to a container."},
		{"chain source_check_bridge", "ip saddr . iifname @subnet_bridge4 accept", "An address of the network, where the host has no route to it: a bridge without an address of the host."},
		{"chain source_check_bridge", "ip saddr @subnets4 goto spoofed", "An address of another network. What has an address of no network of Gangway passes: it may be routed to a container."},

		{"chain spoofed", "", "Drops it, and counts it."},
		{"chain spoofed", "update @spoofed4 { ip saddr counter } drop", "For the network that the address is of."},
		{"chain spoofed", "update @refused { iifname . 0x00000001 counter }", "There are more such addresses than are counted: for the link, if that is a network's."},
		{"chain spoofed", "drop", "Dropped."},
		{"chain martian", "", "The same for who wants to go to the host's loopback."},
		{"chain martian", "update @refused { iifname . 0x00000001 counter }", "For the network that it came from."},
		{"chain martian", "drop", "Dropped."},

		{"chain prerouting", "", "Finds published ports, for packets that come from elsewhere. Like all chains of type nat it sees the first packet of a flow only; the connection table does the same to all others, and the reverse to the answers. Rules of yours in nat PREROUTING of iptables come one step before it."},
		{"chain prerouting", "ip daddr 127.0.0.0/8 accept", "To the host's loopback, from outside: nobody but the host itself has business there, so no published port is looked up."},
		{"chain prerouting", "ip daddr ::1 accept", "To `[::1]`: the kernel does not route it to a bridge, so the relays of the daemon answer there."},
		{"chain prerouting", "ip saddr fe80::/10 accept", "From a link-local address of IPv6, and so to one: the kernel forwards neither to another link, so the relays of the daemon answer."},
		{"chain prerouting", "meta nfproto ipv4 fib daddr type local goto ports4", "To an address of the host, whichever it is: may be a published port. Everything else passes through the host and is none."},

		{"chain prerouting", "meta nfproto ipv4 goto inward4", "IPv6 to anybody else: may be a container's address behind the host's prefix (`gangway.ipv6=prefix`)."},
		{"chain inward4", "", "Looks up what containers publish at their addresses behind the host's prefix. What is in none of the maps stays as it is, and is no container's."},
		{"chain inward4", "dnat ip to meta l4proto . ip daddr . th dport map @inward4", "Single ports: the packet gets the container's own address as its destination."},
		{"chain inward4", "dnat ip to meta l4proto . ip daddr . th dport map @inward_range4", "Long runs of ports."},

		{"chain output", "", "Finds published ports, for packets that the host itself sends: these never come by prerouting."},
		{"chain output", "ip daddr ::1 accept", "To `[::1]`: left to the relays of the daemon, as in prerouting."},
		{"chain output", "ip saddr fe80::/10 accept", "From a link-local address: the same."},
		{"chain output", "meta nfproto ipv4 fib daddr type local goto ports4", "To an address of the host, 127.0.0.1 included: may be a published port."},

		{"chain ports4", "", "Looks up the port that the packet asks for. The first map that has it decides; a port of one address goes before the same port of all addresses. What is in none of them stays as it is, and reaches the host."},
		{"chain ports4", "dnat ip to meta l4proto . ip daddr . th dport map @port_at4", "Single ports, published on this address only."},
		{"chain ports4", "dnat ip to meta l4proto . ip daddr . th dport map @range_at4", "Long runs of ports, published on this address only."},
		{"chain ports4", "dnat ip to meta l4proto . th dport map @port4", "Single ports, published on all addresses of the host: the packet gets the container's address and port as its destination."},
		{"chain ports4", "dnat ip to tcp dport map @range_tcp4", "Long runs of TCP ports; the port stays as it is."},
		{"chain ports4", "dnat ip to udp dport map @range_udp4", "Long runs of UDP ports; the port stays as it is."},
		{"chain ports4", "dnat ip to sctp dport map @range_sctp4", "Long runs of SCTP ports; the port stays as it is."},
	}
}

// nftablesPeers explain the exceptions from the isolation of networks.
func nftablesPeers() []explanation {
	return []explanation{
		{"chain peers4", "", "What containers of one network may begin to those of another one, by `network:NAME` in the policies of both sides. Without such policies there is nothing in these sets. What is in none of them goes back to the chain `between`."},
		{"chain peers4", "ct direction reply ct state established,related goto peers_reply4", "Goes the way of answers."},
		{"chain peers4", "iifname . oifname . meta l4proto . ip saddr . th dport @peer_asks4 goto peers_asked4", "The container that begins the flow may ask for this port of that network: its own half. The other one has to be there as well."},
		{"chain peers4", "iifname . oifname . meta l4proto . ip saddr . th dport @peer_asks_range4 goto peers_asked4", "The same for long runs of ports."},
		{"chain peers4", "iifname . oifname . ip saddr @peer_asks_all4 goto peers_asked4", "It may send whatever it wants there."},
		{"chain peers_asked4", "", "The half of the container that is asked."},
		{"chain peers_asked4", "iifname . oifname . meta l4proto . ip daddr . th dport @peer_asked4 meta mark set meta mark & 0xf7ffffff | 0x04000000 accept", "It lets that network ask for the port. Notes \"accept\" as `permit` does."},
		{"chain peers_asked4", "iifname . oifname . meta l4proto . ip daddr . th dport @peer_asked_range4 meta mark set meta mark & 0xf7ffffff | 0x04000000 accept", "The same for long runs of ports."},
		{"chain peers_asked4", "iifname . oifname . ip daddr @peer_asked_all4 meta mark set meta mark & 0xf7ffffff | 0x04000000 accept", "It lets that network send whatever it wants."},
		{"chain peers_reply4", "", "Answers, and errors about a flow: links and addresses are turned round, and the port is the one that the first packet of the flow asked for. That the flow is known is not enough: it ends with what has opened it."},
		{"chain peers_reply4", "oifname . iifname . ct protocol . ip daddr . ct original proto-dst @peer_asks4 goto peers_replied4", "To the container that has asked, which may still do so."},
		{"chain peers_reply4", "oifname . iifname . ct protocol . ip daddr . ct original proto-dst @peer_asks_range4 goto peers_replied4", "The same for long runs of ports."},
		{"chain peers_reply4", "oifname . iifname . ip daddr @peer_asks_all4 goto peers_replied4", "To one that may send whatever it wants."},
		{"chain peers_replied4", "", "From the container that was asked."},
		{"chain peers_replied4", "oifname . iifname . ct protocol . ip saddr . ct original proto-dst @peer_asked4 meta mark set meta mark & 0xf7ffffff | 0x04000000 accept", "It still lets that network ask for the port."},
		{"chain peers_replied4", "oifname . iifname . ct protocol . ip saddr . ct original proto-dst @peer_asked_range4 meta mark set meta mark & 0xf7ffffff | 0x04000000 accept", "The same for long runs of ports."},
		{"chain peers_replied4", "oifname . iifname . ip saddr @peer_asked_all4 meta mark set meta mark & 0xf7ffffff | 0x04000000 accept", "It lets that network send whatever it wants."},
	}
}

// nftablesVerdicts explain what is decided about packets that pass from one
// link to another.
func nftablesVerdicts() []explanation {
	return []explanation{
		{"chain classify", "", "Decides about packets that pass from one link to another, just before iptables does. The decision is a mark, not a verdict: an accept here would not end the packet's way through iptables, where an engine's policy may be DROP."},
		{"chain classify", "oifgroup 18263 goto into_network", "Would leave by a bridge of Gangway. All these bridges are in interface group 18263 (0x4757, \"GW\"), so one comparison finds them, however many networks there are."},
		{"chain classify", "iifgroup 18263 goto out_of_network", "Came in by a bridge of Gangway and leaves by another link."},
		{"chain classify", "meta oifkind \"bridge\" oifname @bridges drop", "Would leave by a bridge that somebody took out of the interface group, by which the rules above know it. Gangway puts it back within moments. Only the name of a bridge is looked up: packets of others pass with one comparison."},
		{"chain classify", "meta iifkind \"bridge\" iifname @bridges drop", "Came in by a bridge that somebody took out of the group."},
		{"chain classify", "meta nfproto @no_transit goto transit_classify", "Has nothing to do with Gangway's networks, but is forwarded because of them."},

		{"chain into_network", "", "What may enter a network. Whoever matches nothing here is dropped."},
		{"chain into_network", "iifgroup 18263 goto between", "From a network of Gangway."},
		{"chain into_network", "tcp flags syn / syn,rst tcp option maxseg size set rt mtu", "Opens a connection, or answers that. TCP is had to say how large segments may be on the way, where the way takes less than the sender's own link: where ICMP is filtered, nobody else tells the sender."},
		{"chain into_network", "oifname != @external goto closed_into", "Into a network that is closed, from anywhere else. What is not internal is listed, so that nothing opens when an element is lost."},
		{"chain into_network", "meta iifkind != \"bridge\" ct status seen-reply,dnat meta mark set meta mark & 0xf7ffffff | 0x04000000 accept", "From outside, in a flow in which packets went both ways, so an answer to what a container asked; or to a published port. Notes \"accept\" as `permit` does."},
		{"chain into_network", "meta iifkind \"bridge\" iifname != @uplinks goto new_flow", "From a bridge of others with containers or virtual machines: no container has asked these anything, but by a published port."},
		{"chain into_network", "ct state established,related goto permit", "From outside: an error message about what a container asked, or, by a bridge, an answer."},
		{"chain into_network", "goto new_flow", "Asks something itself."},

		{"chain new_flow", "", "What no container has asked for."},
		{"chain new_flow", "ct status dnat goto permit", "Was sent to a published port, and got its new destination from one of the maps above."},
		{"chain new_flow", "meta nfproto ipv4 goto open4", "A new flow to a container's own address: only networks in other gateway modes than nat, and trusted links, allow some."},
		{"chain new_flow", "goto deny", "Neither IPv4 nor IPv6."},

		{"chain between", "", "From a network of Gangway to another one, or within one. That the connection table knows a flow is not enough here: the way between two networks is a published port, or what a network opens."},
		{"chain between", "iifname . oifname vmap @within", "From and to the same network: the map says whether its containers may talk to each other."},
		{"chain between", "tcp flags syn / syn,rst tcp option maxseg size set rt mtu", "Opens a connection, or answers that: as in the chain `into_network`."},
		{"chain between", "oifname != @external goto closed_between", "Into a network that is closed."},
		{"chain between", "iifname != @external goto closed_from", "Out of a network that is closed."},
		{"chain between", "ct status dnat goto permit", "Was sent to a published port, or is the answer."},
		{"chain between", "meta nfproto ipv4 jump peers4", "Do the policies of both sides name each other's network (`network:NAME`)?"},
		{"chain between", "ct direction reply ct state established,related meta nfproto ipv4 goto reply4", "Goes the way of answers: may be one of what is open."},
		{"chain between", "goto new_flow", "A new flow to a container's own address."},

		{"chain open4", "", "What is open by the container's own address. For a network in gateway mode nat there is nothing in these sets: from outside its containers are reached by published ports alone, also by who has a route to them."},
		{"chain open4", "oifname @unprotected4 goto permit", "Gateway mode nat-unprotected: every port, also of what is routed to a container."},
		{"chain open4", "meta l4proto icmp oifname @routed4 goto permit", "Gateway mode routed: ping, and the messages that path MTU discovery needs."},
		{"chain open4", "oifname . meta l4proto . ip daddr . th dport @open4 goto permit", "Gateway mode routed: single published ports."},
		{"chain open4", "oifname . meta l4proto . ip daddr . th dport @open_range4 goto permit", "Gateway mode routed: long runs of published ports."},
		{"chain open4", "iifname . oifname . meta l4proto . ip daddr . th dport @open_from4 goto permit", "Published ports, from the links in `trusted_host_interfaces`."},
		{"chain open4", "iifname . oifname . meta l4proto . ip daddr . th dport @open_range_from4 goto permit", "The same for long runs of ports."},
		{"chain open4", "goto deny", "Another network, or the outside, asks for what was not published."},

		{"chain reply4", "", "Answers of what is open: the rules of open4 with the source in the place of the destination. They are asked for what goes from one network to another, or to a network of others."},
		{"chain reply4", "ip saddr . iifname != @subnet_bridge4 goto deny", "From an address that is none of the network's: nobody answers in the name of somebody else."},
		{"chain reply4", "iifname @unprotected4 goto permit", "From gateway mode nat-unprotected."},
		{"chain reply4", "meta l4proto icmp iifname @routed4 goto permit", "From gateway mode routed: answers to pings, and error messages."},
		{"chain reply4", "iifname . meta l4proto . ip saddr . th sport @open4 goto permit", "From a port that is published in gateway mode routed."},
		{"chain reply4", "iifname . meta l4proto . ip saddr . th sport @open_range4 goto permit", "The same for long runs of ports."},
		{"chain reply4", "oifname . iifname . meta l4proto . ip saddr . th sport @open_from4 goto permit", "From a published port to a link in `trusted_host_interfaces`."},
		{"chain reply4", "oifname . iifname . meta l4proto . ip saddr . th sport @open_range_from4 goto permit", "The same for long runs of ports."},
		{"chain reply4", "goto deny", "Nothing that could have been asked."},

		{"chain isolated", "", "Within a network whose containers may not talk to each other (`enable_icc=false`). It is met where br_netfilter shows the firewall what passes within a bridge, and by packets that took the way over the host's address."},
		{"chain isolated", "ct status dnat goto permit", "Was sent to a published port, or is the answer: these stay open to the network's own containers."},
		{"chain isolated", "goto deny_within", "Everything else between them."},
	}
}

// nftablesGateways explain what is decided about networks that are closed, by which their gateways pass
// all the same.
func nftablesGateways() []explanation {
	const (
		answer = "ct direction reply ct state established,related meta nfproto ipv4 goto reply4"
		peers  = "meta nfproto ipv4 jump peers4"
	)
	var all []explanation
	for _, c := range []struct{ name, what, rule, to string }{
		{"closed_into", "Into a network that is closed, from outside.", "oifname . ip daddr @gateways4", "into_gateway"},
		{"closed_between", "Into a network that is closed, from another one.", "oifname . ip daddr @gateways4", "between_gateway"},
		{"closed_from", "Out of a network that is closed, to another one.", "iifname . ip saddr @gateways4", "between_gateways"},
		{"closed_out_of", "Out of a network that is closed, to anything else.", "iifname . ip saddr @gateways4", "out_of_gateway"},
	} {
		all = append(all,
			explanation{"chain " + c.name, "", c.what + " Such is one that is internal, is on a LAN, or is left by one of its containers."},
			explanation{"chain " + c.name, c.rule + " goto " + c.to, "It is that container's, for which the network is as any other."},
			explanation{"chain " + c.name, "goto deny", "It is another one's."})
	}
	return append(all,
		explanation{"chain into_gateway", "", "What a network's gateway gets from outside: the rules of `into_network`, from there on."},
		explanation{"chain into_gateway", "meta iifkind != \"bridge\" ct status seen-reply,dnat meta mark set meta mark & 0xf7ffffff | 0x04000000 accept", "An answer, or to a published port."},
		explanation{"chain into_gateway", "meta iifkind \"bridge\" iifname != @uplinks goto new_flow", "From a bridge of others with containers or virtual machines."},
		explanation{"chain into_gateway", "ct state established,related goto permit", "An error message about what it asked, or, by a bridge, an answer."},
		explanation{"chain into_gateway", "goto new_flow", "Asks something itself."},
		explanation{"chain out_of_gateway", "", "What a network's gateway sends out: the rules of `out_of_network`, from there on."},
		explanation{"chain out_of_gateway", "meta oifkind != \"bridge\" meta mark set meta mark & 0xf7ffffff | 0x04000000 accept", "Leaves by a link that is no bridge."},
		explanation{"chain out_of_gateway", "oifname @bridges drop", "To a bridge of Gangway that somebody took out of the interface group."},
		explanation{"chain out_of_gateway", "oifname @uplinks goto permit", "Leaves by a bridge that leads outside."},
		explanation{"chain out_of_gateway", "goto foreign", "To any other bridge."},
		explanation{"chain between_gateways", "", "Between networks, from a gateway: the rules of `between`, from there on."},
		explanation{"chain between_gateways", "ct status dnat goto permit", "Was sent to a published port, or is the answer."},
		explanation{"chain between_gateways", peers, "Do the policies of both sides name each other's network (`network:NAME`)?"},
		explanation{"chain between_gateways", answer, "Goes the way of answers: may be one of what is open."},
		explanation{"chain between_gateways", "goto new_flow", "A new flow to a container's own address."},
		explanation{"chain between_gateway", "", "Between networks, to a gateway: the rules of `between`, from there on."},
		explanation{"chain between_gateway", "iifname != @external goto closed_from", "Out of a network that is closed."},
		explanation{"chain between_gateway", "ct status dnat goto permit", "Was sent to a published port, or is the answer."},
		explanation{"chain between_gateway", peers, "Do the policies of both sides name each other's network (`network:NAME`)?"},
		explanation{"chain between_gateway", answer, "Goes the way of answers: may be one of what is open."},
		explanation{"chain between_gateway", "goto new_flow", "A new flow to a container's own address."})
}

// nftablesOut explain what is decided about packets that leave gangway's networks, and
// the notes of all decisions.
func nftablesOut() []explanation {
	return []explanation{
		{"chain out_of_network", "", "What may leave a network, to anything but a network of Gangway."},
		{"chain out_of_network", "tcp flags syn / syn,rst tcp option maxseg size set rt mtu", "The same out of a network."},
		{"chain out_of_network", "iifname != @external goto closed_out_of", "Out of a network that is closed."},
		{"chain out_of_network", "ct state invalid,untracked ip saddr @translated4 goto deny", "Belongs to no tracked flow, such as an RST that no connection has: nothing translates it, and it would leave a network with `gangway.ipv6=prefix` with the container's own address."},
		{"chain out_of_network", "ip saddr @untranslated4 ct direction original goto deny", "Begins a flow in a network with `gangway.ipv6=prefix`, for which the host has no prefix at the moment."},
		{"chain out_of_network", "meta oifkind != \"bridge\" meta mark set meta mark & 0xf7ffffff | 0x04000000 accept", "Leaves by a link that is no bridge: to the outside, and answers to the outside. Notes \"accept\" as `permit` does."},
		{"chain out_of_network", "oifname @bridges drop", "To a bridge of Gangway that somebody took out of the interface group."},
		{"chain out_of_network", "oifname @uplinks goto permit", "Leaves by a bridge that leads outside, since it has a card of the host or the default route."},
		{"chain out_of_network", "goto foreign", "To any other bridge: containers of the engine's built-in driver, of podman or LXD, virtual machines of libvirt. Its name does not matter."},

		{"chain foreign", "", "To a network of others: their own rules decide about what they may know of, and nothing else gets there. Gangway's networks and those are as separate as two networks of either."},
		{"chain foreign", "ct status dnat goto unmark", "Was sent to a port that is published there, or is the answer of one that is published here: the rules of others decide."},
		{"chain foreign", "ct direction reply ct state established,related meta nfproto ipv4 goto reply4", "Goes the way of answers: may be one of what is open."},
		{"chain foreign", "goto deny", "A new flow from container to container."},

		{"chain transit_classify", "", "What comes by a link of others and leaves by one of others, in a family that Gangway turned forwarding on for. The host was no router before, and is none now: a packet that nobody has asked for is marked as one to drop. Networks of others keep what their containers send and publish."},
		{"chain transit_classify", "ct state established,related accept", "Of a flow that somebody has let pass, or an error about one: none of Gangway's business."},
		{"chain transit_classify", "ct status dnat accept", "Somebody publishes the port."},
		{"chain transit_classify", "iifname . oifname @same_link accept", "Stays on its link: a frame on a bridge of the host that br_netfilter shows to the firewall."},
		{"chain transit_classify", "meta iifkind != \"bridge\" goto deny_uncounted", "Came by a link that is no bridge: from a neighbour of the host."},
		{"chain transit_classify", "iifname @uplinks goto deny_uncounted", "Came by a bridge that leads outside. On all others there are containers and virtual machines, which have to get out."},
		{"chain transit_enforce", "", "The same packets, behind all rules of others: what still bears the mark is dropped. A rule in FORWARD of iptables that accepts takes the mark off, and so does one of yours in a table of your own, see [beside other firewalls](../firewalls.md#a-host-that-is-a-router)."},
		{"chain transit_enforce", "ct state established,related accept", "As above."},
		{"chain transit_enforce", "ct status dnat accept", "As above."},
		{"chain transit_enforce", "iifname . oifname @same_link accept", "As above."},
		{"chain transit_enforce", "meta iifkind != \"bridge\" goto apply_mark", "Drops it if it is marked, and clears the mark if not."},
		{"chain transit_enforce", "iifname @uplinks goto apply_mark", "The same for a bridge that leads outside."},

		{"chain permit", "", "Decided: the packet may pass."},
		{"chain permit", "meta mark set meta mark & 0xf7ffffff | 0x04000000", "Notes \"accept\" in Gangway's two bits of the mark; all others stay."},
		{"chain deny", "", "Decided: the packet is to be dropped, unless your own rules in DOCKER-USER accept it."},
		{"chain deny", "meta mark set meta mark & 0xfbffffff | 0x08000000", "Notes \"drop\" in Gangway's two bits of the mark; all others stay."},
		{"chain deny", "goto refused", "Is counted. What Gangway accepts takes part in no counting."},
		{"chain deny_within", "", "The same between containers of one network."},
		{"chain deny_within", "meta mark set meta mark & 0xfbffffff | 0x08000000", "Notes \"drop\"."},
		{"chain deny_within", "goto refused_within", "Is counted as `icc`."},
		{"chain deny_uncounted", "", "The same for what is none of Gangway's networks': it is not counted."},
		{"chain deny_uncounted", "meta mark set meta mark & 0xfbffffff | 0x08000000", "Notes \"drop\"."},
		{"chain unmark", "", "Left to others."},
		{"chain unmark", "meta mark set meta mark & 0xf3ffffff", "Clears Gangway's two bits of the mark, in case somebody else has set them."},
	}
}

// nftablesRefused explain how packets that are to be dropped are counted.
func nftablesRefused() []explanation {
	counted := func(chain, addr, link, code, why string) []explanation {
		mark := "meta mark & 0x0400000" + code + " | 0x0000000" + code
		return []explanation{
			{"chain " + chain, "", why},
			{"chain " + chain, "update @refused4 { " + link + " . " + mark + " . ip " + addr + " counter } return", "For the network and the container. The bit \"accept\" of the mark is part of the key: it is set when DOCKER-USER has accepted the packet against Gangway, and what is counted so is taken off."},
			{"chain " + chain, "update @refused { " + link + " . " + mark + " counter }", "There are more addresses than are counted: for the network alone."},
		}
	}
	return slices.Concat([]explanation{
		{"chain refused", "", "Counts what is to be dropped, for `gangway networks` and `gangway endpoints`. It finds out once more why, so that only such packets pay for it."},
		{"chain refused", "oifgroup 18263 goto refused_to", "Was to enter a network."},
		{"chain refused", "iifgroup 18263 goto refused_from", "Was to leave one."},
		{"chain refused_to", "", "Who wanted to enter a network?"},
		{"chain refused_to", "iifgroup 18263 ip daddr . iifname @subnet_bridge4 goto refused_within", "A container of the same network."},
		{"chain refused_to", "oifname != @external goto refused_between", "Anybody, but the network is internal."},
		{"chain refused_to", "iifgroup 18263 iifname != @external goto refused_from", "A container of an internal network."},
		{"chain refused_to", "iifgroup 18263 goto refused_between", "A container of another network."},
		{"chain refused_to", "meta iifkind \"bridge\" iifname != @uplinks goto refused_between", "A container or virtual machine of others."},
		{"chain refused_to", "goto refused_outside", "The outside."},
	},
		counted("refused_within", "daddr", "oifname", "4", "Counted as `icc`, for who was asked."),
		counted("refused_between", "daddr", "oifname", "3", "Counted as `isolated`, for who was asked."),
		counted("refused_from", "saddr", "iifname", "3", "Counted as `isolated`, for who asked."),
		counted("refused_outside", "daddr", "oifname", "2", "Counted as `unpublished`, for who was asked."))
}

// nftablesDeparture explain what a packet meets behind the decision.
func nftablesDeparture() []explanation {
	return []explanation{
		{"chain enforce", "", "Behind iptables: makes the decision true where iptables did not, because there is none or somebody flushed it, and takes the note off the packet."},
		{"chain enforce", "oifgroup 18263 meta mark & 0x0c000000 == 0x04000000 meta mark set meta mark & 0xf3ffffff accept", "Is accepted: clears Gangway's two bits, so that nothing of them leaves the host, or meets rules further on. Only of packets that were classified: on those of others the bits may mean something else."},
		{"chain enforce", "iifgroup 18263 meta mark & 0x0c000000 == 0x04000000 meta mark set meta mark & 0xf3ffffff accept", "The same for those that came in by a bridge of Gangway."},
		{"chain enforce", "meta mark & 0x0c000000 == 0x00000000 accept", "Nothing was decided about it."},
		{"chain enforce", "oifgroup 18263 goto apply_mark", "Was not accepted, or not by Gangway."},
		{"chain enforce", "iifgroup 18263 goto apply_mark", "The same for those that came in by a bridge of Gangway."},
		{"chain enforce", "meta nfproto @no_transit goto transit_enforce", "And for those that are forwarded because of Gangway alone."},

		{"chain apply_mark", "", "The last word of Gangway on a forwarded packet."},
		{"chain apply_mark", "meta mark & 0x0c000000 == 0x04000000 meta mark set meta mark & 0xf3ffffff accept", "Accepted, by a table of yours."},
		{"chain apply_mark", "meta mark & 0x08000000 != 0x00000000 goto denied", "To be dropped, or DOCKER-USER was asked about it."},
		{"chain denied", "", "What Gangway has refused."},
		{"chain denied", "meta mark & 0x0c000000 == 0x08000000 drop", "No iptables has asked DOCKER-USER about it: is dropped here."},
		{"chain denied", "jump refused", "DOCKER-USER has accepted it: what was counted is taken off."},
		{"chain denied", "meta mark set meta mark & 0xf3ffffff", "Clears Gangway's two bits."},

		{"chain postrouting", "", "Changes the source address where that is needed; one step behind nat POSTROUTING of iptables, where rules of yours come first. Like prerouting it sees the first packet of a flow only."},
		{"chain postrouting", "oifgroup 18263 goto hairpin", "Goes to a bridge of Gangway."},
		{"chain postrouting", "meta nfproto ipv4 goto egress4", "Leaves by a link that is no bridge of Gangway."},

		{"chain hairpin", "", "Gives packets the bridge's address where the answer would not come back otherwise."},
		{"chain hairpin", "ip saddr 127.0.0.0/8 masquerade", "From the host's 127.0.0.1 to a container, by a published port: takes the bridge's address, since a container could not answer 127.0.0.1."},
		{"chain hairpin", "ct status dnat ip saddr @subnets4 goto from_network4", "A container, or the host by a gateway's address, asked for a published port. Who asks from outside keeps his address."},
		{"chain from_network4", "", "From a network to a published port."},
		{"chain from_network4", "ip saddr . oifname @hairpin4 masquerade", "Hairpin: a container asked for a published port of its own network. Without the bridge's address as the source, the answer would go straight to the container that asked, from an address that it never asked."},
		{"chain from_network4", "ip saddr . ip daddr @direct4 masquerade", "A container asked for a published port of one that is in its network as well: the same."},

		{"chain egress4", "", "What leaves Gangway's networks, and what others send."},
		{"chain egress4", "snat ip prefix to ip saddr map @outside4", "IPv6 of a network with `gangway.ipv6=prefix`: takes the address with the same host part behind the host's prefix."},
		{"chain egress4", "ip saddr . udp sport @preserved_port4 goto preserve_port4", "From a UDP port that the container publishes as it is: keeps it, since peers expect to hear from that."},
		{"chain egress4", "ip saddr . udp sport @preserved_range4 goto preserve_port4", "The same for long runs of ports."},
		{"chain egress4", "meta l4proto tcp goto high_port4", "Gets another port."},
		{"chain egress4", "meta l4proto udp goto high_port4", "Gets another port."},
		{"chain egress4", "meta l4proto sctp goto high_port4", "Gets another port."},
		{"chain egress4", "goto preserve_port4", "Has no ports."},

		{"chain high_port4", "", "Gives a source address, and a port at random, out of a range for each protocol. Who has a port of the host as his source takes what answers from outside send there. So the range has no port that is published, and none on which the host itself listens: with such a port from 32768 on it is a smaller one than here."},
		{"chain high_port4", "meta l4proto tcp snat ip to ip saddr map @source4:32768-65535 fully-random", "From a network that names its address (`host_ipv4`, `host_ipv6`): takes that one."},
		{"chain high_port4", "meta l4proto tcp ip saddr @masquerade4 masquerade to :32768-65535 fully-random", "From one that masquerades: takes the address of the link that it leaves by."},
		{"chain high_port4", "meta l4proto udp snat ip to ip saddr map @source4:32768-65535 fully-random", "The same for UDP."},
		{"chain high_port4", "meta l4proto udp ip saddr @masquerade4 masquerade to :32768-65535 fully-random", "The same for UDP."},
		{"chain high_port4", "meta l4proto sctp snat ip to ip saddr map @source4:32768-65535 fully-random", "The same for SCTP."},
		{"chain high_port4", "meta l4proto sctp ip saddr @masquerade4 masquerade to :32768-65535 fully-random", "The same for SCTP."},

		{"chain preserve_port4", "", "Gives a source address alone."},
		{"chain preserve_port4", "snat ip to ip saddr map @source4", "From a network that names its address (`host_ipv4`, `host_ipv6`): takes that one."},
		{"chain preserve_port4", "ip saddr @masquerade4 masquerade", "From one that masquerades: takes the address of the link that it leaves by."},
	}
}

// nftablesSets explain the sets and maps, which hold what differs from network
// to network.
func nftablesSets() []explanation {
	return []explanation{
		{"within", "", "One for each network: its bridge twice, as the link that packets come from and go to. `goto permit` lets its containers talk to each other, `goto isolated` (`enable_icc=false`) does not."},
		{"external", "", "Bridges of networks that are not closed (`--internal`, `gangway.uplink`, `gangway.gateway`)."},
		{"gateways4", "", "Containers by which a network is left that is closed otherwise (`gangway.gateway`), each with its bridge."},
		{"bridges", "", "The networks' bridges: known by name when somebody takes them out of the interface group. The fail-closed table, where there is one, has such a set as well."},
		{"hairpin4", "", "One for each subnet that is translated: within it, what came by a published port takes the bridge's address."},
		{"uplinks", "", "Bridges of the host that lead outside: with a card of the host in them, or with the default route. Gangway follows what the kernel tells of links and routes."},
		{"same_link", "", "Each link that leads outside, twice: as the one that packets come from and go to."},
		{"no_transit", "", "Families that the host forwards because Gangway turned it on: nobody else's setting did. It stays when the last network goes, as forwarding does, until the host boots."},
		{"subnets4", "", "Subnets of all networks: their addresses come by their own bridge, or are dropped."},
		{"subnet_bridge4", "", "Each of these subnets with its bridge."},
		{"refused", "", "Counters of refused packets by bridge and reason (1 `spoofed`, 2 `unpublished`, 3 `isolated`, 4 `icc`), for what has no place in the other two. Packets put elements into these sets, nobody else, and they go ten minutes after the last one."},
		{"refused4", "", "The same by the container's address as well, 1024 of them."},
		{"spoofed4", "", "Counters of packets with an address of a network that came by another link."},
		{"preserved_port4", "", "UDP ports that a container publishes under the same number: its address and port."},
		{"preserved_range4", "", "Runs of 64 and more of them."},
		{"direct4", "", "One for each subnet that a container is in beside the network of the address: clients there get the answers of its published ports by way of the host."},
		{"masquerade4", "", "Subnets whose packets take the host's address on the way out; not with `enable_ip_masquerade=false`, in gateway mode routed, or on internal networks."},
		{"source4", "", "In place of masquerade4 for networks with `host_ipv4` or `host_ipv6`: the subnet, and the address that its packets take."},
		{"outside4", "", "Subnets of networks with `gangway.ipv6=prefix`, and what each is outside today."},
		{"translated4", "", "Subnets of these networks, whether the host has a prefix or not."},
		{"untranslated4", "", "Those of them for which the host has no prefix."},
		{"inward4", "", "Ports that such containers publish: protocol, the container's address outside and its port, and its own address."},
		{"inward_range4", "", "Runs of 64 and more of them."},
		{"unprotected4", "", "Bridges of networks in gateway mode nat-unprotected: whoever has a route reaches all ports."},
		{"routed4", "", "Bridges of networks in gateway mode routed: whoever has a route may ping, and gets error messages through."},
		{"port4", "", "Published ports: protocol and port of the host, and the container's address and port. A run of fewer than 64 ports, or one whose ports differ inside, has one for each port; finding one costs the same with one as with thousands."},
		{"port_at4", "", "Ports that are published on one address of the host."},
		{"range_tcp4", "", "Runs of 64 and more TCP ports that are the same inside: one element for the whole run."},
		{"range_udp4", "", "Runs of 64 and more UDP ports that are the same inside: one element for the whole run."},
		{"range_sctp4", "", "Runs of 64 and more SCTP ports that are the same inside: one element for the whole run."},
		{"range_at4", "", "Such runs that are published on one address of the host."},
		{"open4", "", "Published ports of networks in gateway mode routed: bridge, protocol, the container's address and its port. There is no port of the host: nothing is translated."},
		{"open_range4", "", "Runs of 64 and more of them."},
		{"open_from4", "", "Published ports of networks with `trusted_host_interfaces`: who comes by that link reaches them by the container's address, too."},
		{"open_range_from4", "", "Runs of 64 and more of them."},
		{"peer_asks4", "", "What containers may ask for of another network: by the links of both, protocol, their own address and port."},
		{"peer_asks_range4", "", "Runs of 64 and more of these ports."},
		{"peer_asks_all4", "", "Containers that may send whatever they want to another network."},
		{"peer_asked4", "", "What containers let another network ask for, in the same way."},
		{"peer_asked_range4", "", "Runs of 64 and more of these ports."},
		{"peer_asked_all4", "", "Containers that let another network send whatever it wants."},
	}
}
