// Package plan says what the kernel has to contain for what is wanted: Compile turns a state
// and facts into a plan, a list of objects, and Diff says what leads from one plan to another.
// Each feature has a file of its own.
//
// Invariant: equal states and facts give equal objects. A plan is that of its owners, each of
// which is compiled by itself, and what the plans of those that a change concerns differ by is
// what the plans of the whole state differ by (Concerned). So a change costs what it changes.
//
// The package is pure. It refuses to ask the kernel, and to say how and in which order
// objects are made: that is package kinds' matter.
package plan
