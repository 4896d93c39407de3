// Package rules holds what gangway really puts into the kernel against what
// the project says it does.
//
// Its tests run the driver as the daemon wires it, with real links, published
// ports and each firewall backend, on hosts that are network namespaces. For
// each combination of options that matters they compare what a network adds to
// the kernel with golden files, and send packets whose way through the rules
// the kernel reports. From the same golden files, and one table that explains
// each rule, they write the pages in docs/rules.
//
// Invariant: options that make a difference have golden files that differ, and
// combinations that must not differ name the same one. A rule of gangway has
// exactly one explanation, and an explanation belongs to a rule.
//
// The package holds tests only, and touches nothing outside of namespaces of
// its own. It refuses to say what packets may do: package fwtest does, for
// every backend.
package rules
