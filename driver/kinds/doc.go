// Package kinds has the kinds of objects, a file for each: how objects of it are made, mended and
// taken away, and how all of them are compared with what is there. Table says in which order.
//
// Invariant: each kind of objects that a plan may have, rules of the firewall apart, is in the
// table. The package refuses to know why an object comes or goes, and how the kernel is told
// (see the interfaces of each kind).
package kinds
