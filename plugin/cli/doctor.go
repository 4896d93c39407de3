package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/doctor"
	"github.com/gangway-net/gangway/printable"
)

const doctorLong = `Look for what keeps published ports and containers from answering: everywhere,
at one container, or at one port of the host.

Each finding is a line with its cure. It looks at the daemon's own state, who
listens in the container, on which address, and whether it accepts; links,
addresses, routes and rules of the container; rules of others on the host that
drop or divert (iptables and nftables), its routes, links, forwarding and
connection table; open files, bridges that are full, MTUs, and the engine.
With --client it also looks at the way back to somebody who gets no answer.
It only reads, and sends no packet. What cannot be looked at is said at the end.
docs/doctor.md lists all findings.

` + aboutNames + `

Exit code 0 means that nothing is wrong, 1 that something is.`

// doctorFlags are those of gangway doctor.
type doctorFlags struct{ client, engine string }

func doctorCommand() command {
	return command{
		use: "doctor [CONTAINER|PORT[/PROTOCOL]]", short: "Say why a container or a published port does not answer", long: doctorLong,
		subject: &subject{complete: containerNames, flags: func(f *pflag.FlagSet, q *query) {
			f.StringVar(&q.doctor.client, "client", "", "look at the way back to the `ADDRESS` of who gets no answer")
			f.StringVar(&q.doctor.engine, "engine", "/run/docker.sock", "the engine's API socket `file`, asked where the daemon knows no names")
		}}, run: runDoctor,
	}
}

func runDoctor(ctx context.Context, q query) error {
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	var client netip.Addr
	if q.doctor.client != "" {
		a, err := netip.ParseAddr(strings.Trim(q.doctor.client, "[]"))
		if err != nil {
			return fmt.Errorf("--client %q: want an address, such as 192.0.2.9", q.doctor.client)
		}
		client = a.Unmap().WithZone("")
	}
	q.awaitContainer(ctx, q.want.argument)
	state, err := q.state(ctx)
	if err != nil {
		return err
	}
	target, err := q.target(state)
	if err != nil {
		return err
	}
	var notes []string
	state.Engine, notes = q.engineFault(ctx, state)
	facts := doctor.Look(ctx, state, target, client)
	facts.Notes = append(append(facts.Notes, notes...), doctor.Missing(facts, target)...)
	findings := doctor.Judge(facts, target)
	if q.json {
		err = q.doctorJSON(findings, facts.Notes)
	} else {
		err = q.doctorText(findings, facts)
	}
	if err == nil && len(findings) > 0 {
		err = errSilent
	}
	return err
}

// state asks the daemon for what it knows.
func (q query) state(ctx context.Context) (s doctor.State, err error) {
	var h plugin.Health
	q.json = false
	if _, err = q.answer(ctx, "health", &h); err != nil {
		return s, err
	}
	for _, c := range h.Causes {
		switch {
		case c.State != cause.OK:
			s.Health = append(s.Health, c)
		case c.Code == cause.HostAsked:
			s.HostAsked = c.Line()
		}
	}
	s.Unguarded, s.Protection = h.Unguarded, h.Protection
	var status plugin.Status
	for name, into := range map[string]any{"status": &status, "networks": &s.Networks, "endpoints": &s.Endpoints, "ports": &s.Ports} {
		if _, err = q.answer(ctx, name, into); err != nil {
			return s, err
		}
	}
	s.Serving = status.Serving
	s.Files, s.FileLimit = q.files(ctx)
	return s, nil
}

// files counts the descriptors of the daemon, and says how many it may have; 0 where that
// cannot be found out.
func (q query) files(ctx context.Context) (open, limit int) {
	d, err := q.find(ctx)
	if err != nil {
		return 0, 0
	}
	pid, err := d.pid(ctx)
	if err != nil {
		return 0, 0
	}
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	// Of a socket unit's socket it is the service manager that listens.
	if exe, _ := os.Readlink(filepath.Join(proc, "exe")); !strings.HasPrefix(filepath.Base(exe), "gangway") {
		return 0, 0
	}
	list, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		return 0, 0
	}
	text, err := os.ReadFile(filepath.Join(proc, "limits")) //nolint:gosec // of proc(5)
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			limit, _ = strconv.Atoi(strings.Fields(rest)[0]) // 0 for unlimited
		}
	}
	return len(list), limit
}

// target is what the argument means.
func (q query) target(s doctor.State) (t doctor.Target, err error) {
	if q.want.argument == "" {
		return t, nil
	}
	port, isPort, err := parsePort(q.want.argument)
	if err != nil {
		return t, err
	}
	ids, err := pick("container", "runs on a network of Gangway", q.want.argument, containers(s.Endpoints))
	if missing := (*notFoundError)(nil); isPort && errors.As(err, &missing) {
		return doctor.Target{Port: port.number, Protocol: port.protocol}, nil
	}
	t.Endpoints = map[string]bool{}
	for _, e := range s.Endpoints {
		if ids[key(e.Whose, e.ID)] {
			t.Endpoints[e.ID] = true
		}
	}
	return t, err
}

func (q query) doctorJSON(findings []doctor.Finding, notes []string) error {
	raw, err := json.Marshal(struct {
		Findings []doctor.Finding `json:"findings"`
		Notes    []string         `json:"notes,omitempty"`
	}{append([]doctor.Finding{}, findings...), notes})
	if err != nil {
		return err
	}
	return q.printJSON(raw)
}

func (q query) doctorText(findings []doctor.Finding, f doctor.Facts) error {
	var lines []string
	for _, finding := range findings {
		lines = append(lines, printable.Word(finding.String()))
	}
	if len(findings) == 0 {
		found := "found nothing wrong with %s, %s and %s"
		if len(f.Notes) > 0 {
			found += ", as far as could be looked at:"
		}
		lines = append(lines, fmt.Sprintf(found, count(uint64(len(f.State.Networks)), "network"),
			count(uint64(len(f.State.Endpoints)), "endpoint"), count(uint64(len(f.State.Ports)), "published run")))
	}
	for _, note := range f.Notes {
		lines = append(lines, printable.Word(note))
	}
	_, err := fmt.Fprintln(q.out, strings.Join(lines, "\n"))
	return err
}
