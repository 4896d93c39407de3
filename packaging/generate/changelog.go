package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"
)

// maintainer signs the entries of a package's change log.
const maintainer = "Gangway <gangway@localhost>"

// entry is one version in the form that nfpm reads (chglog), which is YAML and
// takes JSON.
type entry struct {
	Semver   string    `json:"semver"`
	Date     time.Time `json:"date"`
	Packager string    `json:"packager"`
	Deb      debian    `json:"deb"`
	Changes  []change  `json:"changes"`
}

// debian is what only Debian's form has.
type debian struct {
	Urgency       string   `json:"urgency"`
	Distributions []string `json:"distributions"`
}

type change struct {
	Note string `json:"note"`
}

// heading is that of a version: "## 1.2.0 (2026-11-28)", or "## Unreleased".
var heading = regexp.MustCompile(`^## (?:(Unreleased)|(\d+\.\d+\.\d+(?:-(?:alpha|beta|rc)\.\d+)?) \((\d{4}-\d\d-\d\d)\))$`)

// writeChangelog reads CHANGELOG.md and gives the unreleased part the version that is
// packaged. A release has no such part.
func writeChangelog(out io.Writer, r release, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	entries, err := parseChangelog(string(text), r)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return json.NewEncoder(out).Encode(entries)
}

// parseChangelog returns the versions that have changes, as they stand.
func parseChangelog(text string, r release) (entries []entry, err error) {
	var last *entry
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "## "):
			if last, err = parseHeading(line, r); err != nil {
				return nil, err
			}
			entries = append(entries, *last)
			last = &entries[len(entries)-1]
		case last == nil || line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "* "):
			last.Changes = append(last.Changes, change{strings.TrimPrefix(line, "* ")})
		case strings.HasPrefix(line, "  ") && len(last.Changes) > 0:
			note := &last.Changes[len(last.Changes)-1].Note
			*note += " " + strings.TrimSpace(line)
		default:
			return nil, fmt.Errorf("neither a heading nor an entry: %q", line)
		}
	}
	entries = withChanges(entries)
	if len(entries) == 0 {
		return nil, errors.New("no version has changes")
	}
	return entries, nil
}

func parseHeading(line string, r release) (*entry, error) {
	m := heading.FindStringSubmatch(line)
	switch {
	case m == nil:
		return nil, fmt.Errorf("%q: want \"## Unreleased\" or \"## 1.2.0 (2026-11-28)\"", line)
	case m[1] != "":
		return newEntry(r.version, r.date), nil
	}
	date, err := time.Parse(time.DateOnly, m[3])
	if err != nil {
		return nil, err
	}
	return newEntry(packageVersion(m[2]), date), nil
}

func newEntry(version string, date time.Time) *entry {
	return &entry{Semver: version, Date: date, Packager: maintainer, Deb: debian{Urgency: "medium", Distributions: []string{"stable"}}}
}

// packageVersion is a version as Debian and RPM order it: what comes before a release
// is behind a tilde. scripts/version.sh does the same with tags.
func packageVersion(semver string) string { return strings.Replace(semver, "-", "~", 1) }

func withChanges(entries []entry) (kept []entry) {
	for _, e := range entries {
		if len(e.Changes) > 0 {
			kept = append(kept, e)
		}
	}
	return kept
}
