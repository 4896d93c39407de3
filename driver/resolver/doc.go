// Package resolver answers the questions for names of containers whose policy has names.
//
// Rules lead these questions here, wherever they were sent (package nftables). A name that the
// policy does not allow is refused, and told. For one that it allows a server is asked: the
// host's own, or the one that the container asked, if it is one of these or the policy names
// it with port 53. Whoever answers decides which addresses open, so a container does not
// choose. The addresses in the answer are in the kernel before the container has it, for as
// long as it may believe them.
//
// Names that stand for themselves alone are also asked for without a question, and again
// before they end: where an engine asks in the host's own name, no question of a container is
// seen.
//
// Where the policy has strict names, connections to the addresses that were learned pass through
// the daemon as well: package reader has what becomes of them.
//
// Invariant: nobody is answered of whom the link, the address and the policy are not known to
// go together; nobody takes goroutines, descriptors or memory without bounds, or those of the
// others. The package refuses to cache: what containers get is as old as the server's answer.
package resolver
