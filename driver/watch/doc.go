// Package watch says that something of the kernel changed that gangway keeps:
// its links and their addresses, the firewall's rules, and the sysctls it sets.
//
// It says so, and which links it was about; what changed of them, and whether it was
// gangway itself, is for the comparison that follows to find out. Invariant: a
// change that the kernel tells of is never lost, though many may be told as one,
// and links that did not change be told as well. Where the kernel's queue
// overflows, all may have changed.
//
// The kernel tells of links, addresses, their routes, forwarding and what filters
// packets at a link (tc), and of rules of policy routing, by rtnetlink groups, and of rules by the nftables group,
// iptables-nft's included. It tells nothing of
// iptables-legacy: where there are tables of it, their content is looked at a few
// times a second. Sysctls are files: inotify tells who writes to them by a path
// of the same procfs, as sysctl(8) does.
//
// The package refuses to change anything, and to look at links that carry no
// mark of gangway, besides those and the addresses that it was asked to mind: what
// other containers come and go with is noise.
//
// A Watcher belongs to the network namespace of the thread that called New,
// which must be that of the process as well.
package watch
