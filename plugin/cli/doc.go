// Package cli is the gangway command: the daemon's entry point, and the
// commands that show what the daemon does.
//
// Invariant: the showing commands only read. They ask the daemon over its
// root-only socket and print what it answers, as columns for people or as the
// daemon's own JSON for programs; the exit code is 0 only if the answer is
// there and good. (Only version also has something to say without a daemon.)
//
// Doctor and trace look at the kernel as well, by packages of their own; trace has the
// kernel report one flow while it runs.
//
// The package refuses to look at the kernel or at the state by itself: what it
// shows is what the daemon that handles the traffic knows. What looks itself is a package
// of its own: doctor and capture, on links that the daemon names. When there is no
// daemon to ask, it says what is wrong and what to do next.
package cli
