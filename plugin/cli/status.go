package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/printable"
)

const aboutState = `The state is one word:

  ok        networks are as they should be; a note names a limit of the host
  degraded  something does not work as it should, or is not seen to
  problem   networks may not be what they should be, or the daemon cannot work

Each cause says what is so, why it matters, and what to do.

Exit code 0 means ok, 1 degraded, 2 problem, 3 that there is no answer, as checks
of monitoring systems have them.`

func statusCommand() command {
	return command{use: "status", short: "Show the state of the daemon and its datapath", long: "Show the state of the daemon and its datapath.\n\n" + aboutState, run: runStatus}
}

func healthCommand() command {
	return command{use: "health", short: "Say whether all is well, for health checks", long: "Say whether all is well, for health checks: the worst cause first, each on a line.\n\n" + aboutState, run: runHealth}
}

// stateCode is the exit code for a state: those of plugins of Nagios and its successors
// (OK, WARNING, CRITICAL), of which every monitoring system knows what to make.
func stateCode(s cause.State) error {
	switch s {
	case cause.OK:
		return nil
	case cause.Degraded:
		return &exitError{exitDegraded, nil}
	}
	return &exitError{exitFailed, nil} // an unknown word is a bad one
}

// firewallLine names the backend, and the families that are forwarded for the networks
// alone.
func firewallLine(s plugin.Status) string {
	line := s.Firewall
	if meaning := firewall.Protection(s.Protection).Meaning(); meaning != "" {
		line += "; protection: " + s.Protection + ": " + meaning
	}
	if len(s.Closed) > 0 {
		line += "; " + strings.Join(s.Closed, " and ") + " forwarded for the networks alone"
	}
	return line
}

// label is the word before a cause.
func label(c cause.Cause) string {
	if c.State == cause.OK {
		return "note"
	}
	return string(c.State)
}

// causeRows show causes, each in three lines.
func causeRows(all []cause.Cause) (rows [][]string) {
	for _, c := range all {
		word := label(c)
		rows = append(rows, []string{strings.ToUpper(word[:1]) + word[1:] + ":", c.What}, []string{"  why:", c.Why}, []string{"  do:", c.Do})
	}
	return rows
}

func runStatus(ctx context.Context, q query) error {
	var s plugin.Status
	printed, err := q.answer(ctx, "status", &s)
	if err != nil {
		return &exitError{exitUnknown, err}
	}
	if printed {
		return stateCode(s.State)
	}
	rows := append([][]string{{"State:", string(s.State)}}, causeRows(s.Causes)...)
	title := "Flapping:"
	for _, line := range s.Flapping {
		rows = append(rows, []string{title, line})
		title = ""
	}
	rows = append(rows, [][]string{
		{"Daemon:", versionLine(s.Version) + ", running since " + stamp(s.Started)},
		{"Firewall:", firewallLine(s)},
		{"Networks:", strconv.Itoa(s.Networks)},
		{"Endpoints:", strconv.Itoa(s.Endpoints)},
		{"Ports:", strconv.Itoa(s.Ports)},
		{"Dropped:", droppedLine(s.Dropped)},
		{"Last check:", stamp(s.LastCheck)},
		{"Since the start:", count(s.Checks, "check") + ", " + count(s.Repairs, "repair") + " (see gangway events)"},
		{"Calls:", fmt.Sprintf("%d answered, %d of them with an error; %d under way", s.Served, s.Failed, s.InFlight)},
	}...)
	if err := q.table(nil, rows); err != nil {
		return err
	}
	return stateCode(s.State)
}

func runHealth(ctx context.Context, q query) error {
	var h plugin.Health
	printed, err := q.answer(ctx, "health", &h)
	if err != nil {
		return &exitError{exitUnknown, err}
	}
	if printed {
		return stateCode(h.State)
	}
	var lines []string
	if h.State == cause.OK || len(h.Causes) == 0 {
		lines = append(lines, string(h.State))
	}
	for _, c := range h.Causes {
		lines = append(lines, label(c)+": "+c.Line())
	}
	for i := range lines {
		lines[i] = printable.Word(lines[i])
	}
	if _, err := fmt.Fprintln(q.out, strings.Join(lines, "\n")); err != nil {
		return err
	}
	return stateCode(h.State)
}
