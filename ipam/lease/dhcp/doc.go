// Package dhcp asks the DHCP servers of LANs (RFC 2131), as lease.Server, for containers that are
// not there yet or know nothing of it.
//
// Invariant: a question goes out by the link of the LAN with the container's hardware address,
// as if the container had sent it, and the host's own addresses, ports and DHCP client have no
// part in it: packets are sent and heard by a packet socket at the link, and an answer counts
// if it has the number and the hardware address of the question.
//
// The socket hears all that comes by the link, also what the bridge above takes from there: the
// answer to a renewal is for the container's address, and a socket at the bridge would not see
// it. What does not go to a DHCP client's port the kernel's filter leaves out.
//
// The package decides nothing about leases.
package dhcp
