package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/doctor"
	"github.com/gangway-net/gangway/printable"
)

const doctorLong = `Look for what keeps published ports and containers from answering: everywhere,
at one container, or at one port of the host.

Each finding is a line with its cure. It looks at the daemon's own state, who
listens in the container and on which address, the container's links, addresses
and routes, rules of others that drop (iptables and nftables), forwarding, the
connection table, open files, bridges that are full, and MTUs. It only reads,
and sends no packet. What cannot be looked at is said at the end.

` + aboutNames + `

Exit code 0 means that nothing is wrong, 1 that something is.`

func doctorCommand() command {
	return command{
		use: "doctor [CONTAINER|PORT[/PROTOCOL]]", short: "Say why a container or a published port does not answer", long: doctorLong,
		lists: &lists{argument: true, complete: containerNames}, run: runDoctor,
	}
}

func runDoctor(ctx context.Context, q query) error {
	state, err := q.state(ctx)
	if err != nil {
		return err
	}
	target, err := q.target(state)
	if err != nil {
		return err
	}
	facts := doctor.Look(ctx, state)
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
	for line := range strings.Lines(h.Problem) {
		s.Health = append(s.Health, strings.TrimSpace(line))
	}
	s.Health = append(s.Health, h.Degraded...)
	for name, into := range map[string]any{"networks": &s.Networks, "endpoints": &s.Endpoints, "ports": &s.Ports} {
		if _, err = q.answer(ctx, name, into); err != nil {
			return s, err
		}
	}
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
	ids, err := pick("container", "is on a network of Gangway", q.want.argument, containers(s.Endpoints))
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
		lines = append(lines, fmt.Sprintf("found nothing wrong with %s, %s and %s", count(uint64(len(f.State.Networks)), "network"),
			count(uint64(len(f.State.Endpoints)), "endpoint"), count(uint64(len(f.State.Ports)), "published run")))
	}
	for _, note := range f.Notes {
		lines = append(lines, printable.Word(note))
	}
	_, err := fmt.Fprintln(q.out, strings.Join(lines, "\n"))
	return err
}
