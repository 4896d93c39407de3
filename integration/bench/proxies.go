package bench

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// proxies measures what a container's published ports add on the host besides
// rules: processes of the built-in driver, memory of both.
func (r *rig) proxies(t testing.TB, m mode, to *Results) {
	const n = 100
	for _, v := range of(builtin, gangway) {
		r.with(t, v, func() {
			args := append([]string{"--network", network}, publish(n, "tcp")...)
			before := processesOf(t, r.Node)
			r.container(t, "server", args, "sleep", "1000000")
			after := processesOf(t, r.Node)
			defer r.timed(t, "rm", "-f", "server")
			count, memory := 0, 0.0
			for pid, p := range after {
				if _, old := before[pid]; !old && p.name == "docker-proxy" {
					count++
					memory += p.residentMB
				}
			}
			f := Figure{Part: partProxies, Name: "processes", N: n, Variant: v.Name, Unit: "processes"}
			to.add(f, float64(count))
			f.Name, f.Unit = "their memory", "MB"
			to.add(f, memory)
		})
	}
}

type running struct {
	name       string
	residentMB float64
}

// processesOf lists the processes of a node, as its own /proc shows them.
func processesOf(t testing.TB, n *harness.Node) map[string]running {
	t.Helper()
	files, err := filepath.Glob(n.Path("/proc/[0-9]*/status"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]running{}
	for _, file := range files {
		// A process that ends meanwhile reads as nothing.
		kb, err := strconv.ParseFloat(strings.TrimSuffix(field(file, "VmRSS"), " kB"), 64)
		if err == nil {
			out[filepath.Base(filepath.Dir(file))] = running{name: field(file, "Name"), residentMB: kb / 1024}
		}
	}
	return out
}
