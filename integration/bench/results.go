package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Figure is what one thing cost one variant at one size.
type Figure struct {
	// Part is the benchmark, Name what was measured in it, N its size: ports,
	// endpoints or containers.
	Part    string `json:"part"`
	Name    string `json:"name"`
	N       int    `json:"n"`
	Variant string `json:"variant"`
	// Unit is "s", "us", "ms", "MB", "KB", "/s", "Gbit/s", "ports" or "processes".
	Unit string `json:"unit"`
	// Samples are the rounds in the order they were taken; Median is theirs.
	Samples []float64 `json:"samples"`
	Median  float64   `json:"median"`
}

// Run is when and where parts were measured.
type Run struct {
	Parts   []string `json:"parts"`
	CPU     string   `json:"cpu"`
	CPUs    int      `json:"cpus"`
	Memory  string   `json:"memory"`
	Kernel  string   `json:"kernel"`
	Engine  string   `json:"engine"`
	Go      string   `json:"go"`
	Date    string   `json:"date"`
	Mode    string   `json:"mode"`
	Minutes int      `json:"minutes"`
	// Load is the machine's load average (15 minutes) when the run ended: of a
	// run that had the machine to itself it is the run's own.
	Load string `json:"load"`
}

// Results are the figures of parts, each of one run.
type Results struct {
	Runs    []*Run    `json:"runs"`
	Figures []*Figure `json:"figures"`

	started time.Time
	index   map[figureKey]*Figure
}

type figureKey struct {
	part, name string
	n          int
	variant    string
}

func newResults(mode string) *Results {
	now := time.Now()
	return &Results{
		Runs: []*Run{{
			CPU:    field("/proc/cpuinfo", "model name"),
			CPUs:   runtime.NumCPU(),
			Memory: field("/proc/meminfo", "MemTotal"),
			Kernel: strings.TrimSpace(content("/proc/sys/kernel/osrelease")),
			Go:     runtime.Version(),
			Date:   now.UTC().Format("2006-01-02"),
			Mode:   mode,
		}},
		started: now,
		index:   map[figureKey]*Figure{},
	}
}

// add takes one sample.
func (r *Results) add(f Figure, sample float64) {
	k := figureKey{f.Part, f.Name, f.N, f.Variant}
	at := r.index[k]
	if at == nil {
		at = &f
		r.index[k] = at
		r.Figures = append(r.Figures, at)
	}
	at.Samples = append(at.Samples, sample)
	at.Median = median(at.Samples)
}

// median returns a figure's median; ok is false if it was not measured.
func (r *Results) median(part, name string, n int, variant string) (m float64, ok bool) {
	f := r.index[figureKey{part, name, n, variant}]
	if f == nil {
		return 0, false
	}
	return f.Median, true
}

// quotient is the median of the quotients of each round, which a machine that
// gets faster or slower from round to round does not change. Figures of different
// numbers of rounds are compared by their medians, and have no rounds of quotients. ok
// is false if one of them was not measured.
func (r *Results) quotient(a, b figureKey) (q float64, rounds []float64, ok bool) {
	x, y := r.index[a], r.index[b]
	if x == nil || y == nil || y.Median == 0 {
		return 0, nil, false
	}
	if len(x.Samples) != len(y.Samples) || slices.Contains(y.Samples, 0) {
		return x.Median / y.Median, nil, true
	}
	each := make([]float64, len(x.Samples))
	for i := range each {
		each[i] = x.Samples[i] / y.Samples[i]
	}
	return median(each), each, true
}

// of returns the figures of a part in the order of name and size, as they were
// first measured.
func (r *Results) of(part string) []*Figure {
	var out []*Figure
	for _, f := range r.Figures {
		if f.Part == part {
			out = append(out, f)
		}
	}
	return out
}

// finish notes what is known at the end.
func (r *Results) finish() {
	run := r.Runs[0]
	run.Minutes = int(time.Since(r.started).Minutes() + 0.5)
	if f := strings.Fields(content("/proc/loadavg")); len(f) > 2 {
		run.Load = f[2]
	}
	r.sort()
	for _, f := range r.Figures {
		if !slices.Contains(run.Parts, f.Part) {
			run.Parts = append(run.Parts, f.Part)
		}
	}
}

// over returns the figures of both, without the older ones of parts that were measured again.
func (r *Results) over(older *Results) *Results {
	out := &Results{Runs: r.Runs, Figures: slices.Clone(r.Figures), index: maps.Clone(r.index)}
	again := func(part string) bool { return len(r.of(part)) > 0 }
	for _, run := range older.Runs {
		left := *run
		left.Parts = slices.DeleteFunc(slices.Clone(run.Parts), again)
		if len(left.Parts) > 0 {
			out.Runs = append(out.Runs, &left)
		}
	}
	for _, f := range older.Figures {
		if !again(f.Part) {
			out.Figures, out.index[figureKey{f.Part, f.Name, f.N, f.Variant}] = append(out.Figures, f), f
		}
	}
	out.sort()
	return out
}

// runOf is the run that a part was measured in.
func (r *Results) runOf(part string) Run {
	for _, run := range r.Runs {
		if slices.Contains(run.Parts, part) {
			return *run
		}
	}
	return Run{}
}

// sort puts the figures into an order that does not depend on the order of the rounds.
func (r *Results) sort() {
	slices.SortStableFunc(r.Figures, func(a, b *Figure) int {
		return cmp.Or(strings.Compare(a.Part, b.Part), strings.Compare(a.Name, b.Name), cmp.Compare(a.N, b.N))
	})
}

// Save writes the results as JSON.
func (r *Results) Save(path string) error {
	out, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(out, '\n'), 0o644) //nolint:gosec // part of the documentation
}

// Load reads what Save wrote.
func Load(path string) (*Results, error) {
	in, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &Results{index: map[figureKey]*Figure{}}
	if err := json.Unmarshal(in, r); err != nil {
		return nil, fmt.Errorf("results %s: %w", path, err)
	}
	for _, f := range r.Figures {
		r.index[figureKey{f.Part, f.Name, f.N, f.Variant}] = f
	}
	return r, nil
}

// field returns the first value of a name in a file of "name : value" lines.
func field(path, name string) string {
	for _, line := range strings.Split(content(path), "\n") {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// content is a file's text, empty if it cannot be read: it only describes the
// machine.
func content(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text)
}
