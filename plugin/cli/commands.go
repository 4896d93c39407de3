package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/printable"
)

// versions is the JSON of gangway version.
type versions struct {
	Client plugin.Version  `json:"client"`
	Daemon *plugin.Version `json:"daemon,omitempty"`
	// Unreachable says why there is no Daemon.
	Unreachable string `json:"unreachable,omitempty"`
}

func versionCommand(client plugin.Version) command {
	return command{use: "version", short: "Show the version of this command and of the daemon", run: func(ctx context.Context, q query) error {
		v := versions{Client: client}
		var running plugin.Version
		plain := q
		plain.json = false
		if _, err := plain.answer(ctx, "version", &running); err != nil {
			v.Unreachable = err.Error()
		} else {
			v.Daemon = &running
		}
		if q.json {
			raw, err := json.Marshal(v)
			if err != nil {
				return err
			}
			return q.printJSON(raw)
		}
		line := v.Unreachable
		if v.Daemon != nil {
			line = versionLine(*v.Daemon)
		}
		return q.table(nil, [][]string{{"Command:", versionLine(client)}, {"Daemon:", line}})
	}}
}

// table writes rows in columns; header may be nil. A cell may hold anything: no
// container's name for its interface makes a column or a line.
func (q query) table(header []string, rows [][]string) error {
	w := tabwriter.NewWriter(q.out, 0, 0, 3, ' ', 0)
	if header != nil {
		rows = append([][]string{header}, rows...)
	}
	for _, row := range rows {
		cells := make([]string, 0, len(row))
		for _, cell := range row {
			cells = append(cells, printable.Word(cell))
		}
		if _, err := fmt.Fprintln(w, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return w.Flush()
}

func versionLine(v plugin.Version) string {
	line := dash(v.Version)
	if v.Commit != "" {
		line += ", commit " + v.Commit
	}
	if v.Go != "" {
		line += ", " + v.Go
	}
	return line
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format(time.RFC3339)
}

func count(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.FormatUint(n, 10) + " " + what + "s"
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// link shows an interface as ip link does: its index and name.
func link(name string, index int) string {
	switch {
	case name == "" && index == 0:
		return "-"
	case index == 0:
		return name
	}
	return fmt.Sprintf("%d: %s", index, dash(name))
}

func join[T fmt.Stringer](list []T) string {
	words := make([]string, 0, len(list))
	for _, e := range list {
		words = append(words, e.String())
	}
	return dash(strings.Join(words, " "))
}
