// Package trace follows one flow: what the desired state says of it, in words, and what
// the kernel does with it.
//
// Decide is pure: networks, endpoints and ports of the admin API in, steps and a verdict
// out. It has the meaning of driver/firewall, not its rules. Follow has the kernel report
// each chain and rule that the flow's packets meet (driver/nftrace).
//
// Invariant: nothing is sent unless a probe is asked for, which is one connection or one
// datagram, and what Follow has put into the kernel goes with the process. No thread stays
// in a namespace of others.
package trace
