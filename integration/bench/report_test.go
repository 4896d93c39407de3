package bench

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/golden"
)

func TestStatistics(t *testing.T) {
	for _, c := range []struct {
		what      string
		got, want float64
	}{
		{"median of odd", median([]float64{3, 1, 2}), 2},
		{"median of even", median([]float64{4, 1, 2, 3}), 2.5},
		{"p50", quantile([]float64{4, 1, 2, 3}, 0.5), 2},
		{"p99 of few", quantile([]float64{1, 2, 3}, 0.99), 3},
		{"p0", quantile([]float64{1, 2, 3}, 0), 1},
		{"spread", spread([]float64{1, 2, 3, 4}), 0.8},
		{"spread of few", spread([]float64{1, 2}), 0},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %v, want %v", c.what, c.got, c.want)
		}
	}
	if !math.IsNaN(median(nil)) || !math.IsNaN(quantile(nil, 0.5)) {
		t.Error("the median of nothing is a number")
	}
}

// TestQuotient: a machine that gets slower from round to round changes no ratio.
func TestQuotient(t *testing.T) {
	r := newResults("quick")
	add := func(variant string, samples ...float64) figureKey {
		for _, s := range samples {
			r.add(Figure{Part: partStart, Name: "udp", N: 1, Variant: variant, Unit: "s"}, s)
		}
		return figureKey{partStart, "udp", 1, variant}
	}
	drifting, base := add(NftablesName, 2, 2, 12), add(FloorName, 1, 4, 6)
	few, nothing := add(BuiltinName, 8), figureKey{part: partStart}
	if q, each, ok := r.quotient(drifting, base); !ok || q != 2 || !slices.Equal(each, []float64{2, 0.5, 2}) {
		t.Errorf("of rounds: got %v, %v, %v", q, each, ok)
	}
	if q, each, ok := r.quotient(few, base); !ok || q != 2 || each != nil {
		t.Errorf("of medians: got %v, %v, %v", q, each, ok)
	}
	if _, _, ok := r.quotient(drifting, nothing); ok {
		t.Error("a ratio to what was not measured")
	}
}

// TestInterval: the ranks are those of the tables of the sign test.
func TestInterval(t *testing.T) {
	for n, want := range map[int][2]float64{6: {1, 6}, 10: {2, 9}, 20: {6, 15}, 30: {10, 21}, 100: {40, 61}} {
		var samples []float64
		for i := n; i > 0; i-- {
			samples = append(samples, float64(i))
		}
		if low, high, known := interval(samples); !known || low != want[0] || high != want[1] {
			t.Errorf("of %d: from %v to %v, %t, want %v", n, low, high, known, want)
		}
	}
	for n := range 6 {
		if _, _, known := interval(make([]float64, n)); known {
			t.Errorf("of %d: known", n)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.01234: "0.0123", 1.234: "1.23", 12.34: "12.3", 1234: "1234", 131: "131"} {
		if got := number(v); got != want {
			t.Errorf("number(%v): got %q, want %q", v, got, want)
		}
	}
}

// few are results of a run that measured a little.
func few() *Results {
	r := newResults("quick")
	for variant, seconds := range map[string][]float64{FloorName: {0.4, 0.2, 0.3}, NftablesName: {0.33}, IptablesName: {0.6}} {
		for _, n := range []int{0, 1000} {
			for _, s := range seconds {
				r.add(Figure{Part: partStart, Name: "udp", N: n, Variant: variant, Unit: "s"}, s)
			}
		}
	}
	return r
}

func TestReport(t *testing.T) {
	r := few()
	r.finish()
	report := Report(r)
	for _, want := range []string{
		"| udp | 1000 | 0.330 s | 0.600 s | 0.300 s | 1.10 x | 2.00 x |",
		"| 1000 udp ports / floor | at most 1.15 x | 1.10 x | reached |",
		"| 1000 udp ports / no port | at most 1.25 x | 1.00 x | reached |",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("no line %q in:\n%s", want, report)
		}
	}
	if strings.Contains(report, "built-in / gangway") || strings.Contains(report, "NaN") {
		t.Errorf("shows what was not measured:\n%s", report)
	}
}

func TestMissedTarget(t *testing.T) {
	r := few()
	r.add(Figure{Part: partMemory, Name: "idle", Variant: NftablesName, Unit: "MB"}, 26)
	if want := "| idle memory | at most 25 MB | 26.0 MB | **missed** |"; !strings.Contains(targetTable(r), want) {
		t.Errorf("no line %q in:\n%s", want, targetTable(r))
	}
}

func TestResultsSurviveTheFile(t *testing.T) {
	r := few()
	r.finish()
	path := filepath.Join(t.TempDir(), "results.json")
	if err := r.Save(path); err != nil {
		t.Fatal(err)
	}
	again, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if Report(again) != Report(r) {
		t.Errorf("got\n%s\nwant\n%s", Report(again), Report(r))
	}
}

// TestOver: a part that was measured again is the newer run's alone, and the others stay.
func TestOver(t *testing.T) {
	older := few()
	older.add(Figure{Part: partMemory, Name: "idle", Variant: NftablesName, Unit: "MB"}, 26)
	older.add(Figure{Part: partHeal, Name: "idle", Variant: NftablesName, Unit: "s"}, 1)
	older.finish()
	newer := newResults("full")
	newer.add(Figure{Part: partMemory, Name: "idle", Variant: NftablesName, Unit: "MB"}, 13)
	newer.finish()
	both := newer.over(older)
	var parts [][]string
	for _, run := range both.Runs {
		parts = append(parts, run.Parts)
	}
	if want := [][]string{{partMemory}, {partHeal, partStart}}; !slices.EqualFunc(parts, want, slices.Equal[[]string]) {
		t.Errorf("parts %v, want %v", parts, want)
	}
	if m, ok := both.median(partMemory, "idle", 0, NftablesName); m != 13 || !ok {
		t.Errorf("memory %v, %t", m, ok)
	}
	if len(both.of(partStart)) != len(older.of(partStart)) || both.runOf(partMemory).Mode != "full" || both.runOf(partHeal).Mode != "quick" {
		t.Errorf("figures %d, runs %+v", len(both.of(partStart)), both.Runs)
	}
	if again := both.over(older); len(again.Runs) != 2 || len(again.Figures) != len(both.Figures) {
		t.Errorf("again: %d runs, %d figures, want 2, %d", len(again.Runs), len(again.Figures), len(both.Figures))
	}
}

// Plots are well-formed, whatever was measured.
func TestPlots(t *testing.T) {
	for _, r := range []*Results{newResults("quick"), few()} {
		for name, svg := range plots(r) {
			d := xml.NewDecoder(strings.NewReader(svg))
			for {
				_, err := d.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
				t.Errorf("%s draws what is no number:\n%s", name, svg)
			}
		}
	}
}

// The page and the plots show the results file that lies beside them.
func TestPageIsGenerated(t *testing.T) {
	r, err := Load(filepath.Join(docs, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	if golden.Updating() {
		publishResults(t, r, docs)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(replaceBlock(t, text, "bench", Report(r))) != string(text) {
		t.Errorf("%s does not show docs/bench/results.json: run go test ./integration/bench -run Page -update", page)
	}
	for name, svg := range plots(r) {
		drawn, err := os.ReadFile(filepath.Join(docs, name))
		if err != nil || string(drawn) != svg {
			t.Errorf("docs/bench/%s is not drawn from results.json (%v): run go test ./integration/bench -run Page -update", name, err)
		}
	}
}
