package rules

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// explanation says why a rule is there. The chains and rules of IPv6 are those
// of IPv4, and share its words.
type explanation struct {
	// at is "chain NAME" or the name of a set in nftables, "TABLE CHAIN" in
	// iptables, and the kind of thing for links. With rule empty it is about
	// the chain or set as such.
	at, rule, why string
}

// explanations are all there are; nothing is explained twice.
type explanations struct {
	why map[[2]string]string
	// asked holds what was looked up.
	asked map[[2]string]bool
}

func newExplanations(t *testing.T, lists ...[]explanation) *explanations {
	t.Helper()
	x := &explanations{why: map[[2]string]string{}, asked: map[[2]string]bool{}}
	for _, list := range lists {
		for _, e := range list {
			key := [2]string{e.at, e.rule}
			if x.why[key] != "" {
				t.Errorf("%s %s is explained twice", e.at, e.rule)
			}
			x.why[key] = e.why
		}
	}
	return x
}

// of explains one thing; what cannot be explained fails the test.
func (x *explanations) of(t *testing.T, at, rule string) string {
	t.Helper()
	key := [2]string{at, rule}
	x.asked[key] = true
	why := x.why[key]
	if why == "" {
		t.Errorf("no explanation for %q in %q", rule, at)
	}
	return why
}

// plain are lines of golden files that are about no rule.
var plain = regexp.MustCompile(`^(packet from .*|arrives at .*|answer|` + unseen + `)$`)

// testExplanations: every rule, set and setting of the golden files has an
// explanation, and every explanation something to explain.
func testExplanations(t *testing.T) {
	x := allExplanations(t)
	for _, pattern := range []string{"constant/*.golden", "rules/*.golden", "links/*.golden", "paths/*/*.golden"} {
		for _, line := range linesOf(t, pattern) {
			pieces := parse(line)
			if line == "" {
				continue // of a file without any
			}
			if len(pieces) == 0 && !plain.MatchString(line) {
				t.Errorf("%s has a line that is not understood: %s", pattern, line)
			}
			for _, p := range pieces {
				if p.link == "" {
					x.of(t, p.at, "")
				}
				if p.rule != "" {
					x.of(t, p.at, p.rule)
				}
			}
		}
	}
	for key := range x.why {
		if !x.asked[key] {
			t.Errorf("%q in %q is explained, and is not there", key[1], key[0])
		}
	}
}

func allExplanations(t *testing.T) *explanations {
	t.Helper()
	return newExplanations(t, nftablesChains(), nftablesSets(), iptablesRules(), forwardHookRules(), failClosedChains(), linkSettings())
}

// linesOf returns the lines of golden files.
func linesOf(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", filepath.FromSlash(pattern)))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no golden files, %v", pattern, err)
	}
	var all []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.Split(strings.TrimSpace(string(text)), "\n")...)
	}
	return all
}
