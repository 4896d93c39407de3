package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdxlib"
)

var today = release{version: "1.2.3+20261128.1.gabc", date: time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)}

func TestParseChangelog(t *testing.T) {
	entries, err := parseChangelog("# Changes\nwords before the first version\n\n## Unreleased\n\n* One\n  thing.\n* Another.\n\n"+
		"## 1.2.3-rc.1 (2026-11-01)\n\n### Kind\n\n* Third.\n\n## 1.2.2 (2026-10-01)\n", today)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Fatalf("%d versions with changes: %+v", len(entries), entries)
	}
	first, second := entries[0], entries[1]
	if first.Semver != today.version || !first.Date.Equal(today.date) || len(first.Changes) != 2 || first.Changes[0].Note != "One thing." {
		t.Errorf("unreleased: %+v", first)
	}
	if second.Semver != "1.2.3~rc.1" || second.Date.Format(time.DateOnly) != "2026-11-01" || second.Changes[0].Note != "Third." {
		t.Errorf("release candidate: %+v", second)
	}
}

func TestParseChangelogRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no version":        "# Changes\n\n* One.\n",
		"no change":         "## Unreleased\n",
		"no date":           "## 1.2.3\n\n* One.\n",
		"a wrong date":      "## 1.2.3 (2026-13-01)\n\n* One.\n",
		"two numbers":       "## 1.2 (2026-11-01)\n\n* One.\n",
		"words in a list":   "## Unreleased\n\nOne.\n",
		"more, and no list": "## Unreleased\n\n  One.\n",
	} {
		if entries, err := parseChangelog(text, today); err == nil {
			t.Errorf("%s: %+v", name, entries)
		}
	}
}

// TestChangelog: the project's own is one, and nfpm's form of it is JSON.
func TestChangelog(t *testing.T) {
	var out bytes.Buffer
	if err := writeChangelog(&out, today, "../../CHANGELOG.md"); err != nil {
		t.Fatal(err)
	}
	var entries []map[string]any
	if err := json.Unmarshal(out.Bytes(), &entries); err != nil || len(entries) == 0 {
		t.Errorf("%v: %s", err, out.Bytes())
	}
}

func TestEscape(t *testing.T) {
	if got, want := escape("`a_b` *c* <d> [e]"), `a\_b \*c\* \<d> \[e]`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestNotices: a program names each module that it is built from, with a licence. The
// test's own will do.
func TestNotices(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var notices bytes.Buffer
	if err := writeNotices(&notices, program); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"the standard library of Go", "github.com/spf13/cobra v", "(Apache-2.0)", "(MIT)", "Redistribution and use in source"} {
		if !strings.Contains(notices.String(), want) {
			t.Errorf("no %q", want)
		}
	}
}

func TestLicenceID(t *testing.T) {
	for id, text := range map[string]string{
		"":             "All rights reserved.",
		"MIT":          "Permission is hereby granted, free of\ncharge, to any person. The above copyright notice and this permission notice shall be included.",
		"BSD-2-Clause": "Redistributions of source code must. Redistributions in binary form must.",
		"BSD-3-Clause": "Redistributions of source code must. Redistributions in binary form must. Neither the name of X.",
	} {
		if got := licenceID(text); got != id {
			t.Errorf("%q, want %q", got, id)
		}
	}
}

func TestRunRefused(t *testing.T) {
	set := map[string]string{"VERSION": "1", "SOURCE_DATE_EPOCH": "0"}
	for name, c := range map[string]struct {
		args []string
		env  map[string]string
	}{
		"nothing to do":   {nil, set},
		"unknown":         {[]string{"thing", "x"}, set},
		"no version":      {[]string{"text", t.TempDir()}, map[string]string{"SOURCE_DATE_EPOCH": "0"}},
		"no date":         {[]string{"text", t.TempDir()}, map[string]string{"VERSION": "1"}},
		"no such program": {[]string{"sbom", "/nonexistent"}, set},
	} {
		if err := run(c.args, new(bytes.Buffer), func(key string) string { return c.env[key] }); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestSBOM: what is written is an SPDX document to those who wrote the format, with
// each package once and joined to what it is in.
func TestSBOM(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	debian := t.TempDir() + "/debian"
	if err = os.WriteFile(debian, []byte("iptables 1.8.9-2 arm64\nlibc6 2.36-9+deb12u14 arm64\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err = writeSBOM(&out, today, program, debian); err != nil {
		t.Fatal(err)
	}
	doc, err := spdxjson.Read(&out)
	if err != nil {
		t.Fatal(err)
	}
	if err = spdxlib.ValidateDocument(doc); err != nil {
		t.Error(err)
	}
	seen := map[string]bool{}
	for _, p := range doc.Packages {
		if seen[string(p.PackageSPDXIdentifier)] {
			t.Errorf("%s is there twice", p.PackageSPDXIdentifier)
		}
		seen[string(p.PackageSPDXIdentifier)] = true
	}
	if !seen["Package-libc6"] || !seen["Package-github.com-spf13-cobra"] || len(doc.Relationships) != len(doc.Packages) {
		t.Errorf("%d relationships of %v", len(doc.Relationships), seen)
	}
	if purl := doc.Packages[len(doc.Packages)-1].PackageExternalReferences[0].Locator; purl != "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=arm64" {
		t.Errorf("libc6 is %s", purl)
	}
}
