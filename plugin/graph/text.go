package graph

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/gangway-net/gangway/plugin"
)

// labelLength is how many characters of a name the forms made of text show.
const labelLength = 64

// grammar is what tells one textual form from another.
type grammar struct {
	head, foot string
	// group and place begin with an id and a label, end closes a group.
	group, place, end string
	// port has id, label and the id and port of the container; twin two ids.
	port, twin string
	// quote makes a label of lines, with the marks around it.
	quote func(lines ...string) string
}

// Mermaid writes a flowchart for https://mermaid.js.org.
func Mermaid(w io.Writer, g plugin.Graph) error {
	return write(w, g, grammar{
		head: "flowchart LR\n", group: "  subgraph %s[%s]\n", place: "    %s[%s]\n", end: "  end\n",
		port: "  %s([%s]) -->|%s| %s\n", twin: "  %s -.- %s\n", quote: mermaidLabel,
	})
}

// Dot writes a graph for https://graphviz.org.
func Dot(w io.Writer, g plugin.Graph) error {
	const head = `digraph gangway {
  rankdir=LR;
  graph [fontname="sans-serif", fontsize=12, style=rounded, color=gray60];
  node [fontname="sans-serif", fontsize=11, shape=box, style=rounded];
  edge [fontname="sans-serif", fontsize=10];
`
	return write(w, g, grammar{
		head: head, group: "  subgraph cluster_%s {\n    label=%s;\n", place: "    %s [label=%s];\n", end: "  }\n",
		port: "  %s [label=%s, shape=plain];\n  %[1]s -> %[4]s [label=%[3]s];\n", twin: "  %s -> %s [dir=none, style=dashed];\n", foot: "}\n", quote: dotLabel,
	})
}

// label are the lines of a container.
func (p place) label() []string {
	lines := append([]string{clip(p.title(), labelLength)}, p.addresses()...)
	if mark := p.policy(); mark != "" {
		lines = append(lines, mark)
	}
	return lines
}

func write(w io.Writer, g plugin.Graph, of grammar) error {
	var b strings.Builder
	all := boxes(g)
	ids := map[string]string{}
	b.WriteString(of.head)
	for i, n := range all {
		fmt.Fprintf(&b, of.group, "n"+strconv.Itoa(i), of.quote(clip(n.title(), labelLength), n.about()))
		for _, p := range n.places {
			ids[p.ID] = "c" + strconv.Itoa(len(ids))
			fmt.Fprintf(&b, of.place, ids[p.ID], of.quote(p.label()...))
		}
		if len(n.places) == 0 { // a group of nothing is not drawn
			fmt.Fprintf(&b, of.place, "n"+strconv.Itoa(i)+"none", of.quote("no containers"))
		}
		b.WriteString(of.end)
	}
	published := 0
	for _, n := range all {
		for _, p := range n.places {
			for _, run := range p.ports {
				to := run.to()
				if way := run.way(); way != "" {
					to += " " + way
				}
				fmt.Fprintf(&b, of.port, "p"+strconv.Itoa(published), of.quote(run.at()), of.quote(to), ids[p.ID])
				published++
			}
		}
	}
	for _, pair := range twins(all) {
		fmt.Fprintf(&b, of.twin, ids[pair[0]], ids[pair[1]])
	}
	b.WriteString(of.foot)
	_, err := io.WriteString(w, b.String())
	return err
}

// mermaidLabel quotes lines. Letters, digits and what addresses are written with stand for
// themselves; all else is a number between # and ;, which Mermaid shows as the character: it
// reads HTML and Markdown in labels.
func mermaidLabel(lines ...string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, line := range lines {
		if i > 0 {
			b.WriteString("<br/>")
		}
		text := []rune(line)
		for j, r := range text {
			last := j == len(text)-1 || text[j+1] == ' '
			switch {
			case unicode.IsLetter(r), unicode.IsDigit(r), r == ' ', strings.ContainsRune("/:,·", r):
				b.WriteRune(r)
			case !last && j > 0 && strings.ContainsRune(".-_", r): // "1. " and "- " would be lists, "_a_" emphasis
				b.WriteRune(r)
			default:
				fmt.Fprintf(&b, "#%d;", r)
			}
		}
	}
	b.WriteByte('"')
	return b.String()
}

// dotLabel quotes lines. Graphviz reads escapes and HTML's entities in strings.
func dotLabel(lines ...string) string {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "&", "&amp;")
	var quoted []string
	for _, line := range lines {
		quoted = append(quoted, quote.Replace(line))
	}
	return `"` + strings.Join(quoted, `\n`) + `"`
}
