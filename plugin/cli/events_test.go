package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/integration/testkit"
	"github.com/gangway-net/gangway/plugin"
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
	const repair, flapping, drop = "bridge gw-0f1e2d3c4b5a: was down: set up", "somebody undoes", "3 packets dropped"
	for line, want := range map[string][]string{
		"":                                   {repair, flapping, drop},
		"--since 2001-02-03T05:05:07":        {flapping, drop},
		"--until 2001-02-03T04:05:07Z":       {repair, flapping},
		"--since 1000h":                      {},
		"shop-web-1":                         {drop},
		"1111":                               {drop},
		"--network shop_front":               {repair, drop},
		"shop-web-1 --network other":         {},
		"--network 0f1e --until 981173106":   {repair},
		"--follow --until 981173107":         {repair, flapping},
		"--follow --until 1s --since 1000h":  {},
		"-f --until 1s --network shop_front": {repair, drop},
	} {
		for _, form := range []string{"", " --json", " --format {{.Text}}"} {
			r := gangway(t, dir, append([]string{"events"}, strings.Fields(line+form)...)...)
			if r.code != 0 {
				t.Errorf("events %s: %+v", line+form, r)
			}
			for _, text := range []string{repair, flapping, drop} {
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

// TestEventOfSeveral: an event that is about several containers is wanted by the name of each.
func TestEventOfSeveral(t *testing.T) {
	e := plugin.Event{Text: "3 packets dropped: 2 spoofed (network shop, container web-1), 1 isolated (network back)"}
	e.NetworkName, e.ContainerName = "shop", "web-1"
	for w, want := range map[wanted]bool{
		{argument: "web-1"}:                  true,
		{network: "back"}:                    true,
		{argument: "web-1", network: "back"}: true,
		{argument: "web"}:                    false,
		{network: "bac"}:                     false,
		{argument: "shop"}:                   false,
	} {
		if w.has(e) != want {
			t.Errorf("%+v: %t", w, !want)
		}
	}
	if e.Text = "dropped: 1 spoofed (network shops, container web-10), 1 isolated (network shop)"; !(wanted{network: "shop"}).has(e) || (wanted{argument: "web-1"}).has(plugin.Event{Text: e.Text}) {
		t.Error("a longer name stands before the one that is wanted, or for it")
	}
}

// remembering is a driver with a journal.
type remembering struct {
	inspector
	journal *events.Journal
}

func (r *remembering) Events(ctx context.Context, after uint64, wait time.Duration) []events.Event {
	return r.journal.After(ctx, after, wait)
}

// remember runs a daemon that keeps events in a file, until stop.
func remember(t *testing.T, socket, file string) (j *events.Journal, stop func()) {
	t.Helper()
	j = events.Open(events.Options{File: file})
	s, err := plugin.New(plugin.Options{
		Networks: unused{}, Addresses: unused{}, Inspector: &remembering{journal: j}, Version: daemonVersion, Log: testkit.Quiet(),
	})
	if err != nil {
		t.Fatal(err)
	}
	sock, err := plugin.Listen(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, sock) }()
	return j, func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		j.Close()
	}
}

// firstWrite has something in it after a write.
type firstWrite chan struct{}

func (f firstWrite) Write(p []byte) (int, error) {
	select {
	case f <- struct{}{}:
	default:
	}
	return len(p), nil
}

// TestFollowRestart: who follows events sees each once over restarts of the daemon, those
// among them that nobody has asked for before the end, and is told of the wait.
func TestFollowRestart(t *testing.T) {
	dir := t.TempDir()
	socket, file := filepath.Join(dir, socketName), filepath.Join(dir, "events.jsonl")
	const starts, each = 3, 4
	want := ""
	for i := range starts * each {
		want += fmt.Sprintf("event %d\n", i)
	}
	j, stop := remember(t, socket, file)
	j.Add(events.Problem, "event 0", "")
	ctx, interrupt := context.WithTimeout(t.Context(), testkit.Patience)
	defer interrupt()
	out := &until{want: len(want), then: interrupt}
	var stderr bytes.Buffer
	root := New(Options{})
	root.SetArgs([]string{"events", "-f", "--socket", socket, "--format", "{{.Text}}"})
	seen := make(firstWrite, 1)
	root.SetOut(io.MultiWriter(out, seen))
	root.SetErr(&stderr)
	code := make(chan int)
	go func() { code <- Execute(ctx, root, &stderr) }()
	<-seen
	for i := range starts {
		for n := range each {
			if i+n > 0 {
				j.Add(events.Problem, fmt.Sprintf("event %d", i*each+n), "")
			}
		}
		stop()
		if i < starts-1 {
			j, stop = remember(t, socket, file)
		}
	}
	// The last of them is asked for after the end of the daemon that had it.
	_, stop = remember(t, socket, file)
	defer stop()
	if got := <-code; got != 0 || out.String() != want {
		t.Errorf("exit code %d, stdout\n%swant\n%s", got, out.String(), want)
	}
	if !strings.Contains(stderr.String(), "waiting until it is back\n") {
		t.Errorf("stderr %q", stderr.String())
	}
}
