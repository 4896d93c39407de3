// Package engine asks the engine itself what it has, and has the driver and the
// address manager give up what it does not: an engine that removes a network or a
// container while gangway is not there reports success and never says so again.
//
// Invariant: nothing is given up unless the engine that once named its network
// has answered twice, half a minute apart, without naming it. Until then the
// engine may be about to say so by a call of its own; a release that came after
// ours would take what somebody else was given meanwhile.
//
// It asks for names as well, for whoever shows ids to people (package names).
//
// The package refuses to be in anybody's way: it only reads, no call of the
// protocol waits for it, and an engine that cannot be asked is asked later.
package engine
