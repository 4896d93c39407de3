// Package iptables is the firewall backend on iptables and ip6tables, in their
// nf_tables or legacy variant: the one that the engine uses, or the host's
// default beside an engine that uses none.
//
// Every rule stands in a chain named GANGWAY-*; in the chains of others there
// is one jump for each of them, and only while it holds rules:
//
//	filter FORWARD      → GANGWAY-FORWARD   behind DOCKER-USER, before the engine's rules
//	    to a bridge     → GANGWAY-IN        (→ GANGWAY-INTERNAL, -ICC, -OPEN)
//	    from a bridge   → GANGWAY-OUT       (→ GANGWAY-INTERNAL)
//	nat PREROUTING      → GANGWAY-DNAT      published ports, packets of others
//	nat OUTPUT          → GANGWAY-DNAT      published ports, the host's own packets
//	nat POSTROUTING     → GANGWAY-SNAT      masquerade and hairpin
//	raw PREROUTING      → GANGWAY-GUARD     containers do not reach the host's 127.0.0.0/8
//
// Invariant: after Sync the kernel holds what compile makes of the ruleset,
// rule for rule, in an order that depends on the ruleset alone. Elements of a
// ruleset match disjoint packets, so that order is the text's.
//
// The package refuses to touch rules and chains of others, policies and
// sysctls, and never reads a rule's meaning back: what does not stand there
// as it was written is written anew.
package iptables
