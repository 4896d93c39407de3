package testkit

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// KernelRelease is the version of the running kernel, with what its distribution
// adds to it.
func KernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		panic(err) // never fails with a valid pointer
	}
	return unix.ByteSliceToString(u.Release[:])
}

// KernelHas says whether the running kernel is of that version, or newer. Tests go by
// the version, and not by what the code under test finds: a mistake there must not
// make them ask for less. Debian takes none of the features over into older versions.
func KernelHas(major, minor int) bool {
	var is, sub int
	_, _ = fmt.Sscanf(KernelRelease(), "%d.%d", &is, &sub)
	return is > major || is == major && sub >= minor
}

// NeedKernel skips a test of something that older kernels lack. The words are what
// the tests on other kernels look for.
func NeedKernel(t testing.TB, major, minor int) {
	t.Helper()
	if !KernelHas(major, minor) {
		t.Skipf("needs Linux %d.%d or newer", major, minor)
	}
}
