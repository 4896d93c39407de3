// Package hostport reserves the host's ports that are published, and relays
// the few paths to them that address translation cannot serve.
//
// The invariant it guards: as long as an endpoint publishes a host port, a
// bound socket of this process holds it, so that neither another endpoint nor
// another process can take it, and an ephemeral choice cannot be lost between
// choosing and publishing. A socket that only reserves drops every packet
// before the kernel answers it; clients whose packets are not translated (yet)
// wait and try again instead of meeting an empty server.
//
// A port on every address of both families takes one socket, which has one
// descriptor; other host addresses take one each.
//
// Relayed inside the daemon, without a process or a goroutine for each port:
//   - runs whose host and container address are of different families
//     (spec.Published.Relayed);
//   - [::1] and link-local clients, because the kernel forwards neither to
//     another link. On an IPv6 socket whose container has IPv6 the relay takes
//     these and nothing else: everything else belongs to NAT, which keeps the
//     client's address;
//   - UDP broadcasts and multicasts to a port on every address of a family: no
//     rule takes them, and without a relay they would end at the socket.
//
// A relay knows by which link a client came before it believes anything else of
// it, and asks Origin who may pass. Descriptors are shared out by port and client.
//
// A relayed container sees the host's address as the client. TCP passes on
// half-closes and resets; UDP keeps a session for each client address until it
// was idle for 90 seconds, and answers from the address that the client used.
//
// What it refuses to do: it relays no SCTP. An SCTP request for a host address
// that only a relay could serve is passed over if there is another host
// address, and an error if not. It never takes a port it does not find free,
// never sets SO_REUSEPORT, binds no address the host does not have, and knows
// nothing of rules, networks or the engine.
package hostport
