package packaging

import (
	"path/filepath"
	"strings"
	"testing"
)

// pure are packages whose tests need nothing of the kernel that emulation of
// programs lacks. TestKill of the store starts its own program, which only a kernel that
// knows the emulator could.
var pure = []string{"config", "ipam", "printable", "driver", "driver/link/portfilter", "plugin/cli", "plugin/store", "driver/spec"}

// arm64: the program for arm64 starts, and the tests of packages that hold decisions
// pass on that architecture.
func arm64(t *testing.T, p packages) {
	dir := t.TempDir()
	run(t, nil, "dpkg-deb", "-x", p.file(t, "arm64.deb"), dir)
	if out := run(t, nil, "qemu-aarch64-static", dir+"/usr/bin/gangway", "version"); !strings.Contains(out, p.version) {
		t.Errorf("gangway version: %s", out)
	}
	// With -trimpath they share with the program what was compiled for it.
	for _, pkg := range pure {
		program := filepath.Join(dir, strings.ReplaceAll(pkg, "/", "-")+".test")
		run(t, []string{"GOARCH=arm64", "CGO_ENABLED=0"}, "go", "test", "-trimpath", "-c", "-o", program, "./"+pkg)
		out := run(t, nil, "sh", "-c", `cd "$0" && qemu-aarch64-static "$1" -test.short -test.skip '^TestKill$' -test.timeout 5m`, pkg, program)
		if !strings.Contains(out, "PASS") {
			t.Errorf("%s: no test ran:\n%s", pkg, out)
		}
	}
}
