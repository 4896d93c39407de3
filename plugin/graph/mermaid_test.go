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
		f := flowchart{known: map[string]bool{}}
		for l := range strings.Lines(body) {
			if wrong := f.take(mermaidLine(line, strings.TrimSuffix(l, "\n"))); wrong != "" {
				t.Errorf("%s: %s: %s", name, wrong, l)
			}
		}
		if f.depth != 0 {
			t.Errorf("%s: %d groups are not closed", name, f.depth)
		}
	}
}

// mermaidLine is what kind of line it is, with the ids in it; none for another one.
func mermaidLine(kinds map[string]*regexp.Regexp, line string) (kind string, ids []string) {
	for k, r := range kinds {
		if m := r.FindStringSubmatch(line); m != nil {
			return k, m[1:]
		}
	}
	return "", nil
}

// flowchart is how far one is read.
type flowchart struct {
	depth int
	known map[string]bool
}

// take says what is wrong with a line; empty for nothing.
func (f *flowchart) take(kind string, ids []string) string {
	switch kind {
	case "":
		return "no line of a flowchart"
	case "group":
		f.depth++
	case "end":
		f.depth--
	case "place":
		if f.known[ids[0]] || f.depth != 1 {
			return "twice, or in no group"
		}
		f.known[ids[0]] = true
	default:
		if !f.known[ids[len(ids)-1]] || kind == "twin" && !f.known[ids[0]] {
			return "it leads nowhere"
		}
	}
	return ""
}
