// Package webserver serves HTTP to whoever can connect: a scraper, or a browser.
//
// Invariant: a client keeps busy what is counted here, and nothing else of the process: so
// many connections, each with so much time for its request and between two, and so much
// that a request may hold. A unix socket is root's from the moment that it has a name.
//
// It refuses to know what is served, and to replace a file that is no socket or a socket
// that somebody answers on.
package webserver
