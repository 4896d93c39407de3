package integration

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// footprint is what gangway's process and its rules take.
type footprint struct {
	// resident is in KiB.
	resident, descriptors, threads, rules int
}

func footprintOf(t *testing.T, e *harness.Engine) (f footprint) {
	t.Helper()
	out := e.Run(t, "sh", "-ec", `set -- $(pidof gangway); [ $# = 1 ]
		awk '/^VmRSS/ {print $2}' /proc/$1/status; ls /proc/$1/fd | wc -l; ls /proc/$1/task | wc -l
		{ iptables-save; ip6tables-save; nft -s list ruleset; } 2>/dev/null | grep -v '^#\|limit rate over' | wc -l`)
	if _, err := fmt.Sscan(strings.ReplaceAll(out, "\n", " "), &f.resident, &f.descriptors, &f.threads, &f.rules); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	return f
}

// testChurn starts and removes containers with a published port, four at a
// time. What gangway takes is at the end what it took after the first of them:
// with GANGWAY_TEST_LONG after 400, else after 12.
func testChurn(t *testing.T, e *harness.Engine) {
	cycles, first := 12, 8
	if os.Getenv("GANGWAY_TEST_LONG") != "" {
		cycles, first = 400, 40
	}
	e.Network(t, "n1", args(gangwayIPAM(e), []string{"--subnet", "10.99.0.0/24"})...)
	churn(t, e, first)
	before := footprintOf(t, e)
	churn(t, e, cycles)
	after := footprintOf(t, e)
	t.Logf("%d containers: %+v, then %+v", cycles, before, after)
	if after.resident > before.resident+8<<10 || after.descriptors > before.descriptors+2 || after.threads > before.threads+4 || after.rules != before.rules {
		t.Errorf("it grows: %+v, then %+v", before, after)
	}
	var status struct{ Endpoints, Ports int }
	e.GangwayJSON(t, &status, "status")
	if status.Endpoints != 0 || status.Ports != 0 {
		t.Errorf("left behind: %+v", status)
	}
	e.Docker(t, "network", "rm", "n1")
}

func churn(t *testing.T, e *harness.Engine, containers int) {
	t.Helper()
	next := make(chan int)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for range next {
				port := fmt.Sprintf("%d:80", 8000+worker)
				if out, err := e.TryDocker("run", "--rm", "--network", "n1", "-p", port, harness.Image, "true"); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			}
		})
	}
	for i := range containers {
		next <- i
	}
	close(next)
	wg.Wait()
}
