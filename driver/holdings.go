package driver

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/lock"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// Host ports and their relays are objects as links and rules are, but of this
// process: they are gone when it ends, and what somebody took meanwhile, or an address
// that the host does not have yet, keeps them from coming back. Rules lead to the
// container all the same, so the endpoint lives on without its holder.

// holdPorts holds a container's ports beside what else it has, for as long as keepPorts
// was not told. What is in the way is told, and tried again by each check. An error says
// that a port which is held is not relayed.
func (d *Driver) holdPorts(ctx context.Context, p spec.HostPorts) ([]string, error) {
	return d.hold(ctx, p)
}

func (d *Driver) hold(ctx context.Context, p spec.HostPorts) (held []string, err error) {
	held, unheld, err := d.o.Ports.Hold(ctx, p)
	if err == nil {
		d.tellUnheld(p.Sandbox, unheld)
	}
	return held, err
}

// keepPorts gives up what a container has beyond these ports.
func (d *Driver) keepPorts(_ context.Context, p spec.HostPorts) error {
	d.o.Ports.Keep(p)
	return nil
}

// releasePorts gives up all that a container has.
func (d *Driver) releasePorts(ctx context.Context, p spec.HostPorts) error {
	d.tellUnheld(p.Sandbox, nil)
	return d.keepPorts(ctx, spec.HostPorts{Sandbox: p.Sandbox})
}

// checkPorts compares what is held with the state, and holds what is missing and can
// be. What could not be held is tried again each time. The owners are containers, by the
// key of their sandbox, as several endpoints of one may take turns.
func (r *repair) checkPorts(ctx context.Context) {
	r.mu.Lock()
	unheld := slices.Collect(maps.Keys(r.health.unheld))
	r.mu.Unlock()
	if !r.of.All && len(unheld) == 0 {
		return
	}
	var want []spec.HostPorts
	wanted := map[string]bool{}
	s, unlock := r.desired.Read()
	for sandbox := range s.Sandboxes {
		if p := plan.HostPorts(s, sandbox); len(p.Runs) > 0 {
			want, wanted[sandbox] = append(want, p), true
		}
	}
	unlock()
	lacking := r.o.Ports.Lacking(want)
	for _, sandbox := range lacking {
		if wanted[sandbox] {
			r.note(r.holdMissing(ctx, sandbox))
		} else {
			r.alone(ctx, func() ([]string, error) { return r.releaseStray(ctx, sandbox) })
		}
	}
	for _, sandbox := range unheld {
		if !slices.Contains(lacking, sandbox) {
			r.tellUnheld(sandbox, nil)
		}
	}
}

// releaseStray gives up what no endpoint publishes. It runs while no verb does.
func (r *repair) releaseStray(ctx context.Context, sandbox string) ([]string, error) {
	s, unlockState := r.desired.Read()
	p, whose := plan.HostPorts(s, sandbox), s.Whose(sandbox)
	unlockState()
	if len(p.Runs) > 0 {
		return nil, nil
	}
	return []string{"host ports of " + whose + ", which publishes none: released"}, r.releasePorts(ctx, p)
}

// holdMissing makes a container hold what its endpoints publish, with the locks of their
// networks: a verb that publishes has more for a moment.
func (r *repair) holdMissing(ctx context.Context, sandbox string) (fixed []string, err error) {
	soon, cancel := context.WithTimeout(ctx, lock.Patience)
	defer cancel()
	unlock, err := r.lockNetworks(soon, func(s *model.State) map[string]bool {
		ids := map[string]bool{}
		for _, e := range s.Sandboxes[sandbox] {
			ids[e.NetworkID] = true
		}
		return ids
	})
	if err != nil {
		r.o.Log.WithError(err).Debug("left for the next check")
		return nil, nil
	}
	defer unlock()
	s, unlockState := r.desired.Read()
	p, whose := plan.HostPorts(s, sandbox), s.Whose(sandbox)
	unlockState()
	if len(p.Runs) == 0 {
		return nil, nil
	}
	held, err := r.hold(ctx, p)
	r.o.Ports.Keep(p)
	for _, line := range held {
		fixed = append(fixed, line+" of "+whose+" was not held, or led elsewhere: held")
	}
	return fixed, err
}

// tellUnheld publishes which ports of a container are not held, and logs what is new.
func (d *Driver) tellUnheld(sandbox string, unheld []string) {
	s, unlock := d.desired.Read()
	defer unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	was, name := d.health.unheld[sandbox], model.Short(path.Base(sandbox))
	known := map[string]bool{}
	for _, line := range was {
		known[portOf(line)] = true
	}
	for _, line := range unheld {
		if !known[portOf(line)] {
			d.o.Log.WithField("sandbox", name).Warn(line + "; this is tried again")
			d.journal.Add(events.Problem, line+" ("+s.Whose(sandbox)+")")
		}
	}
	if len(unheld) > 0 {
		d.health.unheld[sandbox] = unheld
		return
	}
	if len(was) > 0 {
		d.o.Log.WithField("sandbox", name).Info("all published ports are held again")
		d.journal.Add(events.Solved, "solved: "+strings.Join(was, "; "))
	}
	delete(d.health.unheld, sandbox)
}

// portOf is the part of a line that names the port: who is in its way may change.
func portOf(line string) string {
	name, _, _ := strings.Cut(line, " is not held")
	return name
}

// unheldLines lists what is not held and is tried again.
func unheldLines(unheld map[string][]string) (lines []string) {
	for _, sandbox := range slices.Sorted(maps.Keys(unheld)) {
		lines = append(lines, unheld[sandbox]...)
	}
	return lines
}
