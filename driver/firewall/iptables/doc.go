// Package iptables is the firewall backend on iptables and ip6tables, in their
// nf_tables or legacy variant: the one that the engine uses, or the host's
// default beside an engine that uses none.
//
// Every rule stands in a chain named GANGWAY-*; in the chains of others there
// is one jump for each of them, and only while it holds rules:
//
//	filter FORWARD      → GANGWAY-FORWARD       before the engine's rules
//	                                            asks DOCKER-USER
//	                    → GANGWAY-INTERNAL      drops what may not, leads on to:
//	    to a bridge     → GANGWAY-INTO-NETWORK     (→ GANGWAY-BETWEEN, -ESTABLISHED, -ICC, -OPEN, -REPLY, -ACCEPT)
//	    from a bridge   → GANGWAY-OUT-OF-NETWORK   (→ GANGWAY-OUTSIDE, -FOREIGN, -REPLY, -ACCEPT)
//	    not accepted    → GANGWAY-REFUSED       counts and drops (→ GANGWAY-UNPUBLISHED, -ISOLATED, -ISOLATED-OUT)
//	                    → GANGWAY-TRANSIT       behind all rules of others, which accept what they want
//	nat PREROUTING      → GANGWAY-DNAT          published ports, packets of others
//	nat OUTPUT          → GANGWAY-DNAT          published ports, the host's own packets
//	nat POSTROUTING     → GANGWAY-SNAT          source addresses (→ GANGWAY-HAIRPIN, -PRESERVE-PORT, -EGRESS, -MASQUERADE, -EGRESS-OTHER)
//	raw PREROUTING      → GANGWAY-SOURCE-CHECK  sources fit their links
//
// While somebody looks at what is refused (firewall.Log), the rules that drop lead to
// GANGWAY-LOG-ICC, -ISOLATED, -SPOOFED or -UNPUBLISHED, which log it and drop it.
//
// Invariant: after Sync the kernel holds what compile makes of the ruleset,
// rule for rule, in an order that depends on the ruleset alone. Elements of a
// ruleset match disjoint packets, so that order is the text's.
//
// Anybody can take rules of iptables away, or put others between them. The fail-closed
// table, which is not in iptables, drops what is not marked as accepted by these rules or
// by DOCKER-USER: GANGWAY-FORWARD and GANGWAY-ACCEPT give the marks, the table clears
// them. That DOCKER-USER has accepted a packet is to be seen by the mark that it has
// only while it is there, so gangway leads it there itself, from its own chain. Marks
// given before and behind the engine's jump would be taken for its word as well
// when rules of others, as of a firewall that reloads, come to stand in between.
// Without it nothing is marked, and isolation is off until the repair.
//
// The package refuses to touch rules and chains of others, policies and
// sysctls, and never reads a rule's meaning back: what does not stand there
// as it was written is written anew.
package iptables
