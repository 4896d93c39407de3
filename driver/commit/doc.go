// Package commit is the one way by which what is wanted changes, and the kernel with it: a
// Writer stages a change in memory, stores it, and leads the owners that it concerns from what
// was applied to what is wanted, each kind of object in its turn. It notes what was applied, by
// owner (Applied).
//
// Invariant: between two changes the desired state, the store and the kernel say the same,
// but for what is noted as open: owners with doubtful objects, rules, and stored values. A
// change that builds is undone
// as a whole when a step fails; one that takes away goes on past errors and never comes back.
//
// The package does not know who asks for a change, a verb or whoever has noticed a drift, and
// refuses to choose what is wanted. How objects of a kind are made is handed to it.
package commit
