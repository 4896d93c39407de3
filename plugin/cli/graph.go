package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/graph"
)

const graphLong = `Draw networks as boxes, with the containers on them and their published ports.

  gangway graph > networks.svg

The forms are svg, which browsers and pages of documentation show as it is;
mermaid, for Markdown; dot, for "dot -Tpdf" of Graphviz; and json, all that the
pictures are made of. "*" in the place of an address stands for all addresses of
the host, of both families. The same networks and containers give the same bytes.
What passes at the moment is shown by "gangway ui".`

// graphForms lists the forms of pictures, the default first.
func graphForms() []string { return []string{"svg", "mermaid", "dot", "json"} }

func graphCommand() command {
	return command{
		use: "graph", short: "Draw networks, containers and published ports as a file", long: graphLong,
		lists: &lists{network: true, forms: graphForms()}, run: runGraph,
	}
}

func runGraph(ctx context.Context, q query) error {
	draw, known := map[string]func(io.Writer, plugin.Graph) error{"svg": graph.SVG, "mermaid": graph.Mermaid, "dot": graph.Dot}[q.format]
	if !known && q.format != "json" {
		msg := fmt.Sprintf("--format %q: want %s", q.format, strings.Join(graphForms(), ", "))
		if near := config.Nearest(q.format, graphForms()); near != "" {
			msg += fmt.Sprintf("; did you mean %q?", near)
		}
		return fmt.Errorf("%s", msg)
	}
	on, err := q.network(ctx)
	if err != nil {
		return err
	}
	d, err := q.find(ctx)
	if err != nil {
		return err
	}
	raw, err := d.ask(ctx, "graph")
	if err == nil && on != nil {
		raw, err = graphOf(raw, on)
	}
	if err != nil {
		return err
	}
	if q.json || q.format == "json" {
		return q.printJSON(raw)
	}
	var g plugin.Graph
	if err := json.Unmarshal(raw, &g); err != nil {
		return fmt.Errorf("the daemon on %s is of another version: %w", d.socket, err)
	}
	return draw(q.out, g)
}

// graphOf leaves what is of some networks. Fields that this build does not know stay.
func graphOf(raw json.RawMessage, on map[string]bool) (json.RawMessage, error) {
	whole := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &whole); err != nil {
		return nil, err
	}
	for list, field := range map[string]string{"networks": "id", "endpoints": "network", "ports": "network"} {
		var each []map[string]json.RawMessage
		if err := json.Unmarshal(whole[list], &each); err != nil {
			return nil, fmt.Errorf("the daemon is of another version: %w", err)
		}
		each = slices.DeleteFunc(each, func(of map[string]json.RawMessage) bool {
			var id string
			return json.Unmarshal(of[field], &id) != nil || !on[id]
		})
		rest, err := json.Marshal(each)
		if err != nil {
			return nil, err
		}
		whole[list] = rest
	}
	return json.Marshal(whole)
}
