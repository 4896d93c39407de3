package testkit

import (
	"fmt"
	"os"
	"slices"
	"strings"
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

// OtherKernel says whether the tests run on another kernel than the machine's, whose processor is emulated.
func OtherKernel() bool { return os.Getenv("GANGWAY_TEST_OTHER_KERNEL") != "" }

// NeedKernel skips a test of something that older kernels lack. The words are what
// the tests on other kernels look for. Those say that the kernel is an older one on
// purpose; anywhere else with CI=true a missing feature fails.
func NeedKernel(t testing.TB, major, minor int) {
	t.Helper()
	if KernelHas(major, minor) {
		return
	}
	if os.Getenv("CI") == "true" && !OtherKernel() {
		t.Fatalf("this kernel is Linux %s: make test needs Linux %d.%d or newer; make test-kernels runs this on others", KernelRelease(), major, minor)
	}
	t.Skipf("needs Linux %d.%d or newer", major, minor)
}

// OwnRun skips a test that has a target of make for itself, which sets the variable.
// With CI=true a run that does not leave it out by name fails.
func OwnRun(t testing.TB, variable, target string) {
	t.Helper()
	switch {
	case os.Getenv(variable) != "":
	case os.Getenv("CI") == "true":
		t.Fatalf("not part of this run: leave it out with -skip, and run make %s", target)
	default:
		t.Skip("takes long: make " + target)
	}
}

// BarredModules is the kernel's parameter that names modules which it never loads.
const BarredModules = "module_blacklist="

// KernelBars says whether this kernel was told never to load a module: some of the
// kernels that tests are run on are.
func KernelBars(module string) bool {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return false
	}
	for _, word := range strings.Fields(string(line)) {
		if list, ok := strings.CutPrefix(word, BarredModules); ok && slices.Contains(strings.Split(list, ","), module) {
			return true
		}
	}
	return false
}
