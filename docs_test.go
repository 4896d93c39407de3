package main

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/kernel"
	"github.com/gangway-net/gangway/integration/golden"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/metrics"
)

// optionsPage has the tables that are written from the code.
const optionsPage = "docs/options.md"

// TestDocsTables: the tables of options and settings are the code's.
func TestDocsTables(t *testing.T) {
	text := readText(t, optionsPage)
	for name, table := range map[string]string{"options": optionsTable(), "settings": settingsTable()} {
		text = replaceTable(t, text, name, table)
	}
	golden.Compare(t, optionsPage, text)
}

// TestDocsKernels: the tables of kernels are the code's.
func TestDocsKernels(t *testing.T) {
	const page = "docs/kernels.md"
	text := readText(t, page)
	for name, table := range map[string]string{"levels": levelsTable(), "features": featuresTable(), "modules": modulesTable()} {
		text = replaceTable(t, text, name, table)
	}
	golden.Compare(t, page, text)
}

// TestDocsMetrics: the table of metrics is the code's, that of alerts is the rules'.
func TestDocsMetrics(t *testing.T) {
	const page = "docs/metrics.md"
	text := readText(t, page)
	for name, table := range map[string]string{"metrics": metricsTable(), "alerts": alertsTable(t)} {
		text = replaceTable(t, text, name, table)
	}
	golden.Compare(t, page, text)
}

// TestDocsCauses: the table of what keeps the daemon from being ok is the code's.
func TestDocsCauses(t *testing.T) {
	const page = "docs/admin-api.md"
	golden.Compare(t, page, replaceTable(t, readText(t, page), "causes", causesTable()))
}

func causesTable() string {
	var b strings.Builder
	b.WriteString("| Code | State | What, for example | Why it matters | What to do |\n|---|---|---|---|---|\n")
	for _, c := range cause.Table() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", c.Code, c.State, c.What, c.Why, c.Do)
	}
	return b.String()
}

func metricsTable() string {
	var b strings.Builder
	b.WriteString("| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n")
	for _, m := range metrics.Table() {
		var labels []string
		for _, l := range m.Labels {
			labels = append(labels, code(l))
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Type, strings.Join(labels, ", "), m.Help)
	}
	return b.String()
}

func alertsTable(t *testing.T) string {
	t.Helper()
	rules := readText(t, "packaging/metrics/gangway-alerts.yml")
	rule := regexp.MustCompile(`(?m)- alert: (\w+)\n +expr: (.*)\n(?: +for: (\w+)\n)? +labels: \{severity: (\w+)\}\n`).FindAllStringSubmatch(rules, -1)
	if n := strings.Count(rules, "- alert:"); len(rule) != n {
		t.Fatalf("%d of %d alerts are in the form that others have", len(rule), n)
	}
	var b strings.Builder
	b.WriteString("| Alert | Severity | On when | For |\n|---|---|---|---|\n")
	for _, r := range rule {
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s |\n", r[1], r[4], r[2], r[3])
	}
	return b.String()
}

func levelsTable() string {
	var b strings.Builder
	b.WriteString("| Linux | Firewall by default | If others flush all rules | Weaker or refused | Tests run on |\n|---|---|---|---|---|\n")
	for _, l := range kernel.Levels() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", l.Linux, l.Firewall, l.Flushed, l.Lacks, l.Tested)
	}
	return b.String()
}

func featuresTable() string {
	var b strings.Builder
	b.WriteString("| Linux | Feature | Gangway uses it for | Without it | Known by |\n|---|---|---|---|---|\n")
	for _, f := range kernel.Features() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", f.Since, f.Name, f.For, f.Without, f.Known)
	}
	return b.String()
}

func modulesTable() string {
	var b strings.Builder
	b.WriteString("| Module, or option | For | Without it |\n|---|---|---|\n")
	for _, m := range kernel.Modules() {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", m.Names, m.For, m.Without)
	}
	return b.String()
}

// TestDocsOptions: the README names options that exist.
func TestDocsOptions(t *testing.T) {
	var known []string
	for _, o := range config.OptionsTable() {
		known = append(known, o.Name)
	}
	known = append(known, "com.docker.network.endpoint.ifname") // refused by name
	found := regexp.MustCompile(`com\.docker\.network\.[a-z0-9_.]*[a-z0-9]`).FindAllString(readText(t, "README.md"), -1)
	if len(found) == 0 {
		t.Fatal("the README names no option")
	}
	for _, name := range found {
		if !slices.Contains(known, name) {
			t.Errorf("the README names the option %s, which does not exist", name)
		}
	}
}

// TestDocsAdminFields: the tables of the admin API's fields are the code's types.
func TestDocsAdminFields(t *testing.T) {
	sections := strings.Split(readText(t, "docs/admin-api.md"), "\n## ")
	row := regexp.MustCompile("(?m)^\\| `([a-zA-Z0-9]+)` \\| ([^|]*) \\|")
	for title, of := range map[string]any{
		"Health": plugin.Health{}, "Cause": cause.Cause{}, "Status": plugin.Status{}, "Version": plugin.Version{}, "Errors": plugin.ErrorBody{},
		"Network": plugin.Network{}, "Endpoint": plugin.Endpoint{}, "Port": plugin.Port{}, "Address": plugin.Address{}, "Lease": plugin.Lease{}, "Event": plugin.Event{}, "Graph": plugin.Graph{},
		"ForeignPort": plugin.ForeignPort{}, "Rate": plugin.RateRequest{},
		"Decisions": plugin.Decisions{},
	} {
		i := slices.IndexFunc(sections, func(s string) bool { return strings.HasPrefix(s, title+"\n") })
		if i < 0 {
			t.Errorf("docs/admin-api.md has no section %s", title)
			continue
		}
		_, table, _ := strings.Cut(sections[i], "| Field |")
		table, _, _ = strings.Cut(table, "\n\n")
		var got []string
		for _, m := range row.FindAllStringSubmatch(table, -1) {
			name := m[1]
			if strings.HasSuffix(m[2], ", optional") {
				name += "?"
			}
			got = append(got, name)
		}
		want := jsonFields(reflect.TypeOf(of))
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("docs/admin-api.md, %s: the table has %v, the type %v", title, got, want)
		}
	}
}

// jsonFields are the names of a type's fields in JSON, those of embedded types among
// them; optional ones with a question mark.
func jsonFields(of reflect.Type) (names []string) {
	for i := range of.NumField() {
		f := of.Field(i)
		if f.Anonymous {
			names = append(names, jsonFields(f.Type)...)
			continue
		}
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		if option == "omitempty" {
			name += "?"
		}
		names = append(names, name)
	}
	return names
}

// TestDocsReadmeIsShort: details go to docs/.
func TestDocsReadmeIsShort(t *testing.T) {
	if n := strings.Count(readText(t, "README.md"), "\n"); n > 200 {
		t.Errorf("the README has %d lines, want 200 at most", n)
	}
}

// TestDocsLinks: each relative link in each page leads to a file, and to a heading
// in it.
func TestDocsLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	checked := 0
	for _, page := range markdownPages(t) {
		for _, m := range link.FindAllStringSubmatch(withoutCode(readText(t, page)), -1) {
			u, err := url.Parse(m[1])
			if err != nil {
				t.Errorf("%s: link %s: %v", page, m[1], err)
				continue
			}
			if u.Scheme != "" {
				continue
			}
			checked++
			to := page
			if u.Path != "" {
				to = filepath.Join(filepath.Dir(page), u.Path)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: link %s: %v", page, m[1], err)
			} else if u.Fragment != "" && !slices.Contains(anchors(readText(t, to)), u.Fragment) {
				t.Errorf("%s: link %s: %s has no such heading", page, m[1], to)
			}
		}
	}
	if checked < 50 {
		t.Errorf("%d links checked, want those of all pages", checked)
	}
}

// markdownPages lists the pages of the project.
func markdownPages(t *testing.T) (pages []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && (name == "build" || name == "testdata" || len(name) > 1 && name[0] == '.'):
			return filepath.SkipDir
		case filepath.Ext(name) == ".md":
			pages = append(pages, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// withoutCode leaves out blocks of code, fenced or indented, and code in lines.
func withoutCode(text string) string {
	var b strings.Builder
	fenced := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			continue
		}
		if !fenced && !strings.HasPrefix(line, "    ") {
			b.WriteString(line)
		}
	}
	return regexp.MustCompile("`[^`\n]*`").ReplaceAllString(b.String(), "")
}

// anchors are the names by which links lead to the headings of a page, as GitHub makes
// them.
func anchors(text string) (names []string) {
	strip := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	times := map[string]int{}
	fenced := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		title, found := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		if fenced || !strings.HasPrefix(line, "#") || !found {
			continue
		}
		name := strings.ReplaceAll(strip.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), ""), " ", "-")
		times[name]++
		if n := times[name]; n > 1 {
			name = fmt.Sprintf("%s-%d", name, n-1)
		}
		names = append(names, name)
	}
	return names
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// replaceTable puts a table between the comments that name it.
func replaceTable(t *testing.T, text, name, table string) string {
	t.Helper()
	start, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	before, rest, found := strings.Cut(text, start)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("the page has no %s … %s", strings.TrimSpace(start), end)
	}
	return before + start + table + end + after
}

func optionsTable() string {
	var b strings.Builder
	b.WriteString("| Option | For | Values | Default | Meaning | Since |\n|---|---|---|---|---|---|\n")
	for _, o := range config.OptionsTable() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", o.Name, o.Where, o.Values, code(o.Default), o.Help, o.Since)
	}
	return b.String()
}

func settingsTable() string {
	var b strings.Builder
	b.WriteString("| Flag | Environment | Default | Meaning |\n|---|---|---|---|\n")
	for _, s := range config.SettingsTable() {
		fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s |\n", s.Flag, s.Env, code(s.Default), s.Help)
	}
	return b.String()
}

// code shows a default; an empty one is an empty cell.
func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// TestDocsChains: the pages that list chains by hook name chains that there are.
func TestDocsChains(t *testing.T) {
	rules := readText(t, "driver/firewall/nftables/testdata/table.golden") + readText(t, "driver/firewall/nftables/testdata/failclosed.golden")
	row, name := regexp.MustCompile(`(?m)^\| (?:prerouting|output|forward|postrouting).*$`), regexp.MustCompile("`([a-z_]+)`")
	for _, page := range []string{"docs/firewalls.md", "docs/rules/README.md"} {
		rows := row.FindAllString(readText(t, page), -1)
		if len(rows) < 3 {
			t.Errorf("%s lists %q", page, rows)
		}
		for _, m := range name.FindAllStringSubmatch(strings.Join(rows, "\n"), -1) {
			if !strings.Contains(rules, "chain "+m[1]+" {\n") {
				t.Errorf("%s names chain %s, which is not there", page, m[1])
			}
		}
	}
}
