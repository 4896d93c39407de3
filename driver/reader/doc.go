// Package reader passes on connections of containers whose policy has strict names, once it has
// read that they say a name which the policy allows.
//
// Rules lead here what containers send by TCP to addresses that somebody has learned of such a
// name (package nftables). What goes on is what the policy names, to the address that was
// dialled, if that was learned for the very name that is said. Nothing is decrypted, and what
// follows the name is passed on by splice(2), but for requests of HTTP: each of these says its
// own host.
//
// Invariant: nothing is passed on of which the link, the address, the policy, the name and the
// way to the destination do not go together. A connection ends when the policy does not allow it
// any more. Nobody takes descriptors, memory or time without bounds, or those of the others.
// The package refuses to look names up: who has not asked for one has no address of it.
package reader
