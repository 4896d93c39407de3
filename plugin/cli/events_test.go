package cli

import (
	"strings"
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	now := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"":                          {},
		"10m":                       now.Add(-10 * time.Minute),
		"1h30m":                     now.Add(-90 * time.Minute),
		"981173106":                 now,
		"981173106.5":               now.Add(time.Second / 2),
		"2001-02-03T04:05:06Z":      now,
		"2001-02-03T06:05:06+02:00": now,
		"2001-02-03T05:05:06":       now, // the tests' zone
		"2001-02-03T05:05":          now.Add(-6 * time.Second),
		"2001-02-03":                time.Date(2001, 2, 2, 23, 0, 0, 0, time.UTC),
	} {
		if got, err := parseTime(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "-1", "1e30", "\"1\"", "2001-02-30", "null", "[]"} {
		if got, err := parseTime(text, now); err == nil {
			t.Errorf("%q: %s", text, got)
		}
	}
}

// TestEventsWanted: those of a time, of a container, of a network, in other forms.
func TestEventsWanted(t *testing.T) {
	dir := host(t, namedHost())
	const repair, fight, drop = "bridge gw-0f1e2d3c4b5a: was down: set up", "somebody undoes", "3 packets dropped"
	for line, want := range map[string][]string{
		"":                                   {repair, fight, drop},
		"--since 2001-02-03T05:05:07":        {fight, drop},
		"--until 2001-02-03T04:05:07Z":       {repair, fight},
		"--since 1000h":                      {},
		"shop-web-1":                         {drop},
		"1111":                               {drop},
		"--network shop_front":               {repair, drop},
		"shop-web-1 --network other":         {},
		"--network 0f1e --until 981173106":   {repair},
		"--follow --until 981173107":         {repair, fight},
		"--follow --until 1s --since 1000h":  {},
		"-f --until 1s --network shop_front": {repair, drop},
	} {
		for _, form := range []string{"", " --json", " --format {{.Text}}"} {
			r := gangway(t, dir, append([]string{"events"}, strings.Fields(line+form)...)...)
			if r.code != 0 {
				t.Errorf("events %s: %+v", line+form, r)
			}
			for _, text := range []string{repair, fight, drop} {
				wanted := strings.Contains(strings.Join(want, "\n"), text)
				if strings.Contains(r.stdout, text) != wanted {
					t.Errorf("events %s: %q is there: %t\n%s", line+form, text, !wanted, r.stdout)
				}
			}
		}
	}
	for line, want := range map[string]string{
		"--since x": `gangway events: --since "x": want a time such as`,
		"--until x": `gangway events: --until "x": want a time such as`,
		"a b":       `unexpected argument "b"`,
	} {
		if r := gangway(t, dir, append([]string{"events"}, strings.Fields(line)...)...); r.code != 1 || !strings.Contains(r.stderr, want) {
			t.Errorf("events %s: %+v", line, r)
		}
	}
	table := gangway(t, dir, "events", "--format", "table").stdout
	if !strings.HasPrefix(table, "TIME ") || strings.Count(table, "shop_front") < 2 {
		t.Errorf("a table:\n%s", table)
	}
}
