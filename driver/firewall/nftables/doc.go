// Package nftables is the firewall backend on nf_tables, through netlink.
//
// Everything stands in one table, inet gangway. Its chains and rules are
// always the same, but for the ranges of source ports in those of high_port4 and
// high_port6; networks and published ports are elements of its sets and
// maps, so that neither the way of a packet nor the cost of a change grows with
// their number:
//
//	source_check  raw       → source_check_bridge      sources fit the links that they come by
//	prerouting    dstnat+1  → ports4, ports6           published ports, packets of others
//	output        dstnat+1  → ports4, ports6           published ports, the host's own packets
//	postrouting   srcnat+1  → hairpin, egress4, egress6 hairpin; masquerade (→ high_port4, preserve_port4)
//	classify      filter-1  → into_network, out_of_network   accept or drop, as a mark (→ between, foreign; open4, reply4: by address)
//	                        → transit_classify         what others' links pass on to one another where the host is no router
//	                        → refused                  counts what is marked to be dropped
//	enforce       filter+2  → apply_mark               drops what is marked, and clears the marks (→ transit_enforce)
//
// A verdict in a chain of nf_tables does not end the way through the chains of
// iptables, and an engine's policy there may be DROP. So forwarded packets are
// classified before iptables, by two bits of the mark (firewall.Mark), and
// the FORWARD hook puts a constant number of rules into iptables that follow the mark,
// once DOCKER-USER has had its say, the administrator's last word. A packet to drop that
// never came to DOCKER-USER, since there are no iptables or somebody flushed
// them, is dropped by enforce. Native tables of others, such as those of an
// engine in nftables mode, need no FORWARD hook: an accept there ends nothing, a drop
// stands. NAT comes one step after that of iptables, where the administrator's
// own redirections are.
//
// Invariant: the table is what Sync's argument compiles to, element for
// element, and changes in single transactions; it exists while it holds
// elements. Between two changes nothing is listed: the backend knows what the
// kernel holds as long as nobody else changes it, which cannot be where the table
// has an owner, and which the kernel's generation number tells where it has none.
//
// What is refused is counted in sets that packets write to, refused and with addresses
// refused4 and refused6. It is counted where it is marked, since iptables may drop it
// before this table sees it again; what DOCKER-USER accepts after all is counted once more
// on its way out, as overruled. Whoever overrules by the mark in a table of his own leaves
// no trace of it. Nothing is counted on the way of what gangway accepts, and nothing in
// those sets is damage. While somebody looks (firewall.Log), the chains that count begin
// with a rule that logs.
//
// The table belongs to the backend's connection wherever the kernel can keep it
// when that ends (flags owner and persist, Linux 6.9): `nft flush ruleset` of
// others leaves it out, and every other change by others is refused with EPERM,
// so that there is no moment without isolation in between. New tries both flags
// at once, and that is the only place where it is decided. An owner alone (Linux
// 5.12) is never used for it: the table would go with the process, and with it the
// isolation of containers that run on. Kernels without both have a table that
// everybody can change, and what others do to it is repaired when the kernel tells
// of it; until then the fail-closed table, a second one with an owner alone, drops what the
// first one has not accepted. Where there is neither (Linux 5.6 to 5.11), isolation
// is off until the repair.
//
// A NeighbourLimit is beside either backend: two more tables, which bound how often
// containers ask the host for neighbours.
//
// Rules know bridges by their interface group. One that somebody takes out of it is
// cut off by its name, which is looked up for links of the kind bridge only: to look up
// every name would cost the packets of others more.
//
//	table found           first Sync, or change      told as
//	none                  made                       repair, if it should be there
//	orphan, as it should  owned, nothing written     nothing
//	orphan, damaged       repaired or made anew      repair
//	without owner         made anew, as the flags    one line at level info
//	                      cannot be changed
//	of another process    error after a second       error
//
// Tables that earlier versions called otherwise are removed, see formerNames.
//
// An earlier version, which knows no flags, deletes an orphan and makes its own
// table in one transaction. While nobody owns it, anybody can delete it.
//
// The package refuses to touch tables of others, policies and sysctls. It needs
// a kernel with NAT in the inet family and intervals in concatenations (5.6).
package nftables
