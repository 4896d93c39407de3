package rules

import "slices"

// iptablesRules explain what the iptables backend has. Names in capitals stand
// for what differs from network to network.
func iptablesRules() []explanation {
	return slices.Concat(iptablesArrival(), iptablesForward(), iptablesWithin(), iptablesRefused(), iptablesOut(), iptablesDeparture())
}

// iptablesArrival explain what a packet meets before it is known where it goes.
func iptablesArrival() []explanation {
	return []explanation{
		{"raw PREROUTING", "", "Not Gangway's chain: one rule in it, before all that may accept, leads to GANGWAY-SOURCE-CHECK."},
		{"raw PREROUTING", "! -i lo -j GANGWAY-SOURCE-CHECK", "Came in from elsewhere."},
		{"raw GANGWAY-SOURCE-CHECK", "", "Drops what has a source that cannot come by the link that it came by. It comes before connection tracking: what the connection table says of a flow can be believed only if the flow began with who it says."},
		{"raw GANGWAY-SOURCE-CHECK", "-d 127.0.0.0/8 -m devgroup --src-group 0x4757 -j DROP", "Came in by a bridge of Gangway and wants to go to the host's loopback. All these bridges are in interface group 0x4757 (\"GW\"), so one comparison finds them, however many networks there are. Gangway lets packets of 127.0.0.1 leave to its bridges (`route_localnet`), so that a port published on 127.0.0.1 works; this rule keeps that from being a way in the other direction."},
		{"raw GANGWAY-SOURCE-CHECK", "-m devgroup --src-group 0x4757 -m rpfilter -j RETURN", "Came in by a bridge of Gangway, and the host has a route to its source by that bridge: an address of the network, or what is routed to a container."},
		{"raw GANGWAY-SOURCE-CHECK", "-s SUBNET ! -i BRIDGE -j DROP", "Has the address of a container, or of a network's gateway, and came by another link. A container that is in two networks and answers on the wrong one is dropped, too. What has an address of no network of Gangway passes: it may be routed to a container."},

		{"nat PREROUTING", "", "Not Gangway's chain: one rule in it, behind all others, leads to GANGWAY-DNAT as long as ports are published. Chains of nat see the first packet of a flow only; the connection table does the same to all others, and the reverse to the answers."},
		{"nat PREROUTING", "! -d LOOPBACK -m addrtype --dst-type LOCAL -j GANGWAY-DNAT", "To an address of the host: may be a published port. Not to loopback: 127.0.0.0/8 is nobody's but the host's, and for `[::1]` the relays of the daemon answer."},
		{"nat PREROUTING", "! -s fe80::/10 ! -d LOOPBACK -m addrtype --dst-type LOCAL -j GANGWAY-DNAT", "The same in IPv6. What comes from a link-local address the kernel forwards to no other link: the relays answer it, too."},
		{"nat PREROUTING", "-m addrtype ! --dst-type LOCAL -j GANGWAY-INWARD", "IPv6 to anybody else: may be a container's address behind the host's prefix (`gangway.ipv6=prefix`)."},
		{"nat GANGWAY-INWARD", "", "What containers publish at their addresses behind the host's prefix, one rule for each run of ports."},
		{"nat GANGWAY-INWARD", "-d ADDR -p PROTO -m PROTO --dport PORTS -j DNAT --to-destination TARGET", "The packet gets the container's own address as its destination."},
		{"nat OUTPUT", "", "Not Gangway's chain: the same for packets that the host itself sends, which never come by PREROUTING."},
		{"nat OUTPUT", "-m addrtype --dst-type LOCAL -j GANGWAY-DNAT", "To an address of the host, 127.0.0.1 included: may be a published port."},
		{"nat OUTPUT", "! -s fe80::/10 ! -d LOOPBACK -m addrtype --dst-type LOCAL -j GANGWAY-DNAT", "The same in IPv6, without `[::1]` and link-local addresses, where the relays of the daemon answer."},
		{"nat GANGWAY-DNAT", "", "Published ports, one rule for each run of ports. A new connection is compared with one after the other."},
		{"nat GANGWAY-DNAT", "-p PROTO -m PROTO --dport PORTS -j DNAT --to-destination TARGET", "Published on all addresses of the host: the packet gets the container's address as its destination, and the container's port where that is another one. `8000-8002` leading to `80-82/8000` counts from 80 as the host's ports count from 8000."},
		{"nat GANGWAY-DNAT", "-d ADDR -p PROTO -m PROTO --dport PORTS -j DNAT --to-destination TARGET", "Published on one address of the host."},
	}
}

// iptablesWithin explain what passes within bridges to which the host's own addresses have moved
// (gangway.uplink.move).
func iptablesWithin() []explanation {
	return []explanation{
		{"filter FORWARD", "-j GANGWAY-LAN", "There is a network on the LAN that the host itself is on by the same bridge. Where br_netfilter shows such frames here, an engine's policy DROP would cut the LAN off."},
		{"filter GANGWAY-LAN", "", "Frames that stay within the bridge of such a network."},
		{"filter GANGWAY-LAN", "-i BRIDGE -o BRIDGE -j GANGWAY-WITHIN", "Comes from that bridge and leaves by it."},
		{"filter GANGWAY-WITHIN", "", "What stays on the LAN is as on a switch."},
		{"filter GANGWAY-WITHIN", "-j DOCKER-USER", "Your own rules go first, where an engine has made the chain."},
		{"filter GANGWAY-WITHIN", "-j ACCEPT", "The rest passes."},
	}
}

// iptablesForward explain what is decided about packets that pass from one
// link to another.
func iptablesForward() []explanation {
	return []explanation{
		{"filter FORWARD", "", "Not Gangway's chain. Its policy may be DROP; engines set that. Gangway's place in it is before all that may accept, also before the engine's rules."},
		{"filter FORWARD", "-j GANGWAY-FORWARD", "All that passes from one link to another comes here."},
		{"filter GANGWAY-FORWARD", "", "What concerns Gangway's bridges. All of them are in interface group 0x4757 (\"GW\"), so one comparison finds them, however many networks there are. Your own rules in DOCKER-USER are asked first: what they drop is dropped, what they accept is accepted. Two bits of the mark say so to the tables of nf_tables behind iptables; what is accepted by others, before this chain or behind it, bears no such note."},
		{"filter GANGWAY-FORWARD", "-m devgroup ! --src-group 0x4757 ! --dst-group 0x4757 -j RETURN", "Neither comes from a bridge of Gangway nor leaves by one."},
		{"filter GANGWAY-FORWARD", "-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu", "Opens a connection, or answers that. TCP is had to say how large segments may be on the way, where the way takes less than the sender's own link: where ICMP is filtered, nobody else tells the sender."},
		{"filter GANGWAY-FORWARD", "-j MARK --set-xmark 0xc000000/0xc000000", "Notes that DOCKER-USER is asked: who leaves it with this note was accepted there."},
		{"filter GANGWAY-FORWARD", "-j DOCKER-USER", "The chain that the engine keeps for your own rules. This rule is there if the chain is."},
		{"filter GANGWAY-FORWARD", "-j MARK --set-xmark 0x8000000/0xc000000", "Notes that it did not: from here on Gangway's rules decide, and who passes none of them is dropped behind iptables."},
		{"filter GANGWAY-FORWARD", "-j GANGWAY-INTERNAL", "They begin here."},

		{"filter GANGWAY-INTO-NETWORK", "", "What may enter a network. Whoever matches nothing here is dropped."},
		{"filter GANGWAY-INTO-NETWORK", "-m devgroup --src-group 0x4757 -j GANGWAY-BETWEEN", "From a network of Gangway: another one, or the same."},
		{"filter GANGWAY-INTO-NETWORK", "-m conntrack --ctstate DNAT -j GANGWAY-ACCEPT", "Was sent to a published port, and got its new destination from GANGWAY-DNAT; or goes on in a flow that was."},
		{"filter GANGWAY-INTO-NETWORK", "-m conntrack --ctstate RELATED,ESTABLISHED -j GANGWAY-ESTABLISHED", "From another link: may be an answer to what a container asked, or an error message about it."},
		{"filter GANGWAY-INTO-NETWORK", "-j GANGWAY-OPEN", "Is it open by the container's own address?"},
		{"filter GANGWAY-INTO-NETWORK", "-j GANGWAY-REFUSED", "The outside asks for what was not published, or somebody who may not: is counted, and dropped."},
		{"filter GANGWAY-INTO-NETWORK", "-j DROP", "In case somebody took rules out of that chain."},
		{"filter GANGWAY-ESTABLISHED", "", "Answers come from outside, by one of the links that lead there. From a bridge of others with containers or virtual machines comes none, but by a published port."},
		{"filter GANGWAY-ESTABLISHED", "-i LINK -j GANGWAY-ACCEPT", "An answer."},
		{"filter GANGWAY-BETWEEN", "", "From network to network. That the connection table knows a flow is not enough here: the way between two networks is a published port, or what a network opens."},
		{"filter GANGWAY-BETWEEN", "-m conntrack --ctstate DNAT -j GANGWAY-ACCEPT", "Was sent to a published port, or is the answer."},
		{"filter GANGWAY-BETWEEN", "-j GANGWAY-ICC", "Is it from and to the same network?"},
		{"filter GANGWAY-BETWEEN", "-m conntrack --ctstate RELATED,ESTABLISHED --ctdir REPLY -j GANGWAY-PEERS-REPLY", "Goes the way of answers: may be one of what the policies of both sides open."},
		{"filter GANGWAY-BETWEEN", "-m conntrack --ctstate RELATED,ESTABLISHED --ctdir REPLY -j GANGWAY-REPLY", "Goes the way of answers: may be one of what is open."},
		{"filter GANGWAY-BETWEEN", "-j GANGWAY-PEERS", "Do the policies of both sides name each other's network (`network:NAME`)? GANGWAY-PEERS has the half of the container that begins the flow, GANGWAY-PEERS-ASKED that of the one that is asked. Without such policies there is nothing in these chains."},
		{"filter GANGWAY-BETWEEN", "-j GANGWAY-OPEN", "Is it open by the container's own address?"},
		{"filter GANGWAY-BETWEEN", "-j GANGWAY-ISOLATED", "Another network asks for what was not published: is counted, and dropped."},
		{"filter GANGWAY-BETWEEN", "-j DROP", "In case somebody took rules out of that chain."},

		{"filter GANGWAY-INTERNAL", "", "Cuts internal networks (`--internal`) off from everything but themselves. The way to all that accepts is at its end: a chain that somebody emptied opens nothing."},
		{"filter GANGWAY-INTERNAL", "-m devgroup --dst-group 0x4757 -j GANGWAY-INTO-NETWORK", "Would leave by a bridge of Gangway."},
		{"filter GANGWAY-INTERNAL", "-m devgroup --src-group 0x4757 ! --dst-group 0x4757 -j GANGWAY-OUT-OF-NETWORK", "Came in by a bridge of Gangway and leaves by another link."},
		{"filter GANGWAY-INTERNAL", "-i BRIDGE ! -o BRIDGE -j DROP", "Out of the internal network."},
		{"filter GANGWAY-INTERNAL", "! -i BRIDGE -o BRIDGE -j DROP", "Into the internal network."},
		{"filter GANGWAY-INTERNAL", "! -s ADDR -i BRIDGE ! -o BRIDGE -j DROP", "Out of a network that is left by a container (`gangway.gateway`), but for what that one sends."},
		{"filter GANGWAY-INTERNAL", "! -d ADDR ! -i BRIDGE -o BRIDGE -j DROP", "Into that network, but for what that container gets."},

		{"filter GANGWAY-ICC", "", "One rule for each network: may its containers talk to each other? It is met where br_netfilter shows the firewall what passes within a bridge, and by packets that took the way over the host's address. The rule is there in both families, whatever addresses the network has."},
		{"filter GANGWAY-ICC", "-i BRIDGE -o BRIDGE -j GANGWAY-ACCEPT", "From and to the same network: its containers may talk to each other."},
		{"filter GANGWAY-ICC", "-i BRIDGE -o BRIDGE -j DROP", "From and to the same network, with `enable_icc=false`: its containers may not talk to each other. Answers, and what was sent to a published port, were accepted before."},

		{"filter GANGWAY-OPEN", "", "What is open by the container's own address. For a network in gateway mode nat there is nothing here: from outside its containers are reached by published ports alone, also by who has a route to them."},
		{"filter GANGWAY-OPEN", "-o BRIDGE -j GANGWAY-ACCEPT", "Gateway mode nat-unprotected: every port, also of what is routed to a container."},
		{"filter GANGWAY-OPEN", "-o BRIDGE -p icmp -j GANGWAY-ACCEPT", "Gateway mode routed: ping, and the messages that path MTU discovery needs."},
		{"filter GANGWAY-OPEN", "-d ADDR -o BRIDGE -p PROTO -m PROTO --dport PORTS -j GANGWAY-ACCEPT", "Gateway mode routed: published ports. There is no port of the host: nothing is translated."},
		{"filter GANGWAY-OPEN", "-d ADDR -i LINK -o BRIDGE -p PROTO -m PROTO --dport PORTS -j GANGWAY-ACCEPT", "Published ports, from a link in `trusted_host_interfaces`."},

		{"filter GANGWAY-REPLY", "", "Answers of what is open: the rules of GANGWAY-OPEN with the source in the place of the destination. They are asked for what goes from one network to another, or to a network of others."},
		{"filter GANGWAY-REPLY", "-s SUBNET -i BRIDGE -j GANGWAY-ACCEPT", "From gateway mode nat-unprotected, and an address of the network: nobody answers in the name of somebody else."},
		{"filter GANGWAY-REPLY", "-s SUBNET -i BRIDGE -p icmp -j GANGWAY-ACCEPT", "From gateway mode routed: answers to pings, and error messages."},
		{"filter GANGWAY-REPLY", "-s ADDR -i BRIDGE -p PROTO -m PROTO --sport PORTS -j GANGWAY-ACCEPT", "From a port that is published in gateway mode routed."},
		{"filter GANGWAY-REPLY", "-s ADDR -i BRIDGE -o LINK -p PROTO -m PROTO --sport PORTS -j GANGWAY-ACCEPT", "From a published port to a link in `trusted_host_interfaces`."},
	}
}

// iptablesRefused explain what counts packets that are not accepted.
func iptablesRefused() []explanation {
	return []explanation{
		{"filter GANGWAY-REFUSED", "", "Counts what is refused, by where it comes from. Packets that are accepted never get here, so one rule for each network costs them nothing; `gangway networks --json` shows the counters of these rules, and of all others that drop for one network."},
		{"filter GANGWAY-REFUSED", "-i LINK -j GANGWAY-UNPUBLISHED", "From outside."},
		{"filter GANGWAY-REFUSED", "-j GANGWAY-ISOLATED", "From a bridge of others."},
		{"filter GANGWAY-UNPUBLISHED", "", "The outside asks for what was not published."},
		{"filter GANGWAY-UNPUBLISHED", "-o BRIDGE -j DROP", "Into this network; counted as `unpublished`."},
		{"filter GANGWAY-ISOLATED", "", "Another network, or one of others, asks for what was not published."},
		{"filter GANGWAY-ISOLATED", "-o BRIDGE -j DROP", "Into this network; counted as `isolated`."},
		{"filter GANGWAY-ISOLATED-OUT", "", "To a network of others."},
		{"filter GANGWAY-ISOLATED-OUT", "-i BRIDGE -j DROP", "Out of this network; counted as `isolated`."},
	}
}

// iptablesOut explain what is decided about packets that leave gangway's networks.
func iptablesOut() []explanation {
	return []explanation{
		{"filter GANGWAY-OUT-OF-NETWORK", "", "What may leave a network, to anything but a network of Gangway."},
		{"filter GANGWAY-OUT-OF-NETWORK", "-m conntrack --ctstate INVALID,UNTRACKED -j GANGWAY-UNTRACKED", "IPv6 of no tracked flow: nothing translates it."},
		{"filter GANGWAY-UNTRACKED", "", "Networks with `gangway.ipv6=prefix`, whether the host has a prefix or not."},
		{"filter GANGWAY-UNTRACKED", "-s SUBNET -i BRIDGE -j DROP", "It would leave with the container's own address."},
		{"filter GANGWAY-OUT-OF-NETWORK", "-m conntrack --ctdir ORIGINAL -j GANGWAY-UNTRANSLATED", "IPv6, and no answer: is there an address for it outside?"},
		{"filter GANGWAY-UNTRANSLATED", "", "Networks with `gangway.ipv6=prefix`, for which the host has no prefix at the moment."},
		{"filter GANGWAY-UNTRANSLATED", "-s SUBNET -i BRIDGE -j DROP", "Nothing leaves."},
		{"filter GANGWAY-OUT-OF-NETWORK", "-j GANGWAY-OUTSIDE", "Does it go outside?"},
		{"filter GANGWAY-OUT-OF-NETWORK", "-j GANGWAY-FOREIGN", "No: to a bridge of others."},
		{"filter GANGWAY-OUTSIDE", "", "The links that lead outside, one rule each: all that are no bridges, and bridges with a card of the host in them or with the default route. Gangway follows what the kernel tells of links and routes. What is not here is closed."},
		{"filter GANGWAY-OUTSIDE", "-o LINK -j GANGWAY-ACCEPT", "To the outside, and answers to the outside."},
		{"filter GANGWAY-FOREIGN", "", "To a network of others: containers of the engine's built-in driver, of podman or LXD, virtual machines of libvirt. Their own rules decide about what they may know of, and nothing else gets there. Gangway's networks and those are as separate as two networks of either."},
		{"filter GANGWAY-FOREIGN", "-m conntrack --ctstate DNAT -j RETURN", "Was sent to a port that is published there, or is the answer of one that is published here: the rules of others decide."},
		{"filter GANGWAY-FOREIGN", "-m conntrack --ctstate RELATED,ESTABLISHED --ctdir REPLY -j GANGWAY-REPLY", "Goes the way of answers: may be one of what is open."},
		{"filter GANGWAY-FOREIGN", "-j GANGWAY-ISOLATED-OUT", "A new flow from container to container: is counted, and dropped."},
		{"filter GANGWAY-FOREIGN", "-j DROP", "In case somebody took rules out of that chain."},

		{"filter FORWARD", "-m devgroup ! --dst-group 0x4757 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j GANGWAY-TRANSIT", "Behind all rules of others: a new flow to no network of Gangway, that nobody publishes and no rule has accepted. It is there in the families that Gangway turned forwarding on for, and stays when the last network goes, as forwarding does, until the host boots."},
		{"filter GANGWAY-TRANSIT", "", "The host was no router before Gangway turned forwarding on, and is none now. With the iptables backend it has one rule for each link that leads outside; what comes by any other is of containers and virtual machines, which have to get out."},
		{"filter GANGWAY-TRANSIT", "-i LINK ! -o LINK -j DROP", "From a neighbour of the host to another link. What stays on its link is a frame on a bridge, which br_netfilter shows to the firewall."},

		{"filter GANGWAY-ACCEPT", "", "May pass."},
		{"filter GANGWAY-ACCEPT", "-j MARK --set-xmark 0x4000000/0xc000000", "Notes \"accept\" in two bits of the mark, for the fail-closed table below."},
		{"filter GANGWAY-ACCEPT", "-j ACCEPT", "Accepted."},
	}
}

// iptablesDeparture explain what changes source addresses.
func iptablesDeparture() []explanation {
	return []explanation{
		{"nat POSTROUTING", "", "Not Gangway's chain: one rule in it, behind all others, leads to GANGWAY-SNAT."},
		{"nat POSTROUTING", "-j GANGWAY-SNAT", "Leads to Gangway's rules about source addresses. The first packet of every flow comes here."},
		{"nat GANGWAY-SNAT", "", "Changes the source address where that is needed."},
		{"nat GANGWAY-SNAT", "-m devgroup --dst-group 0x4757 -g GANGWAY-HAIRPIN", "Goes to a bridge of Gangway."},
		{"nat GANGWAY-SNAT", "-j GANGWAY-OUTWARD", "IPv6: is it of a network with `gangway.ipv6=prefix`?"},
		{"nat GANGWAY-OUTWARD", "", "Networks with `gangway.ipv6=prefix`."},
		{"nat GANGWAY-OUTWARD", "-s SUBNET -j NETMAP --to PREFIX", "Takes the address with the same host part behind the host's prefix, and keeps its port."},
		{"nat GANGWAY-SNAT", "-p udp -j GANGWAY-PRESERVE-PORT", "Does it keep its port?"},
		{"nat GANGWAY-SNAT", "-j GANGWAY-EGRESS", "Leaves by another link."},
		{"nat GANGWAY-SNAT", "-j GANGWAY-EGRESS-OTHER", "What has no ports."},
		{"nat GANGWAY-HAIRPIN", "", "Gives packets the bridge's address where the answer would not come back otherwise."},
		{"nat GANGWAY-HAIRPIN", "-s 127.0.0.0/8 -j MASQUERADE", "From the host's 127.0.0.1 to a container, by a published port: a container could not answer 127.0.0.1."},
		{"nat GANGWAY-HAIRPIN", "-s SUBNET -o BRIDGE -m conntrack --ctstate DNAT -j MASQUERADE", "Hairpin: a container asked for a published port of its own network. Without the bridge's address as the source, the answer would go straight to the container that asked, from an address that it never asked."},
		{"nat GANGWAY-HAIRPIN", "-s SUBNET -d ADDR -m conntrack --ctstate DNAT -j MASQUERADE", "A container asked for a published port of one that is in its network as well: the same."},
		{"nat GANGWAY-PRESERVE-PORT", "", "UDP ports that a container publishes as they are: what it sends from them keeps its port, since peers expect to hear from that."},
		{"nat GANGWAY-PRESERVE-PORT", "-s ADDR -p PROTO -m PROTO --sport PORTS -j MASQUERADE", "Takes the address of the link that it leaves by."},
		{"nat GANGWAY-PRESERVE-PORT", "-s ADDR -p PROTO -m PROTO --sport PORTS -j SNAT --to-source SOURCE", "Takes the address that its network names (`host_ipv4`, `host_ipv6`)."},
		{"nat GANGWAY-EGRESS", "", "What leaves Gangway's networks."},
		{"nat GANGWAY-EGRESS", "-s SUBNET -j GANGWAY-MASQUERADE", "From a network that masquerades."},
		{"nat GANGWAY-EGRESS", "-s SUBNET -p PROTO -j SNAT --to-source SOURCE --random-fully", "From one that names its address (`host_ipv4`, `host_ipv6`): takes that one, and a port as below."},
		{"nat GANGWAY-EGRESS-OTHER", "", "The same for what has no ports."},
		{"nat GANGWAY-EGRESS-OTHER", "-s SUBNET -j SNAT --to-source SOURCE", "From a network that names its address."},
		{"nat GANGWAY-MASQUERADE", "", "Gives the address of the link that a packet leaves by, and a port at random, out of a range for each protocol. Who has a port of the host as his source takes what answers from outside send there. So the range has no port that is published, and none on which the host itself listens: with such a port from 32768 on it is a smaller one than here."},
		{"nat GANGWAY-MASQUERADE", "-p tcp -j MASQUERADE --to-ports 32768-65535 --random-fully", "TCP."},
		{"nat GANGWAY-MASQUERADE", "-p udp -j MASQUERADE --to-ports 32768-65535 --random-fully", "UDP."},
		{"nat GANGWAY-MASQUERADE", "-p sctp -j MASQUERADE --to-ports 32768-65535 --random-fully", "SCTP."},
		{"nat GANGWAY-MASQUERADE", "-j MASQUERADE", "Has no ports."},
	}
}

// failClosedChains explain the table that goes with rules that others can take away.
func failClosedChains() []explanation {
	return []explanation{
		{"chain loopback", "", "Keeps containers from the services that the host offers on 127.0.0.0/8 only, as GANGWAY-SOURCE-CHECK does."},
		{"chain loopback", "iifgroup 18263 ip daddr 127.0.0.0/8 drop", "Came in by a bridge of Gangway and wants to go to the host's loopback."},
		{"chain loopback", "ip daddr 127.0.0.0/8 meta iifkind \"bridge\" iifname @bridges drop", "The same by a bridge that somebody took out of the interface group: Gangway puts it back within moments."},
		{"chain forward", "", "Behind iptables: lets through what has a note that Gangway's rules, or yours in DOCKER-USER, accepted it."},
		{"chain forward", "oifgroup 18263 goto to_bridge", "Would leave by a bridge of Gangway."},
		{"chain forward", "meta oifkind \"bridge\" oifname @bridges drop", "Would leave by a bridge that somebody took out of the interface group, by which the other rules know it. Gangway puts it back within moments; until then nothing passes."},
		{"chain forward", "iifgroup 18263 goto from_bridge", "Came in by a bridge of Gangway and leaves by another link."},
		{"chain forward", "meta iifkind \"bridge\" iifname @bridges drop", "Came in by a bridge that somebody took out of the group."},
		{"chain to_bridge", "", "To a container."},
		{"chain to_bridge", "meta mark & 0x04000000 != 0x00000000 goto accepted", "Accepted."},
		{"chain to_bridge", "drop", "No rule has accepted it: they are missing."},
		{"chain from_bridge", "", "From a container to the outside or to the engine's networks."},
		{"chain from_bridge", "meta mark & 0x04000000 != 0x00000000 goto accepted", "Accepted."},
		{"chain from_bridge", "ct status dnat goto accepted", "To a port that a container of the engine publishes: the engine's rules decide."},
		{"chain from_bridge", "drop", "No rule has accepted it."},
		{"chain accepted", "", "Takes the note off the packet."},
		{"chain accepted", "meta mark set meta mark & 0xf3ffffff", "Clears Gangway's two bits: nothing of them leaves the host, or meets rules further on."},
	}
}

// forwardHookRules explain what the nftables backend has in iptables.
func forwardHookRules() []explanation {
	return []explanation{
		{"filter FORWARD", "-m mark ! --mark 0x0/0xc000000 -j GANGWAY-FORWARD", "What Gangway has decided about. Packets of others have no mark, and go on to the engine's rules after one comparison."},
		{"filter GANGWAY-FORWARD", "-m devgroup ! --src-group 0x4757 ! --dst-group 0x4757 -g GANGWAY-NEIGHBOURS", "Neither comes from a bridge of Gangway nor goes to one: the bits may be somebody else's. Where the host was a router before, the rule returns."},
		{"filter GANGWAY-NEIGHBOURS", "", "Others' packets, in a family that is forwarded because of Gangway."},
		{"filter GANGWAY-NEIGHBOURS", "-m mark --mark 0x8000000/0xc000000 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j MARK --set-xmark 0xc000000/0xc000000", "From a neighbour of the host to another link: it is noted that the rules behind this one are asked. What one of these accepts keeps the note, and passes."},
		{"filter FORWARD", "-m devgroup ! --dst-group 0x4757 -m mark --mark 0xc000000/0xc000000 -j GANGWAY-TRANSIT", "Behind all rules of others: none has accepted it."},
		{"filter GANGWAY-TRANSIT", "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j MARK --set-xmark 0x8000000/0xc000000", "Marked as one to drop again: table `inet gangway` does that."},
		{"filter GANGWAY-FORWARD", "-m mark --mark 0x8000000/0xc000000 -j MARK --set-xmark 0xc000000/0xc000000", "\"Drop\": it is noted that DOCKER-USER is asked. Who leaves it with this note was accepted there."},
		{"filter GANGWAY-FORWARD", "-m mark --mark 0x4000000/0xc000000 -j ACCEPT", "\"Accept\". Without it the FORWARD policy of an engine would drop the packet."},
		{"filter GANGWAY-FORWARD", "-m mark --mark 0xc000000/0xc000000 -j MARK --set-xmark 0x8000000/0xc000000", "It did not accept the packet: \"drop\" again."},
		{"filter GANGWAY-FORWARD", "-m mark --mark 0x8000000/0x8000000 -j DROP", "\"Drop\", by either of its notes."},
	}
}

// linkSettings explain what networks set beside the rules.
func linkSettings() []explanation {
	return []explanation{
		{"bridge", "alias", "Says whose the bridge is. What does not carry it is never deleted; a bridge that was there before keeps its own."},
		{"bridge", "group", "The interface group by which the rules know bridges of Gangway."},
		{"bridge", "mtu", "Of the option `com.docker.network.driver.mtu`, for bridge and containers."},
		{"bridge", "up", "The link is switched on."},
		{"bridge", "addresses", "The gateways of the network: the host's addresses in it."},
		{"bridge", "route_localnet", "1 where IPv4 ports are published: on networks that translate IPv4 and are not internal. It lets packets of the host's 127.0.0.1 reach the containers. A rule before connection tracking keeps containers from using it the other way."},
		{"bridge", "disable_ipv6", "1 on networks without IPv6, where the two that follow mean nothing."},
		{"bridge", "accept_ra", "With IPv6 it is 0: a container cannot become the host's router by announcing itself as one. A bridge that was there before keeps its own, since it may be the way to the host's router."},
		{"bridge", "accept_dad", "With IPv6 it is 0: the bridge's link-local address is usable at once."},
		{"port", "mtu", "As the bridge's."},
		{"port", "hairpin", "A frame may leave by the port that it came in by: with br_netfilter, a container's packet to its own published port does."},
		{"port", "bcast_flood", "Off with `enable_icc=false`: what another port sends to everybody does not leave by this one. What the host itself sends to everybody, such as ARP, does."},
		{"port", "mcast_flood", "The same for multicast."},
		{"port", "port_filter", "The filter of what the container sends, which a frame meets before the bridge does (tc, ingress qdisc, classic BPF): it drops what is for the next bridge (01:80:c2:00:00:00 to 0f); with `anti_spoofing` what claims addresses that are not the container's and what poses as a router; with `enable_icc=false` what is for anyone but the host."},
		{"host", "ip_forward", "Turned on with the first container that has IPv4 and is not on an internal network, and left on: others may rely on it. Where it was off, the host is kept from being a router (GANGWAY-TRANSIT, or chain `transit_classify`)."},
		{"host", "ipv6-forwarding", "The same for IPv6."},
	}
}
