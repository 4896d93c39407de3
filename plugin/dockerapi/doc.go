// Package dockerapi serves a second API socket of the engine, on which docker ps,
// docker port and whoever else asks for containers see the ports that Gangway
// published. An engine builds that list for its built-in drivers only.
//
// Each connection of a client has one of its own to the engine, and what comes on
// the one is written to the other as it came. Heads of messages are read, to know
// where a message ends; bodies pass through a buffer of some kilobytes. What is no
// HTTP/1 message, or none any more (101, or a body that ends with the connection,
// as of attach and exec), passes both ways until it ends, each way by itself.
//
// Invariant: the bytes are the engine's and the client's own, but for the value of
// Ports in the answers of GET containers/json and containers/{id}/json, their
// length, and the filters publish and expose of the list, which are applied here.
// Without an answer of Gangway's daemon the ports are the engine's, too.
//
// The package refuses to be more than a pipe: it knows no calls, versions or
// streams of the engine, keeps nobody out who may reach the socket, and has no
// time limits of its own where the engine has none.
//
// net/http/httputil.ReverseProxy does less with more: a raw stream after status 200
// would be cut into chunks, 101 UPGRADED gets another reason, names of headers
// another form, and a body that the engine answers before its end is cut off.
package dockerapi
