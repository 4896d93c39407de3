// Package kernels runs tests of other packages on kernels that this machine does
// not have: Debian's own, of several releases, in qemu with software emulation.
//
// A machine has four disks: Debian's tools, the kernel's modules, the test
// programs with what they read, and one for the results. machine.sh makes the
// first two and keeps them in the cache folder, guest.sh is what runs inside.
//
// Invariant: nothing but the kernel differs from machine to machine. A test that
// is skipped because it needs a newer one says so (testkit.NeedKernel); any other skip
// is a failure, as is a machine that does not end by itself.
package kernels
