package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/printable"
)

const eventsLong = `List what the daemon did or noticed without a request, oldest first.

The last 1000 events since the daemon's start are remembered. Their kinds:

  repair    something in the kernel was not as it should be, and is again
  lost      an endpoint whose container is gone was removed
  fight     somebody undoes the same repair again and again; peace: no longer
  problem   something could not be repaired; solved: it could now
  dropped   packets were refused since the last such event, at most once a
            minute; gangway networks --help explains the reasons

With --follow it goes on until it is interrupted, and --json prints one event a
line.`

func eventsCommand() command {
	return command{use: "events", short: "List what was repaired and noticed", long: eventsLong, follows: true, run: runEvents}
}

func runEvents(ctx context.Context, q query) error {
	if q.follow {
		return q.followEvents(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	var events []driver.Event
	if printed, err := q.answer(ctx, plugin.EventsQuery(0, 0), &events); err != nil || printed {
		return err
	}
	return q.printEvents(events)
}

// followEvents prints events as they come. An interrupt is its regular end.
func (q query) followEvents(ctx context.Context) error {
	d, err := q.find(ctx)
	if err != nil {
		return err
	}
	var last uint64
	for {
		events, err := q.nextEvents(ctx, d, last)
		switch {
		case ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled):
			return nil
		case err != nil:
			return err
		}
		if q.json {
			err = q.printLines(events)
		} else {
			err = q.printEvents(events)
		}
		if err != nil {
			return err
		}
		if len(events) > 0 {
			last = events[len(events)-1].Number
		}
	}
}

func (q query) nextEvents(ctx context.Context, d *daemon, after uint64) (events []driver.Event, err error) {
	ctx, cancel := context.WithTimeout(ctx, q.timeout+plugin.MaxEventWait)
	defer cancel()
	raw, err := d.ask(ctx, plugin.EventsQuery(after, plugin.MaxEventWait))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &events); err != nil {
		return nil, fmt.Errorf("the daemon on %s is of another version: %w", d.socket, err)
	}
	return events, nil
}

func (q query) printEvents(events []driver.Event) error {
	for _, e := range events {
		// Nothing in a text looks like the next event.
		text := strings.ReplaceAll(printable.Text(e.Text), "\n", "\n    ")
		if _, err := fmt.Fprintf(q.out, "%s  %-7s  %s\n", stamp(e.Time), printable.Word(e.Kind), text); err != nil {
			return err
		}
	}
	return nil
}

// printLines prints one JSON object a line.
func (q query) printLines(events []driver.Event) error {
	var b bytes.Buffer
	lines := json.NewEncoder(&b)
	lines.SetEscapeHTML(false)
	for _, e := range events {
		if err := lines.Encode(e); err != nil {
			return err
		}
	}
	_, err := q.out.Write([]byte(printable.JSON(b.String())))
	return err
}
