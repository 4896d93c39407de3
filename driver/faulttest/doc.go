// Package faulttest runs the verbs of the driver and of the address manager on
// the real kernel, with real rules, links, ports and store, and breaks them at
// every point: an operation that fails, one whose answer is lost, a request
// whose time is over, a process that is killed. It holds tests only.
//
// The kernel is a network namespace of the test's own.
package faulttest
