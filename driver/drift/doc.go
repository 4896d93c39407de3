// Package drift compares the kernel with what is wanted, and mends what differs. A Keeper decides
// when: it hears of changes, and has everything compared from time to time. A Comparison does
// it, by the checks of the kinds of objects. Health keeps what was found, and flapping notices
// repairs that somebody undoes again and again.
//
// Invariant: one comparison runs at a time, and each repair is told once: in the log and as an
// event, or as part of flapping. The package changes nothing that is wanted: what is lost it
// names, and whoever has it removed asks package commit. It refuses to know the kinds, but for
// links, of which one look shows several: Kinds says how each is compared and mended.
package drift
