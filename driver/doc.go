// Package driver is the NetworkDriver's domain: it holds what should exist
// (networks, endpoints, published ports: package model) and makes the kernel follow.
//
// Invariant: after every verb the kernel holds what plan.Compile says of the state,
// no more and no less, and the store holds the same state. Verbs only describe
// a change of state; package commit is the one place where a change is validated,
// persisted, turned into a delta and applied. Restore and Reconcile compile
// everything by the same functions of package plan.
//
// A verb that builds something is undone as a whole when a step fails. A verb
// that tears something down goes on past errors and never comes back: the
// engine forgets the object whatever we answer and never repeats the call, so
// keeping it would leak it; what the kernel did not give up is removed by the
// next Reconcile.
//
// The package refuses to know how the kernel is told (see the interfaces in
// deps.go), what the wire looks like, and it never calls the Docker API: from a
// verb that would deadlock an engine that starts. What the engine says there is
// brought to NoteInventory.
package driver
