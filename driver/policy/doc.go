// Package policy says what a network's or a container's policy means: which addresses a
// group stands for, what a packet may do, and which sets of addresses and ports say the same.
//
// A policy only takes away. What it does not refuse is judged by all other rules as ever.
// It is about what begins a flow; answers, and ICMP errors about a flow, pass with it.
//
// Decide is the meaning, for one packet, in plain Go. Compile gives sets that mean the same,
// of which none overlaps another one, so that rules that look into them cost the same whatever
// is in them. Tests hold one against the other, and the kernel's rules against both.
//
// The package is pure. It refuses to guess: a policy that it cannot read allows nothing.
package policy
