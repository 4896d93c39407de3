// Package plugin speaks the engine's plugin protocol: every call of
// NetworkDriver and IpamDriver as HTTP on one unix socket, with gangway's admin
// API beside them, and it leads the daemon through its life from the first
// connection to the last.
//
// Invariant: what reaches the domain (Networks, Addresses) is a request that
// was read completely and holds on its own: ids present, addresses parsed and
// of the right family. Whatever else arrives is answered with an error and
// changes nothing. In particular an empty body is an error: an engine that lost
// the connection after it sent a request repeats it without the body. Every
// request is bounded in size and time, and a panic is an answer, not an end.
//
// The package refuses to decide anything about networks and addresses, to
// interpret the options of networks and endpoints, and to answer "not found"
// for a call of the protocol, which the engine takes for success when it
// publishes ports.
package plugin
