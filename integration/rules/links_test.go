package rules

import (
	"regexp"
	"strings"
	"testing"
)

var (
	pageLink = regexp.MustCompile(`\]\(([a-z0-9A-Z-]*\.md)?(?:#([a-z0-9_-]+))?\)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// checkLinks: every link between the pages leads to a heading that is there.
func checkLinks(t *testing.T, all map[string]string) {
	t.Helper()
	anchors := map[string]bool{}
	for name, text := range all {
		anchors[name+"#"] = true
		for _, h := range heading.FindAllStringSubmatch(text, -1) {
			anchors[name+"#"+anchor(h[1])] = true
		}
	}
	for name, text := range all {
		for _, l := range pageLink.FindAllStringSubmatch(text, -1) {
			page := l[1]
			if page == "" {
				page = name
			}
			if !anchors[page+"#"+l[2]] {
				t.Errorf("%s: the link to %s leads nowhere", name, l[0])
			}
		}
	}
}

// anchor is what a heading is called in links.
func anchor(title string) string {
	return strings.NewReplacer(" ", "-", ",", "", ".", "", ":", "").Replace(strings.ToLower(title))
}
