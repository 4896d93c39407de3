package graph_test

import (
	"bytes"
	"cmp"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/testkit"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/graph/graphtest"
	"github.com/gangway-net/gangway/printable"
)

// TestGraphviz: Debian's graphviz draws what Dot writes, without a word of complaint, with as
// many boxes, and shows each name as it is.
func TestGraphviz(t *testing.T) {
	testkit.Need(t, "dot")
	for name, g := range map[string]plugin.Graph{"shop": graphtest.Shop().Graph, "odd": odd(), "empty": graphtest.New().Graph, "hostile": graphtest.Hostile().Graph} {
		shown, elements, picture := graphviz(t, name, draw(t, "dot", g))
		clusters := strings.Count(picture, `class="cluster"`)
		if clusters != len(g.Networks) {
			t.Errorf("%s: %d clusters, want %d", name, clusters, len(g.Networks))
		}
		if name != "odd" && name != "empty" {
			if nodes, want := strings.Count(picture, `class="node"`), len(g.Endpoints)+published(g); nodes != want {
				t.Errorf("%s: %d nodes, want %d", name, nodes, want)
			}
		}
		if i := slices.IndexFunc(elements, func(e string) bool { return e == "a" || e == "image" || e == "script" }); i >= 0 {
			t.Errorf("%s: the picture has an element %s", name, elements[i])
		}
		for _, n := range g.Networks {
			if want := clipped(printable.Word(cmp.Or(n.Name, n.ID[:12]))); !slices.Contains(shown, want) {
				t.Errorf("%s: no %q is shown", name, want)
			}
		}
	}
}

// clipped is a name as labels have it.
func clipped(name string) string {
	if r := []rune(name); len(r) > 64 {
		return string(r[:63]) + "…"
	}
	return name
}

// published is how many ports are drawn: a run at several addresses is one.
func published(g plugin.Graph) int {
	seen := map[string]bool{}
	for _, p := range g.Ports {
		if p.EndpointID != "" {
			seen[p.EndpointID+p.Protocol+string(rune(p.First))+string(rune(p.Last))+string(rune(p.ContainerFirst))] = true
		}
	}
	return len(seen)
}

func graphviz(t *testing.T, name, text string) (shown, elements []string, picture string) {
	t.Helper()
	cmd := exec.Command("dot", "-Tsvg")
	var out, complaints bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(text), &out, &complaints
	if err := cmd.Run(); err != nil || complaints.Len() > 0 {
		t.Fatalf("%s: graphviz: %v: %s\n%s", name, err, complaints.String(), text)
	}
	// It names the document type by an address, and writes spaces so that they stay.
	picture = regexp.MustCompile(`(?s)<!DOCTYPE.*?>`).ReplaceAllString(out.String(), "")
	shown, elements = texts(t, picture)
	for i := range shown {
		shown[i] = strings.ReplaceAll(shown[i], "\u00a0", " ")
	}
	return shown, elements, picture
}
