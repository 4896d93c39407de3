// Package store keeps what must survive a restart in files (go.etcd.io/bbolt): what
// is for ever in one, and what ends with the boot of the host in another, which is
// not waited for until it is on disk (see Files and Split).
//
// Invariant: when Update has returned without an error, its changes are on disk,
// or the kernel's if they end with it,
// all of them, and every later Open on the file sees them; after an error or a
// crash none or all of them are there. A file that is not exactly what this
// package wrote is refused, never repaired and never overwritten: going on with
// half of the state would lose the other half at the next write.
//
// bbolt maps the file and trusts what it finds there, so that a damaged page can
// end the process or go unnoticed. Hence Open first walks the pages by itself,
// and each bucket has a digest over its content that must match.
//
// The file carries the version of its schema. An older one is brought up to date
// when it is opened (migrate.go), a newer one is refused.
//
// Besides in these migrations it knows nothing of what the values mean. It keeps
// only one process at the file at a time.
package store
