package bench

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// section is one table of the report.
type section struct {
	part, title string
	// ratios are further columns: the first variant's median divided by the
	// second's.
	ratios [][2]string
	// endings choose rows by how their name ends; empty for all.
	endings []string
}

func sections() []section {
	return []section{
		{part: partStart, title: "`docker run --rm … true` from start to end, by published ports", ratios: [][2]string{
			{NftablesName, FloorName}, {IptablesName, FloorName}, {BuiltinName, NftablesName},
		}},
		{part: partVerbs, title: "The daemon's answer to each call, median, by endpoints present", endings: []string{"p50"}},
		{part: partVerbs, title: "The same, 99th percentile", endings: []string{"p99"}},
		{part: partVerbs, title: "All calls of one container's life: processor time of the daemon, and time from first to last answer", endings: []string{"user", "kernel", "wall"}},
		{part: partBulk, title: "Calls for one endpoint with 10 000 ports"},
		{part: partMemory, title: "Resident memory of the daemon, and its helper processes, by endpoints or ports"},
		{part: partProxies, title: "Processes that the built-in driver adds, and their resident memory, by published ports"},
		{part: partTraffic, title: "Connections and first packets through one published port, by published ports", ratios: [][2]string{{NftablesName, BuiltinName}, {IptablesName, BuiltinName}}},
		{part: partThroughput, title: "One TCP stream of a container", ratios: [][2]string{{NftablesName, BuiltinName}, {IptablesName, BuiltinName}}},
		{part: partParallel, title: "Containers started, and removed, all at once", ratios: [][2]string{{NftablesName, BuiltinName}, {NftablesName, FloorName}}},
		{part: partNetworks, title: "Networks created, and removed, one after the other: median of each", ratios: [][2]string{{BuiltinName, NftablesName}}},
		{part: partCrowd, title: "Connections and requests of one network, on an engine with many others", ratios: [][2]string{{NftablesName, BuiltinName}}},
		{part: partRestore, title: "Start of a daemon that was killed, until it is ready, by endpoints"},
		{part: partHeal, title: "A published port's traffic after all rules of the host were removed"},
		{part: partPeers, title: "A container's link and its udp ports, and connections to a tcp port, beside what other projects do with so many ports there", ratios: [][2]string{
			{portmapNftablesName, NftablesName}, {netavarkName, NftablesName},
		}},
		{part: partAddresses, title: "One address allocated and released inside the daemon, by addresses in use"},
	}
}

// Report is the tables of all results, in Markdown.
func Report(r *Results) string {
	var out strings.Builder
	for _, run := range r.Runs {
		fmt.Fprintf(&out, "* Measured on %s: %s. %d processors (%s), %s of memory, Linux %s, Docker Engine %s, %s; the run (%s) took %d minutes, load average %s at its end.\n",
			run.Date, strings.Join(run.Parts, ", "), run.CPUs, run.CPU, run.Memory, run.Kernel, run.Engine, run.Go, run.Mode, run.Minutes, run.Load)
	}
	if noise := r.noise(); noise > 0 {
		fmt.Fprintf(&out, "\nThe middle half of the rounds of one figure spans %.0f %% of its median (median of all container starts).\n", 100*noise)
	}
	out.WriteString(targetTable(r))
	out.WriteString(breakdown(r))
	for _, s := range sections() {
		out.WriteString(s.table(r))
	}
	return out.String()
}

// noise is how far the rounds of container starts lie apart, as in spread.
func (r *Results) noise() float64 {
	var all []float64
	for _, f := range r.of(partStart) {
		if len(f.Samples) >= 4 {
			all = append(all, spread(f.Samples))
		}
	}
	if len(all) == 0 {
		return 0
	}
	return median(all)
}

type rowKey struct {
	name, unit string
	n          int
}

// table is empty if nothing of the section was measured.
func (s section) table(r *Results) string {
	var rows []rowKey
	seen := map[string]bool{}
	for _, f := range r.of(s.part) {
		if !s.wants(f.Name) {
			continue
		}
		seen[f.Variant] = true
		if k := (rowKey{f.Name, f.Unit, f.N}); !slices.Contains(rows, k) {
			rows = append(rows, k)
		}
	}
	if len(rows) == 0 {
		return ""
	}
	var columns []string
	for _, v := range columnNames() {
		if seen[v] {
			columns = append(columns, v)
		}
	}
	var out strings.Builder
	head := append([]string{"", "size"}, columns...)
	for _, ratio := range s.ratios {
		head = append(head, ratio[0]+" / "+ratio[1])
	}
	fmt.Fprintf(&out, "\n**%s**\n\n| %s |\n|---%s|\n", s.title, strings.Join(head, " | "), strings.Repeat("|--:", len(head)-1))
	for _, row := range rows {
		fmt.Fprintf(&out, "| %s |\n", strings.Join(s.cells(r, row, columns), " | "))
	}
	return out.String()
}

func (s section) wants(name string) bool {
	if len(s.endings) == 0 {
		return true
	}
	return slices.ContainsFunc(s.endings, func(end string) bool { return strings.HasSuffix(name, end) })
}

func (s section) cells(r *Results, row rowKey, columns []string) []string {
	name := row.name
	for _, end := range []string{" p50", " p99"} {
		if len(s.endings) == 1 {
			name = strings.TrimSuffix(name, end)
		}
	}
	cells := []string{name, fmt.Sprint(row.n)}
	for _, variant := range columns {
		m, ok := r.median(s.part, row.name, row.n, variant)
		cells = append(cells, cell(m, ok, row.unit))
	}
	for _, ratio := range s.ratios {
		of := func(variant string) figureKey { return figureKey{s.part, row.name, row.n, variant} }
		q, each, ok := r.quotient(of(ratio[0]), of(ratio[1]))
		cells = append(cells, cell(q, ok, "x")+margin(each))
	}
	return cells
}

// columnNames are the names of all that is compared, in the order of the tables.
func columnNames() []string {
	var out []string
	for _, v := range Variants() {
		out = append(out, v.Name)
	}
	return append(out, anyGangway, portmapIptablesName, portmapNftablesName, netavarkName)
}

// margin shows the interval in which the median of the rounds lies, if it is known.
func margin(rounds []float64) string {
	low, high, known := interval(rounds)
	if !known {
		return ""
	}
	return fmt.Sprintf(" (%s to %s)", number(low), number(high))
}

// cell shows a number with three digits that count.
func cell(v float64, ok bool, unit string) string {
	if !ok || math.IsNaN(v) {
		return ""
	}
	if unit == "processes" || unit == "ports" {
		return fmt.Sprintf("%.0f", v)
	}
	return number(v) + " " + unit
}

func number(v float64) string {
	if v == 0 {
		return "0"
	}
	digits := max(0, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	return fmt.Sprintf("%.*f", digits, v)
}
