// Package config turns what users write into validated values: the daemon's
// settings, the options of networks and endpoints, and published ports.
//
// Invariant: a value that this package returns without an error holds; nothing
// behind it needs to check a name, a range or a type again. Settings and options
// each stand in one table, which the parser, the flags and the documentation all
// follow. An option, of networks or of one container, has a file of its own with
// all that there is to it.
//
// It refuses to guess: an unknown or malformed option is an error that names the
// option, what is allowed and the nearest known name, where docker's built-in
// driver passes over it in silence. It does no I/O, reads no environment by
// itself and imports only the standard library.
package config
