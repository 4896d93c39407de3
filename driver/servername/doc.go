// Package servername reads which server a client means, from the first bytes that it sends:
// the server name of a TLS ClientHello, or the Host of an HTTP request.
//
// Nothing is decrypted. Of an encrypted ClientHello (ECH) the outer name counts, which is all
// that anybody on the way can read.
//
// The package is pure. Invariant: what it returns a name for, every server that keeps to the
// standards reads in the same way. It refuses what two readers could take for different things:
// two names, two lengths, a name that is none.
package servername
