// Package nflog hears from the kernel of packets that the rules refuse: what they send to the
// netlink group firewall.LogGroup (nfnetlink_log).
//
// Invariant: what is told is what the packet's headers say, as far as they are there; what
// cannot be read is left out. Nothing is lost without being counted, but for what the limit
// of the rules leaves out.
//
// The package refuses to touch rules: who has them log decides when.
package nflog
