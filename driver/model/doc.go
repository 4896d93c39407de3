// Package model is what is wanted: networks, endpoints and published ports, with the
// indexes, what is refused beside what is there (admission), and the stored form.
//
// Invariant: a State changes by Apply alone, and its indexes follow; networks and endpoints
// that are part of it never change, they are replaced. So what was read of a state stays
// true of the moment at which it was read.
//
// The package is pure. It refuses to know the kernel, locks and time, and what the wanted
// means there: that is package plan's.
package model
