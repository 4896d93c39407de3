package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// module is one that a program is built from.
type module struct {
	path, version string
	// text is its licence, and id the licence's SPDX name.
	text, id string
}

// modulesOf returns the modules that the toolchain linked into a program, and the
// standard library as "std".
func modulesOf(program string) ([]module, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return nil, err
	}
	list := []module{{path: "std", version: strings.TrimPrefix(info.GoVersion, "go")}}
	for _, d := range info.Deps {
		if d.Replace != nil {
			return nil, fmt.Errorf("module %s is replaced: its licence is not known", d.Path)
		}
		list = append(list, module{path: d.Path, version: d.Version})
	}
	for i := range list {
		m := &list[i]
		if m.text, err = licence(*m); err != nil {
			return nil, err
		}
		if m.id = licenceID(m.text); m.id == "" {
			return nil, fmt.Errorf("module %s %s: a licence that is not known: add it to licences", m.path, m.version)
		}
	}
	return list, nil
}

// licence is the text of a module's licence, from the module cache.
func licence(m module) (string, error) {
	dir := runtime.GOROOT() //nolint:staticcheck // the toolchain's own folder is asked for
	if m.path != "std" {
		out, err := exec.Command("go", "mod", "download", "-json", m.path+"@"+m.version).Output()
		if err != nil {
			return "", fmt.Errorf("go mod download %s@%s: %w", m.path, m.version, err)
		}
		var found struct{ Dir string }
		if err := json.Unmarshal(out, &found); err != nil {
			return "", err
		}
		dir = found.Dir
	} else if out, err := exec.Command("go", "env", "GOROOT").Output(); err == nil {
		dir = string(bytes.TrimSpace(out))
	}
	var texts []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		if e.IsDir() || !slices.ContainsFunc([]string{"LICENSE", "LICENCE", "COPYING", "NOTICE"}, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", err
		}
		texts = append(texts, strings.TrimSpace(strings.ReplaceAll(string(text), "\r", "")))
	}
	return strings.Join(texts, "\n\n"), nil
}

// licences are known by words that no other one has; the first that has all counts.
var licences = []struct {
	id    string
	words []string
}{
	{"Apache-2.0", []string{"Apache License", "Version 2.0, January 2004"}},
	{"BSD-3-Clause", []string{"Redistributions of source code", "Redistributions in binary form", "Neither the name of"}},
	{"BSD-2-Clause", []string{"Redistributions of source code", "Redistributions in binary form"}},
	{"MIT", []string{"Permission is hereby granted, free of charge", "The above copyright notice and this permission notice"}},
}

func licenceID(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	for _, l := range licences {
		if !slices.ContainsFunc(l.words, func(w string) bool { return !strings.Contains(text, w) }) {
			return l.id
		}
	}
	return ""
}

// writeNotices writes whose work a program has in it, and on what terms.
func writeNotices(out io.Writer, program string) error {
	modules, err := modulesOf(program)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	b.WriteString("The program gangway is built from these modules.\n")
	for _, m := range modules {
		name := m.path
		if m.path == "std" {
			name = "the standard library of Go"
		}
		fmt.Fprintf(&b, "\n%s\n%s %s (%s)\n\n%s\n", strings.Repeat("-", 72), name, m.version, m.id, m.text)
	}
	_, err = out.Write(b.Bytes())
	return err
}
