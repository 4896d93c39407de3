// Package doctor says why a published port or a container does not answer, one line for
// each finding with its cure.
//
// It looks at what Gangway itself does not decide: who listens in the container, whether
// the container has its addresses, routes and neighbours, what rules of others drop, and
// what the host runs out of. Look collects the facts; Judge is pure and finds what is
// wrong in them.
//
// Invariant: it only reads, in the host's network namespace and in containers', and sends
// no packet. It leaves no thread behind in a namespace of others.
package doctor
