// Package lease keeps addresses that the DHCP server of a LAN has granted: it obtains them, extends
// them in time, and gives them back.
//
// Invariant: an address that a container has is never given up on its own. A lease that a
// server takes back, or that runs out since no server answers, is noted as lost, told of, and
// asked for again until it is granted or the container gives the address back.
//
// # Lost leases
//
// RFC 2131 (4.4.5) has a client stop using such an address at once. A container cannot get
// another address while it runs, so that would mean to cut it off, for a router that has
// forgotten its leases over a restart, or a second server that knows nothing of the first
// one's. Servers ask the wire before they give out an address (RFC 2131, 2.2), and the
// container answers. So it keeps the address, and who runs the host is told.
//
// The package refuses to know the wire, which is behind Server, and the pools, which are
// behind Options.Write. It decides when to ask, and what an answer means.
package lease
