package graph_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/graph/graphtest"
)

// mermaidText is a label as Mermaid takes it, whatever is in it: between quotes, of letters,
// digits, a few marks, line breaks of ours and numbers of characters. A quote, a bracket, a
// mark of Markdown or an entity with a name is none of these.
const mermaidText = `"(?:[\pL\p{Nd} /:,·._\-]|<br/>|#\d+;)*"`

// TestMermaidGrammar: each line of a flowchart has one of the forms that there are, groups are
// closed, and arrows lead between what is there. Mermaid's own parser (11.17) took the same
// pictures; it is a program of the browser's, which Debian does not have.
func TestMermaidGrammar(t *testing.T) {
	line := map[string]*regexp.Regexp{
		"group": regexp.MustCompile(`^  subgraph (n\d+)\[` + mermaidText + `\]$`),
		"place": regexp.MustCompile(`^    (c\d+|n\d+none)\[` + mermaidText + `\]$`),
		"end":   regexp.MustCompile(`^  end$`),
		"port":  regexp.MustCompile(`^  (p\d+)\(\[` + mermaidText + `\]\) -->\|` + mermaidText + `\| (c\d+)$`),
		"twin":  regexp.MustCompile(`^  (c\d+) -\.- (c\d+)$`),
	}
	pictures := map[string]plugin.Graph{"shop": graphtest.Shop().Graph, "odd": odd(), "empty": graphtest.New().Graph, "hostile": graphtest.Hostile().Graph, "many": graphtest.Many(50, 10).Graph}
	for _, name := range graphtest.HostileNames() {
		pictures[fmt.Sprintf("%q", name)] = named(name)
	}
	for name, g := range pictures {
		head, body, _ := strings.Cut(draw(t, "mmd", g), "\n")
		if head != "flowchart LR" {
			t.Errorf("%s begins with %q", name, head)
		}
		depth, known := 0, map[string]bool{}
		for l := range strings.Lines(body) {
			l = strings.TrimSuffix(l, "\n")
			kind := ""
			var ids []string
			for k, r := range line {
				if m := r.FindStringSubmatch(l); m != nil {
					kind, ids = k, m[1:]
				}
			}
			switch kind {
			case "":
				t.Errorf("%s: no line of a flowchart: %s", name, l)
			case "group":
				depth++
			case "end":
				depth--
			case "place":
				if known[ids[0]] || depth != 1 {
					t.Errorf("%s: %s twice, or in no group", name, ids[0])
				}
				known[ids[0]] = true
			default:
				if to := ids[len(ids)-1]; !known[to] || kind == "twin" && !known[ids[0]] {
					t.Errorf("%s: %s leads nowhere", name, l)
				}
			}
		}
		if depth != 0 {
			t.Errorf("%s: %d groups are not closed", name, depth)
		}
	}
}
