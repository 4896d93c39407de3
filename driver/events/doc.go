// Package events keeps what happened without a request: repairs, what was lost, problems.
//
// Its journal has the newest events in the order of their numbers, and never waits for a
// reader, nor for a disk: a goroutine of its own writes what is new to a file, from which the
// next process goes on. The file is for people who look for what has happened, after a crash of
// the host as well, so it is kept for ever, and bounded as the journal is: by number and bytes.
// It is no part of the state: nothing is decided by it, so what cannot be read of it is left
// out, and a disk that is full, slow or gone costs events and nothing else.
//
// The alternative was a bucket of the state's database. There an event would have its place in
// the queue of what calls of the engine wait for, and a damaged event would keep the daemon from
// its networks.
package events
