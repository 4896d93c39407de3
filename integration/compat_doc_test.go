package integration

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestCompatibilityDoc: the last column of the tables by version in
// docs/compatibility.md names scenarios that exist, and every scenario of
// compatScenarios is named.
func TestCompatibilityDoc(t *testing.T) {
	text, err := os.ReadFile("../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	exists := map[string]bool{}
	for _, s := range scenarios() {
		exists[s.name] = true
	}
	quoted := regexp.MustCompile("`([a-z0-9-]+)`")
	rows := 0
	for _, line := range strings.Split(string(text), "\n") {
		columns := strings.Split(line, "|")
		if len(columns) != 8 {
			continue
		}
		rows++
		for _, name := range quoted.FindAllStringSubmatch(columns[6], -1) {
			if !exists[name[1]] {
				t.Errorf("no scenario %q: %s", name[1], line)
			}
		}
	}
	if rows < 50 {
		t.Errorf("%d rows, want the tables by version", rows)
	}
	for _, s := range compatScenarios() {
		if !strings.Contains(string(text), "`"+s.name+"`") {
			t.Errorf("scenario %q is not named", s.name)
		}
	}
}
