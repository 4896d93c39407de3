package cause

import (
	"slices"
	"strings"
	"testing"
)

// TestTable: each cause has its code once, a state, and a line for each part.
func TestTable(t *testing.T) {
	seen := map[Code]bool{}
	for _, c := range Table() {
		if seen[c.Code] || c.Code == "" || !slices.Contains(States(), c.State) {
			t.Errorf("%+v", c)
		}
		seen[c.Code] = true
		for _, part := range []string{c.What, c.Why, c.Do} {
			if part == "" || strings.ContainsAny(part, "\n|") || strings.HasSuffix(part, ".") {
				t.Errorf("%s: %q", c.Code, part)
			}
		}
		if got := Of(c.Code, "x"); got.What != "x" || got.Why != c.Why || got.State != c.State {
			t.Errorf("%+v", got)
		}
	}
	if n := len(Codes(OK)) + len(Codes(Degraded)) + len(Codes(Problem)); n != len(seen) {
		t.Errorf("%d codes of all states, want %d", n, len(seen))
	}
}

// TestWorst: the worst cause counts, comes first, and nothing is ok.
func TestWorst(t *testing.T) {
	if Worst(nil) != OK {
		t.Error("without a cause")
	}
	all := []Cause{Of(Unprotected, "a"), Of(PortUnheld, "b"), Of(CheckFailed, "c"), Of(Hung, "d")}
	for i, want := range []State{OK, Degraded, Problem, Problem} {
		if got := Worst(all[:i+1]); got != want {
			t.Errorf("%d causes: %s, want %s", i+1, got, want)
		}
	}
	Sort(all)
	if got := all[0].What + all[1].What + all[2].What + all[3].What; got != "cbda" {
		t.Errorf("sorted: %s", got)
	}
	if got := With(all, Degraded); len(got) != 2 || len(all) != 4 {
		t.Errorf("%+v", got)
	}
}
