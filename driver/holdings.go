package driver

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/spec"
)

// Host ports and their relays are objects as links and rules are, but of this
// process: they are gone when it ends, and what somebody took meanwhile, or an address
// that the host does not have yet, keeps them from coming back. Rules lead to the
// container all the same, so the endpoint lives on without its holder.

// reservePorts binds again what the last process held for the endpoints of a state.
func (d *Driver) reservePorts(ctx context.Context, s *state) {
	d.mu.Lock()
	unheld := maps.Clone(d.health.unheld)
	d.mu.Unlock()
	if unheld == nil {
		unheld = map[string][]string{}
	}
	for sandbox, list := range s.sandboxes {
		if requests, _ := holdings(list); len(requests) > 0 {
			if _, lines := d.o.Ports.Hold(ctx, sandbox, requests); len(lines) > 0 {
				unheld[sandbox] = lines
			}
		}
	}
	d.tellUnheld(unheld)
}

// holdings returns what the endpoints of one container publish: as requests for exactly
// these ports, and as runs.
func holdings(list []*Endpoint) (requests []spec.PortRequest, runs []spec.Published) {
	for _, e := range list {
		requests = append(requests, restoreRequests(e)...)
	}
	return requests, publishedBy(list)
}

func publishedBy(list []*Endpoint) (runs []spec.Published) {
	for _, e := range list {
		runs = append(runs, e.Published...)
	}
	return runs
}

// hostPorts compares what is held with the state, and holds what is missing and can
// be. What could not be held is tried again each time. The owners are containers, by the
// key of their sandbox, as several endpoints of one may take turns.
func (r *repair) hostPorts(ctx context.Context) {
	r.mu.Lock()
	if !r.of.All && len(r.health.unheld) == 0 {
		r.mu.Unlock()
		return
	}
	sandboxes := maps.Clone(r.state.sandboxes)
	r.mu.Unlock()
	want := map[string][]spec.Published{}
	for sandbox, list := range sandboxes {
		if runs := publishedBy(list); len(runs) > 0 {
			want[sandbox] = runs
		}
	}
	for _, sandbox := range r.o.Ports.Lacking(want) {
		if len(want[sandbox]) == 0 {
			r.alone(ctx, func() ([]string, error) { return r.releaseStray(sandbox), nil })
			continue
		}
		r.note(r.hold(ctx, sandbox), nil)
	}
	r.tellUnheld(r.unheld)
}

// releaseStray gives up what no endpoint publishes. It runs while no verb does.
func (r *repair) releaseStray(sandbox string) []string {
	r.mu.Lock()
	known := len(r.state.sandboxes[sandbox]) > 0
	r.mu.Unlock()
	if known {
		return nil
	}
	r.o.Ports.Keep(sandbox, nil)
	return []string{"host ports of container " + short(path.Base(sandbox)) + ", which has no endpoint: released"}
}

// hold makes a container's endpoints hold what they publish, with the locks of their
// networks: a verb that publishes holds more for a moment.
func (r *repair) hold(ctx context.Context, sandbox string) (fixed []string) {
	soon, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	unlock, err := r.lockNetworks(soon, func(s *state) map[string]bool {
		ids := map[string]bool{}
		for _, e := range s.sandboxes[sandbox] {
			ids[e.NetworkID] = true
		}
		return ids
	})
	if err != nil {
		r.o.Log.WithError(err).Debug("left for the next check")
		return nil
	}
	defer unlock()
	r.mu.Lock()
	requests, runs := holdings(r.state.sandboxes[sandbox])
	r.mu.Unlock()
	if len(requests) == 0 {
		return nil
	}
	held, unheld := r.o.Ports.Hold(ctx, sandbox, requests)
	r.o.Ports.Keep(sandbox, runs)
	if len(unheld) > 0 {
		r.unheld[sandbox] = unheld
	}
	for _, line := range held {
		fixed = append(fixed, line+" of container "+short(path.Base(sandbox))+" was not held, or led elsewhere: held")
	}
	return fixed
}

// tellUnheld publishes which ports are not held, and logs what is new.
func (d *Driver) tellUnheld(unheld map[string][]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, sandbox := range slices.Sorted(maps.Keys(unheld)) {
		name := short(path.Base(sandbox))
		known := map[string]bool{}
		for _, line := range d.health.unheld[sandbox] {
			known[portOf(line)] = true
		}
		for _, line := range unheld[sandbox] {
			if !known[portOf(line)] {
				d.o.Log.WithField("sandbox", name).Warn(line + "; this is tried again")
				d.journal.add(EventProblem, line+" (container "+name+")")
			}
		}
	}
	for sandbox, lines := range d.health.unheld {
		if len(unheld[sandbox]) == 0 {
			d.o.Log.WithField("sandbox", short(path.Base(sandbox))).Info("all published ports are held again")
			d.journal.add(EventSolved, "solved: "+strings.Join(lines, "; "))
		}
	}
	d.health.unheld = unheld
}

// portOf is the part of a line that names the port: who is in its way may change.
func portOf(line string) string {
	name, _, _ := strings.Cut(line, " is not held")
	return name
}

// degraded lists what is not as it should be and is tried again.
func (h *health) degraded() (lines []string) {
	for _, sandbox := range slices.Sorted(maps.Keys(h.unheld)) {
		lines = append(lines, h.unheld[sandbox]...)
	}
	return lines
}
