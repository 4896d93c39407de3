// Package nftrace has the kernel report each chain and rule of nf_tables that the packets
// of one flow meet, with the verdict. Rules of iptables-nft are rules of nf_tables too;
// those of iptables-legacy are not, and the kernel reports none of them.
//
// A Switch is a table of its own whose first chains turn tracing on for the flow. A
// Listener hears the reports.
//
// Invariant: no rule of the package changes, drops or accepts a packet, and its table goes
// with the process that made it, also when that is killed: the table belongs to a netlink
// socket (NFT_TABLE_F_OWNER). Where the kernel has no such tables (before Linux 5.12) the
// package refuses. The rejected alternative, a child that removes the table, is killed with
// its cgroup, and would leave tracing on for good.
package nftrace
