package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/plugin"
)

// TestGraph: all forms, of all networks and of one.
func TestGraph(t *testing.T) {
	dir := host(t, namedHost())
	compare(t, "graph", transcript(t, dir, "graph --format mermaid", "graph --network shop_front --format dot", "graph --network "+net2[:12]+" --format svg", "graph --network back"))
	if a, b := gangway(t, dir, "graph"), gangway(t, dir, "graph", "--format", "svg"); a != b || !strings.HasPrefix(a.stdout, "<svg ") {
		t.Errorf("gangway graph: %+v, and with --format svg %+v", a, b)
	}
}

// TestGraphJSON: the JSON is the daemon's answer, and what is left of it are whole networks.
func TestGraphJSON(t *testing.T) {
	dir := host(t, namedHost())
	for line, want := range map[string][3]int{"graph --json": {2, 3, 5}, "graph --format json": {2, 3, 5}, "graph --json --network shop_front": {1, 2, 5}, "graph --format json --network " + net2[:12]: {1, 1, 0}} {
		r := gangway(t, dir, strings.Fields(line)...)
		var g plugin.Graph
		if err := json.Unmarshal([]byte(r.stdout), &g); r.code != 0 || err != nil {
			t.Fatalf("%s: %v: %+v", line, err, r)
		}
		if got := [3]int{len(g.Networks), len(g.Endpoints), len(g.Ports)}; got != want {
			t.Errorf("%s: %v networks, endpoints and ports, want %v", line, got, want)
		}
		if g.Status.State != "ok" || g.Time.IsZero() {
			t.Errorf("%s: %+v", line, g.Status)
		}
	}
}
