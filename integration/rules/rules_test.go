package rules

import "testing"

// TestRules runs in this order, so that -update writes the pages from golden
// files that are new.
func TestRules(t *testing.T) {
	t.Run("Matrix", testMatrix)
	t.Run("Paths", testPaths)
	t.Run("Explanations", testExplanations)
	t.Run("Pages", testPages)
}
