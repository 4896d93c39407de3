package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/printable"
)

const eventsLong = `List what the daemon did or noticed without a request, oldest first: all, or
what is about one container.

The last 1000 events are remembered, over restarts of the daemon and of the host
as well. Their kinds:

  started   a daemon has started: what is before it is of earlier ones
  repair    something in the kernel was not as it should be, and is again
  lost      an endpoint whose container is gone was removed
  flapping  somebody undoes the same repair again and again; settled: no longer
  problem   something could not be repaired; solved: it could now
  dropped   packets were refused since the last such event, at most once a
            minute; gangway networks --help explains the reasons

With --follow it goes on until it is interrupted, or until --until, also over a
restart of the daemon, and --json prints one event a line. Times are as docker events has them: 2026-11-28T10:00:00,
with or without a zone, seconds since 1970, or how long ago, such as 10m.

An event may name no container or network, or one that is gone, so nothing found
is no error.

Values for --format: .Time, .Kind, .Text, .Reason (what was found), .Done (what was
done about it), .Network, .NetworkID, .Container, .ContainerID.`

func eventsView() view {
	const line = `{{.Time}}\t{{.Kind}}\t{{.Network}}\t{{.Container}}\t{{.Reason}}\t{{.Done}}`
	return view{
		headers: row{"Time": "TIME", "Kind": "KIND", "Text": "TEXT", "Reason": "REASON", "Done": "DONE", "Network": "NETWORK", "NetworkID": "NETWORK ID", "Container": "CONTAINER", "ContainerID": "CONTAINER ID"},
		short:   line,
		long:    line,
	}
}

func eventsCommand() command {
	return command{
		use: "events [CONTAINER]", short: "List what was repaired and noticed", long: eventsLong, follows: true, spans: true,
		lists: &lists{argument: true, network: true, complete: containerNames}, run: runEvents,
	}
}

// span is the time of the events that are wanted; a zero time is no bound.
type span struct{ since, until time.Time }

// parseSpan reads what --since and --until say.
func parseSpan(since, until string, now time.Time) (s span, err error) {
	if s.since, err = parseTime(since, now); err != nil {
		return s, fmt.Errorf("--since %w", err)
	}
	if s.until, err = parseTime(until, now); err != nil {
		return s, fmt.Errorf("--until %w", err)
	}
	return s, nil
}

// parseTime reads a time in one of docker's forms (moby api/types/time, GetTimestamp).
func parseTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago), nil
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && strings.Trim(text, ".0123456789") == "" && seconds < 1<<40 {
		return time.UnixMicro(int64(seconds * 1e6)), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q: want a time such as 2026-11-28T10:00:00, seconds since 1970, or how long ago, such as 10m", text)
}

// has says whether an event is wanted. One of refused packets can be about several
// containers and networks, which its text names.
func (w wanted) has(e plugin.Event) bool {
	is := func(kind, arg, name, id string) bool {
		return arg == "" || arg == name || id != "" && strings.HasPrefix(id, arg) || hasWords(e.Text, kind+" "+arg)
	}
	return is("container", w.argument, e.ContainerName, e.ContainerID) && is("network", w.network, e.NetworkName, e.NetworkID) &&
		(w.since.IsZero() || !e.Time.Before(w.since)) && (w.until.IsZero() || !e.Time.After(w.until))
}

// hasWords says whether a text has these words, and not only as the beginning of longer ones.
func hasWords(text, words string) bool {
	for {
		_, after, found := strings.Cut(text, words)
		if !found || after == "" || strings.ContainsRune(" ,)", rune(after[0])) {
			return found
		}
		text = after
	}
}

func runEvents(ctx context.Context, q query) error {
	if q.follow {
		return q.followEvents(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	events, err := fetch[plugin.Event](ctx, q, plugin.EventsQuery(0, 0))
	if err != nil {
		return err
	}
	events.keep(q.want.has)
	if q.json {
		return events.printRaw(q)
	}
	return q.printEvents(events.list)
}

// awayTime is the pause between two questions whether a daemon that has ended is back.
const awayTime = 500 * time.Millisecond

// followEvents prints events as they come. An interrupt is its regular end, and the time
// of --until. A daemon that ends is waited for: the next one has what happened meanwhile.
func (q query) followEvents(ctx context.Context) error {
	wait := ctx
	if !q.want.until.IsZero() {
		bounded, cancel := context.WithDeadline(ctx, q.want.until)
		defer cancel()
		wait = bounded
	}
	answered, away := false, false
	for last, over := uint64(0), false; !over; {
		events, err := q.nextEvents(wait, last, plugin.MaxEventWait)
		switch {
		case ctx.Err() != nil:
			return nil
		case wait.Err() != nil: // what there was until now is left
			over = true
			events, err = q.nextEvents(ctx, last, 0)
		}
		if err != nil && answered && !over {
			if !away {
				_, _ = fmt.Fprintf(q.hint, "%s; waiting until it is back\n", printable.Text(err.Error()))
			}
			away = true
			sleep(wait, awayTime)
			continue
		}
		if err != nil {
			return err
		}
		answered, away = true, false
		if len(events.list) > 0 {
			last = events.list[len(events.list)-1].Number
		}
		events.keep(q.want.has)
		if q.json {
			err = q.printLines(events.each)
		} else {
			err = q.printEvents(events.list)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sleep returns at the end of ctx at the latest.
func sleep(ctx context.Context, t time.Duration) {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (q query) nextEvents(ctx context.Context, after uint64, wait time.Duration) (excerpt[plugin.Event], error) {
	ctx, cancel := context.WithTimeout(ctx, q.timeout+wait)
	defer cancel()
	return fetch[plugin.Event](ctx, q, plugin.EventsQuery(after, wait))
}

func (q query) printEvents(events []plugin.Event) error {
	if q.format != "" {
		var rows []row
		for _, e := range events {
			rows = append(rows, row{
				"Time": stamp(e.Time), "Kind": e.Kind, "Text": e.Text, "Reason": dash(e.Reason), "Done": dash(e.Done), "Network": dash(e.NetworkName), "NetworkID": dash(q.id(e.NetworkID)),
				"Container": dash(e.ContainerName), "ContainerID": dash(q.id(e.ContainerID)),
			})
		}
		return q.show(eventsView(), rows)
	}
	for _, e := range events {
		// Nothing in a text looks like the next event.
		text := strings.ReplaceAll(printable.Text(e.Text), "\n", "\n    ")
		if _, err := fmt.Fprintf(q.out, "%s  %-8s  %s%s\n", stamp(e.Time), printable.Word(e.Kind), text, about(e)); err != nil {
			return err
		}
	}
	return nil
}

// about says what an event is about where its text names no more than links.
func about(e plugin.Event) string {
	var parts []string
	for _, n := range []string{"network " + printable.Word(e.NetworkName), "container " + printable.Word(e.ContainerName)} {
		if !strings.HasSuffix(n, " ") && !strings.Contains(e.Text, n) {
			parts = append(parts, n)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// printLines prints one JSON object a line.
func (q query) printLines(events []json.RawMessage) error {
	var b bytes.Buffer
	for _, e := range events {
		if err := json.Compact(&b, e); err != nil {
			return err
		}
		b.WriteByte('\n')
	}
	_, err := q.out.Write([]byte(printable.JSON(b.String())))
	return err
}
