// Package guard writes the program that looks at every frame a container sends,
// where it enters the host: at the host end of its veth pair, before the bridge
// sees it. The program is classic BPF, for a tc filter (cls_bpf) in the
// ingress qdisc; package link puts it there.
//
// Invariant: with Reserved set, no frame leaves a container that claims a
// hardware address other than its own, or an address of its network that is not
// its own: as the source of a packet, in ARP, or in neighbour discovery. Nor
// does a router advertisement or a redirect. With HostOnly set, nothing reaches
// another container of the bridge without passing by the host: not IP, not any
// other protocol.
//
// It refuses nothing else. Addresses outside of the network's subnets may be
// anyone's: a container that is a router or the end of a VPN sends packets of
// others, and its administrator may give it further addresses.
//
// Why a classic program in tc: it needs CAP_NET_ADMIN and no more, where eBPF
// needs CAP_BPF; it works under both firewalls, and goes with neither of them
// (nft flush ruleset takes what is in the bridge or netdev families); and it
// sees a frame before anything has learned from it.
package guard
