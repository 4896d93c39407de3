package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/printable"
)

// width is how many columns a table takes at most, unless --no-trunc is set. A
// terminal's own width was the alternative: then the same command has other answers in
// a pipe.
const width = 120

// gap is between two columns, as docker has it.
const gap = 3

// row is one line of a list: values by the names that templates know.
type row map[string]string

// view is how a kind of list looks.
type view struct {
	// headers has for each name of a value the header of its column.
	headers map[string]string
	// short is the template of the table; long the one with --no-trunc.
	short, long string
}

// show prints rows as --format says: a table for "" and "table", "table TEMPLATE", one
// JSON object a line for "json", and else a template for each.
func (q query) show(v view, rows []row) error {
	format := strings.TrimSpace(q.format)
	text, isTable := strings.CutPrefix(format, "table")
	if text = strings.TrimSpace(text); isTable || format == "" {
		limit := 0
		if text == "" {
			if text, limit = v.short, width; q.full {
				text, limit = v.long, 0
			}
		}
		return q.showTable(v, text, limit, rows)
	}
	if format == "json" || format == "{{json .}}" {
		return q.showJSON(rows)
	}
	lines, err := v.execute(format, rows)
	if err != nil {
		return err
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(q.out, line); err != nil {
			return err
		}
	}
	return nil
}

func (q query) showTable(v view, text string, limit int, rows []row) error {
	lines, err := v.execute(text, append([]row{v.headers}, rows...))
	if err != nil {
		return err
	}
	var table [][]string
	for _, line := range lines {
		table = append(table, strings.Split(line, "\t"))
	}
	return q.table(nil, fit(table, limit, "CONTAINER", "NETWORK"))
}

// showJSON prints one object a line.
func (q query) showJSON(rows []row) error {
	var b bytes.Buffer
	lines := json.NewEncoder(&b)
	lines.SetEscapeHTML(false)
	for _, r := range rows {
		if err := lines.Encode(r); err != nil {
			return err
		}
	}
	_, err := q.out.Write([]byte(printable.JSON(b.String())))
	return err
}

// execute fills a template with each row. No value has characters that a terminal obeys.
func (v view) execute(text string, rows []row) ([]string, error) {
	text = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(text)
	t, err := template.New("").Option("missingkey=error").Funcs(functions()).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("--format: %s", strings.TrimPrefix(err.Error(), "template: :"))
	}
	var lines []string
	for _, r := range rows {
		safe := row{}
		for name, value := range r {
			safe[name] = printable.Word(value)
		}
		var b strings.Builder
		if err := t.Execute(&b, safe); err != nil {
			return nil, v.explain(err)
		}
		lines = append(lines, b.String())
	}
	return lines, nil
}

// explain says which values there are, if one is not.
func (v view) explain(err error) error {
	_, what, missing := strings.Cut(err.Error(), "map has no entry for key ")
	if !missing {
		return fmt.Errorf("--format: %s", strings.TrimPrefix(err.Error(), "template: :"))
	}
	known := slices.Sorted(maps.Keys(v.headers))
	if n := config.Nearest(strings.Trim(what, `"`), known); n != "" {
		return fmt.Errorf("--format: there is no .%s: did you mean .%s?", strings.Trim(what, `"`), n)
	}
	return fmt.Errorf("--format: there is no .%s: known are .%s", strings.Trim(what, `"`), strings.Join(known, ", ."))
}

// functions are those that docker's templates have.
func functions() template.FuncMap {
	return template.FuncMap{
		"json": func(v any) (string, error) {
			b, err := json.Marshal(v)
			return string(b), err
		},
		"join":  strings.Join,
		"split": strings.Split,
		"lower": strings.ToLower,
		"upper": strings.ToUpper,
		"title": func(s string) string {
			if s == "" {
				return s
			}
			return strings.ToUpper(s[:1]) + s[1:]
		},
		"pad": func(s string, before, after int) string {
			if s == "" {
				return s
			}
			return strings.Repeat(" ", max(before, 0)) + s + strings.Repeat(" ", max(after, 0))
		},
		"truncate": func(s string, n int) string {
			if r := []rune(s); n >= 0 && len(r) > n {
				return string(r[:n])
			}
			return s
		},
	}
}
