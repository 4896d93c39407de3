// Package names is the book of names: what engines call the networks and containers
// that the daemon knows by their ids.
//
// Invariant: a name is a fact of an engine, never of ours. It comes from the engine's
// API in the background, is kept in memory only, and is forgotten when the engine
// cannot be asked any more. One thing is decided by it: which container is called as the
// gateway of a network. Otherwise an unknown name is shown as the
// id, and is no error. The book is bounded, whatever an engine answers.
//
// The package refuses to ask anybody: package plugin/engine does, and tells a Source.
// It refuses to judge names as well: whoever shows one on a terminal passes it through
// package printable, as Text does here.
package names
