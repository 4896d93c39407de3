// Package nftables is the firewall backend on nf_tables, through netlink.
//
// Everything stands in one table, inet gangway. Its chains and rules are
// always the same; networks and published ports are elements of its sets and
// maps, so that neither the way of a packet nor the cost of a change grows with
// their number:
//
//	guard        raw         containers do not reach the host's 127.0.0.0/8
//	prerouting   dstnat+1  → ports4, ports6   published ports, packets of others
//	output       dstnat+1  → ports4, ports6   published ports, the host's own packets
//	postrouting  srcnat+1    masquerade and hairpin
//	classify     filter-1  → into, outof      accept or drop, as a mark (→ open4, open6: new flows by address)
//	enforce      filter+1    drops what is marked, and clears the marks
//
// A verdict in a chain of nf_tables does not end the way through the chains of
// iptables, and an engine's policy there may be DROP. So forwarded packets are
// classified before iptables, by two bits of the mark (firewall.MarkMask), and
// a Gate puts a constant number of rules into iptables that follow the mark:
// behind DOCKER-USER, the administrator's last word. A packet to drop that
// never came to DOCKER-USER, since there are no iptables or somebody flushed
// them, is dropped by enforce. NAT comes one step after that of iptables, where
// the administrator's own redirections are.
//
// Invariant: the table is what Sync's argument compiles to, element for
// element, and changes in single transactions; it exists while it holds
// elements. Between two changes nothing is listed: the backend knows what the
// kernel holds as long as nobody else changes it, which the kernel's generation
// number tells.
//
// The package refuses to touch tables of others, policies and sysctls. It needs
// a kernel with NAT in the inet family and intervals in concatenations (5.6).
package nftables
