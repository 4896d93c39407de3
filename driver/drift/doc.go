// Package drift decides when the kernel is compared with what is wanted, and judges what had to
// be mended: a Keeper hears of changes, has everything compared from time to time, tells of
// each repair, and notices repairs that somebody undoes again and again (flapping).
//
// Invariant: one comparison runs at a time, and each repair is told once: in the log and as an
// event, or as part of flapping. The package refuses to look at the kernel and to mend
// anything; how that is done is handed to it.
package drift
