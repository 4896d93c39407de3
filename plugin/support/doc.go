// Package support writes one file for a ticket: what tells others how a host is.
//
// Invariant: the file is written whatever is missing. A part that fails, takes too long or is
// too large says so in the manifest. No part has environment variables, programs that are run
// have none but a search path, and what looks like a secret in a text is masked.
//
// The package refuses to decide what is wrong (package plugin/doctor does), and to change
// anything.
package support
