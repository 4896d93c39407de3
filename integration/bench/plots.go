package bench

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// plots draws what a table shows badly, by file name.
func plots(r *Results) map[string]string {
	where := func(part string) string {
		run := r.runOf(part)
		return fmt.Sprintf("%d processors (%s), Linux %s, engine %s, %s", run.CPUs, run.CPU, run.Kernel, run.Engine, run.Date)
	}
	out := map[string]string{}
	for _, p := range protocols() {
		out["start-"+p+".svg"] = r.bySize(partStart, p, chart{title: "docker run --rm … true, published " + p + " ports", x: "ports. " + where(partStart), y: "seconds", log: true}).svg()
	}
	out["connections.svg"] = r.bySize(partTraffic, "connections", chart{title: "New connections through one published port", x: "ports published. " + where(partTraffic), y: "connections a second"}).svg()
	out["verbs.svg"] = r.verbChart(where(partVerbs)).svg()
	return out
}

// bySize fills a chart with a line for each variant.
func (r *Results) bySize(part, name string, c chart) chart {
	sizes := r.sizes(part, name)
	for _, n := range sizes {
		c.ticks = append(c.ticks, fmt.Sprint(n))
	}
	for _, v := range Variants() {
		s := series{name: v.Name}
		for _, n := range sizes {
			m, ok := r.median(part, name, n, v.Name)
			if !ok {
				m = math.NaN()
			}
			s.values = append(s.values, m)
		}
		if slices.ContainsFunc(s.values, func(v float64) bool { return !math.IsNaN(v) }) {
			c.series = append(c.series, s)
		}
	}
	return c
}

// sizes are those that something was measured at.
func (r *Results) sizes(part, name string) []int {
	var out []int
	for _, f := range r.of(part) {
		if f.Name == name && !slices.Contains(out, f.N) {
			out = append(out, f.N)
		}
	}
	slices.Sort(out)
	return out
}

// verbChart shows whether verbs of the nftables backend get slower with what is
// there already.
func (r *Results) verbChart(where string) chart {
	c := chart{title: "Median answer of each call (" + NftablesName + ")", x: where, y: "microseconds", bars: true, log: true}
	verbs := []struct{ tick, name string }{
		{"CreateEndpoint", "CreateEndpoint p50"}, {"Join", "Join p50"}, {"Publish", "ProgramExternalConnectivity p50"},
		{"Unpublish", "RevokeExternalConnectivity p50"}, {"Leave", "Leave p50"}, {"DeleteEndpoint", "DeleteEndpoint p50"},
	}
	for _, v := range verbs {
		c.ticks = append(c.ticks, v.tick)
	}
	for _, n := range r.sizes(partVerbs, verbs[0].name) {
		s := series{name: fmt.Sprintf("%d endpoints", n)}
		for _, v := range verbs {
			m, ok := r.median(partVerbs, v.name, n, NftablesName)
			if !ok {
				m = math.NaN()
			}
			s.values = append(s.values, m)
		}
		c.series = append(c.series, s)
	}
	return c
}

// writePlots writes the plots into a folder.
func writePlots(r *Results, dir string) error {
	for name, svg := range plots(r) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(svg), 0o644); err != nil { //nolint:gosec // part of the documentation
			return err
		}
	}
	return nil
}
