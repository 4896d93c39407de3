package driver

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/spec"
)

// Host ports and their relays are objects as links and rules are, but of this
// process: they are gone when it ends, and what somebody took meanwhile, or an address
// that the host does not have yet, keeps them from coming back. Rules lead to the
// container all the same, so the endpoint lives on without its holder.

// reservePorts binds again what the last process held.
func (d *Driver) reservePorts(ctx context.Context, s *state) {
	unheld := map[string][]string{}
	for _, e := range s.endpoints {
		if len(e.Published) == 0 {
			continue
		}
		if _, lines := d.o.Ports.Hold(ctx, e.ID, restoreRequests(e)); len(lines) > 0 {
			unheld[e.ID] = lines
		}
	}
	d.tellUnheld(unheld)
}

// hostPorts compares what is held with the state, and holds what is missing and can
// be. What could not be held is tried again each time.
func (r *repair) hostPorts(ctx context.Context) {
	r.mu.Lock()
	want := map[string][]spec.Published{}
	for id, e := range r.state.endpoints {
		if len(e.Published) > 0 {
			want[id] = e.Published
		}
	}
	retry := len(r.health.unheld) > 0
	r.mu.Unlock()
	if !r.of.All && !retry {
		return
	}
	for _, id := range r.o.Ports.Lacking(want) {
		r.mu.Lock()
		e := r.state.endpoints[id]
		r.mu.Unlock()
		if e == nil {
			r.alone(ctx, func(plan) ([]string, error) { return r.releaseStray(id), nil })
			continue
		}
		r.onNetwork(ctx, e.NetworkID, func(*Network) ([]string, error) { return r.hold(ctx, id), nil })
	}
	r.tellUnheld(r.unheld)
}

// releaseStray gives up what no endpoint publishes. It runs while no verb does.
func (r *repair) releaseStray(id string) []string {
	r.mu.Lock()
	_, known := r.state.endpoints[id]
	r.mu.Unlock()
	if known {
		return nil
	}
	r.o.Ports.Keep(id, nil)
	return []string{"host ports of endpoint " + short(id) + ", which does not exist: released"}
}

// hold makes an endpoint hold what it publishes. The caller has the lock of its
// network: a verb that publishes holds more for a moment.
func (r *repair) hold(ctx context.Context, id string) (fixed []string) {
	r.mu.Lock()
	e := r.state.endpoints[id]
	r.mu.Unlock()
	if e == nil {
		return nil
	}
	held, unheld := r.o.Ports.Hold(ctx, id, restoreRequests(e))
	r.o.Ports.Keep(id, e.Published)
	if len(unheld) > 0 {
		r.unheld[id] = unheld
	}
	for _, line := range held {
		fixed = append(fixed, line+" of endpoint "+short(id)+" was not held, or led elsewhere: held")
	}
	return fixed
}

// tellUnheld publishes which ports are not held, and logs what is new.
func (d *Driver) tellUnheld(unheld map[string][]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(unheld)) {
		known := map[string]bool{}
		for _, line := range d.health.unheld[id] {
			known[portOf(line)] = true
		}
		for _, line := range unheld[id] {
			if !known[portOf(line)] {
				d.o.Log.WithField("ep", short(id)).Warn(line + "; this is tried again")
				d.journal.add(EventProblem, line+" (endpoint "+short(id)+")")
			}
		}
	}
	for id, lines := range d.health.unheld {
		if len(unheld[id]) == 0 {
			d.o.Log.WithField("ep", short(id)).Info("all published ports are held again")
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
	for _, id := range slices.Sorted(maps.Keys(h.unheld)) {
		lines = append(lines, h.unheld[id]...)
	}
	return lines
}
