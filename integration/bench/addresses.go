package bench

import (
	"os/exec"
	"regexp"
	"strconv"
	"testing"
)

// anyGangway is the variant of figures that no backend has part in.
const anyGangway = "gangway"

// allocation is a line of BenchmarkAllocate of package ipam.
var allocation = regexp.MustCompile(`(?m)^BenchmarkAllocate/pool=(\S+?)_(\d+)/in-use=(\d+)\S*\s+\d+\s+([0-9.]+) ns/op`)

// addresses runs the benchmark of the address manager.
func addresses(t testing.TB, _ mode, to *Results) {
	t.Helper()
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", "^BenchmarkAllocate$", "-benchtime", "200ms", "./ipam")
	cmd.Dir = moduleRoot
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go test -bench of ipam: %v\n%s", err, out)
	}
	for _, m := range allocation.FindAllStringSubmatch(string(out), -1) {
		n, nerr := strconv.Atoi(m[3])
		ns, err := strconv.ParseFloat(m[4], 64)
		if nerr != nil || err != nil {
			t.Fatalf("unreadable: %s", m[0])
		}
		to.add(Figure{Part: partAddresses, Name: "pool " + m[1] + "/" + m[2], N: n, Variant: anyGangway, Unit: "us"}, ns/1e3)
	}
	if len(to.of(partAddresses)) == 0 {
		t.Fatalf("no figures in:\n%s", out)
	}
}
