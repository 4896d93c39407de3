// Package ipam is the IpamDriver's domain: address pools and the addresses in
// them, for IPv4 and IPv6, durable in a store.
//
// Invariant: pools of one address space never overlap, an address has one
// holder, and memory holds exactly what the store holds: every verb is one
// durable transaction, and memory follows only when it succeeded.
//
// # Replay or conflict
//
// An engine that starts claims again what it remembers, with the same calls
// that a user's second claim of the same subnet or address would send. They are
// told apart by confirmation, which is kept in memory only: every holding is
// unconfirmed after New and after Greet. The first request for an unconfirmed
// holding confirms it and succeeds, a request for a confirmed one is a
// conflict. Holdings that nobody confirms stay held: an engine with live-restore
// never mentions running containers' addresses, and a leaked address costs less
// than one given out twice. Where a second claim slipped through, the driver
// notices, and RetainPool or RetainAddresses keep the holding for the first one.
//
// # Kept addresses
//
// An address that an endpoint with a name gives back is kept for that name: a wish that
// never keeps anybody from having it. What is kept counts as free; it is only chosen
// last, so that whoever comes back within a while finds the address that DNS caches,
// firewalls and peers know. Keeping it held until its owner returns was rejected: a name
// that never comes back would cost an address for ever.
//
// # Leases
//
// A pool with the option gangway.dhcp is the subnet of a LAN, and its addresses are leases of the
// LAN's DHCP server (package lease). An address is stored together with its lease, and is given
// back to the server once that is stored: a crash between the two leaves a lease that ends by
// itself, and never an address that two have.
//
// # Cost
//
// The addresses in use are kept as a sparse tree of 64-bit words (addrSet), so
// time and memory depend on what is in use and not on the pool's size: a /8 or
// a /64 costs no more than a /24, and a nearly full pool no more than an empty
// one. A sorted list of runs in use was rejected: releases fragment it, and an
// insertion then moves the list. A plain bitmap costs 2 MiB for a /8.
//
// # Locks
//
// Each pool has a lock, held over the store's transaction; verbs on different
// pools wait for the disk in parallel. Allocator.mu guards the indexes of pools
// and the cursors. It is a leaf: it is taken last, held for memory accesses
// only, and never over a call to the store, to Options.Used or to a DHCP server. A pool's lock is
// not held either while a server is asked; it is for the one packet that gives a lease back. (A pool that is
// not in the indexes yet is locked before anybody else can see it.)
//
// The package refuses to know the wire, the kernel and the driver's networks.
// It does not decide which overlaps with the host a user may ask for: an
// explicit pool is the user's word, as with the engine's own address manager.
package ipam
