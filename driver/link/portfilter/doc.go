// Package portfilter writes the program that looks at every frame a container sends,
// where it enters the host: at the host end of its veth pair, before the bridge
// sees it. The program is classic BPF, for a tc filter (cls_bpf) in the
// ingress qdisc; package link puts it there.
//
// Invariant: with Reserved set, no frame leaves a container that claims a
// hardware address other than its own, or an address of its network that is not
// its own: as the source of a packet, in ARP, or in neighbour discovery. Nor
// does a router advertisement, a redirect, or what a client of DHCP or DHCPv6
// takes for an answer. What neighbours remember it by, the senders of ARP and of
// solicitations and the targets of advertisements, is the container's own and a
// few more, whatever it sends: the kernel keeps what all namespaces of the machine
// remember in one table, of 1024 addresses a family. With HostOnly set, nothing reaches
// another container of the bridge without passing by the host: not IP, not any
// other protocol.
//
// It refuses nothing else. Addresses outside of the network's subnets may be the
// source of packets: a container that is a router or the end of a VPN sends
// packets of others. It asks for its neighbours in its own name, as a router does;
// one that sends from a further address of its own asks in that one's unless
// net.ipv4.conf.*.arp_announce is 2.
//
// Why a classic program in tc: it needs CAP_NET_ADMIN and no more, where eBPF
// needs CAP_BPF; it works under both firewalls, and goes with neither of them
// (nft flush ruleset takes what is in the bridge or netdev families); and it
// sees a frame before anything has learned from it.
//
// Why it only judges, and hands no frame to a neighbour's port itself (bpf_redirect):
// docs/performance.md has what that gains, and what it would pass by.
package portfilter
