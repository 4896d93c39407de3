package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/integration/golden"
)

// TestReadmeTables: the README's tables are the code's.
func TestReadmeTables(t *testing.T) {
	file, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(file)
	for name, table := range map[string]string{"options": optionsTable(), "settings": settingsTable()} {
		text = replaceTable(t, text, name, table)
	}
	golden.Compare(t, "README.md", text)
}

// replaceTable puts a table between the comments that name it.
func replaceTable(t *testing.T, text, name, table string) string {
	t.Helper()
	start, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	before, rest, found := strings.Cut(text, start)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("the README has no %s … %s", strings.TrimSpace(start), end)
	}
	return before + start + table + end + after
}

func optionsTable() string {
	var b strings.Builder
	b.WriteString("| Option | Values | Default | Meaning |\n|---|---|---|---|\n")
	for _, o := range config.NetworkOptionsTable() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", o.Name, o.Values, code(o.Default), o.Help)
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
