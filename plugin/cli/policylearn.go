package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/printable"
)

const policyLearnLong = `Watch what a running container, or all containers of a network, send and get for some
time, and print the policy that would have allowed it, for "gangway policy apply".

Nothing is refused meanwhile, whatever policies say. That ends with the time, with an interrupt of
this command (Ctrl-C, SIGTERM), or with the daemon, and nothing of it is stored. An interrupt is a
regular end: the policy is that of what was seen until then. Each flow is told on the standard
error when it is seen first; flows that have begun before are not seen.

Destinations are names where the containers have asked for these, and networks of Gangway
where they are on such. Read the policy before you apply it: what was seen is not always what
should be.`

func policyLearn() policyLeaf {
	var network string
	var span time.Duration
	return policyLeaf{
		use: "learn CONTAINER|NETWORK", short: "Watch for some time, and print the policy that would have allowed what was seen", long: policyLearnLong,
		args: exactly(1), complete: whoms, lasting: true,
		flags: func(f *pflag.FlagSet) {
			f.DurationVar(&span, "for", 10*time.Minute, "how long to watch")
			f.StringVar(&network, "network", "", "the `NETWORK` of a container that is on several")
		},
		run: func(ctx context.Context, q query, args []string) error {
			if span < time.Second {
				return fmt.Errorf("--for %s: want 1s or more, such as 10m", span)
			}
			d, err := q.find(ctx)
			if err != nil {
				return err
			}
			q.find = func(context.Context) (*daemon, error) { return d, nil }
			soon, cancel := context.WithTimeout(ctx, q.timeout)
			defer cancel()
			of, err := q.one(soon, args[0], network)
			if err != nil {
				return err
			}
			return q.learn(ctx, d, of, span)
		},
	}
}

// errLearned ends the stream behind its last line.
var errLearned = errors.New("all is said")

func (q query) learn(ctx context.Context, d *daemon, of driver.Whom, span time.Duration) error {
	err := d.streamToEnd(ctx, plugin.LearnQuery(of, span), q.timeout, func(line json.RawMessage) error {
		var next plugin.Learned
		if err := json.Unmarshal(line, &next); err != nil {
			return fmt.Errorf("the daemon on %s is of another version: %w", d.socket, err)
		}
		switch {
		case next.Policy == nil:
			_, err := fmt.Fprintln(q.hint, printable.Text(next.Flow))
			return err
		case q.json:
			return cmp.Or(q.printLines([]json.RawMessage{line}), q.endLearned(ctx, next, span))
		}
		_, err := fmt.Fprint(q.out, next.Text)
		return cmp.Or(err, q.endLearned(ctx, next, span))
	})
	if errors.Is(err, errLearned) {
		return nil
	}
	if err == nil {
		err = errors.New("it ended before its time, and the daemon has not said what was learned; nothing of it is left")
	}
	return err
}

// endLearned ends the stream. A lesson that was cut short says so; that is an error unless who has asked for it
// did so.
func (q query) endLearned(ctx context.Context, l plugin.Learned, span time.Duration) error {
	if !l.Cut {
		return errLearned
	}
	cut := fmt.Sprintf("cut short after %s of %s: what would have come later is missing", time.Duration(l.Seconds)*time.Second, span)
	if ctx.Err() == nil {
		return fmt.Errorf("the daemon ends: %s", cut)
	}
	_, err := fmt.Fprintln(q.hint, cut)
	return cmp.Or(err, errLearned)
}
