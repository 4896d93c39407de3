package driver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// lostTime is how long a link pair has to be gone until its endpoint is: the
// engine may be about to tell.
const lostTime = 3 * time.Second

// joinTime is how long a restored endpoint may stay out of any container. The
// engine repeats a call that broke off for some 15 s.
const joinTime = time.Minute

// missing is an endpoint whose link pair is gone.
type missing struct {
	networkID string
	since     time.Time
}

// Reconcile compares the kernel with the state, mends what differs, and
// returns how many things it mended. Each repair is one Warn line and an event.
// An endpoint whose link pair stays away has lost its container without the
// engine telling (it forgot it in a crash): it is removed with its ports.
func (d *Driver) Reconcile(ctx context.Context) int {
	return len(d.reconcile(ctx).fixed)
}

// reconcile is Reconcile, with everything that was found.
func (d *Driver) reconcile(ctx context.Context) *repair {
	d.healing.Lock()
	defer d.healing.Unlock()
	r := d.repair(ctx)
	for _, line := range r.fixed {
		d.o.Log.Warn("repaired: " + line)
		d.journal.add(EventRepair, line)
	}
	r.judge()
	for id, networkID := range d.forgotten() {
		d.lose(ctx, networkID, id, "never joined a container")
	}
	for id, m := range r.missing {
		if time.Since(m.since) >= lostTime {
			d.lose(ctx, m.networkID, id, "has lost its link and its container")
		}
	}
	return r
}

// lose removes an endpoint that the engine does not know any more.
func (d *Driver) lose(ctx context.Context, networkID, id, why string) {
	d.o.Log.WithField("ep", short(id)).Warn("endpoint " + why + ": removed")
	d.journal.add(EventLost, "endpoint "+short(id)+" "+why+": removed")
	if err := d.DeleteEndpoint(ctx, networkID, id); err != nil {
		d.o.Log.WithError(err).WithField("ep", short(id)).Error("remove the lost endpoint")
	}
}

// forgotten returns the expected endpoints whose time is over, with their
// network.
func (d *Driver) forgotten() map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	over := map[string]string{}
	for id, since := range d.expected {
		e := d.state.endpoints[id]
		switch {
		case e == nil || e.Sandbox != "":
		case time.Since(since) < joinTime:
			continue
		default:
			over[id] = e.NetworkID
		}
		delete(d.expected, id)
	}
	return over
}

// judge tells repairs that last from those that somebody undoes.
func (r *repair) judge() {
	began, over := r.fights.note(time.Now(), r.fixed)
	r.fought = r.fights.fought(r.fixed)
	if len(began) > 0 {
		text := fmt.Sprintf("somebody undoes the same repair again and again, %d times by now: %s", fightRepairs, strings.Join(began, ", "))
		if who := r.suspect(); who != "" {
			text += "; the firewall's rules were changed last by " + who
		}
		r.o.Log.Error(text + "; it is repaired less often from now on")
		r.journal.add(EventFight, text)
	}
	for _, line := range over {
		r.o.Log.Info("nobody undoes the repair any more: " + line)
		r.journal.add(EventPeace, line)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.health.fights = slices.Sorted(maps.Values(r.fights.on))
}

func (d *Driver) suspect() string {
	if d.o.Suspect == nil {
		return ""
	}
	return d.o.Suspect()
}

// repair makes the kernel hold what the state says, all of it. Rules go before
// the links they guard, as with a verb: nothing is reachable that is not
// isolated, and without rules no link gets to carry anything. A manager of the
// host's firewall, which may take its time, comes last.
func (d *Driver) repair(ctx context.Context) *repair {
	d.gate.Lock()
	defer d.gate.Unlock()
	d.mu.Lock()
	want := compile(d.state)
	d.mu.Unlock()
	r := &repair{Driver: d, missing: map[string]missing{}}
	fixed, err := d.o.Firewall.Sync(ctx, want.rules)
	r.note(fixed, err)
	mend := err == nil
	if mend {
		r.bridges(ctx, want)
	}
	r.veths(ctx, want, mend)
	removed, err := d.o.Host.Sweep(ctx, want.bridges, want.veths)
	r.note(removed, err)
	if mend && r.o.Zones != nil {
		r.note(r.o.Zones.Sync(ctx, zoned(want.bridges)))
	}
	r.finish()
	return r
}

// repair is one comparison of the kernel with the state.
type repair struct {
	*Driver
	fixed  []string
	failed []error
	// missing holds the endpoints whose link pair is gone.
	missing map[string]missing
	// fought says that something was repaired that somebody keeps undoing.
	fought bool
}

func (r *repair) note(fixed []string, err error) {
	r.fixed = append(r.fixed, fixed...)
	if err != nil {
		r.failed = append(r.failed, err)
	}
}

// bridges mends bridges, and forwarding between links.
func (r *repair) bridges(ctx context.Context, want plan) {
	for _, b := range want.bridges {
		r.note(r.o.Links.EnsureBridge(ctx, b))
	}
	if want.forward4 || want.forward6 {
		r.note(r.o.Host.EnableForwarding(ctx, want.forward4, want.forward6))
	}
}

// veths finds pairs that are gone, and mends the host ends of the others if it
// is allowed to. A pair that is gone took its container's end with it and cannot
// be brought back from here.
func (r *repair) veths(ctx context.Context, want plan, mend bool) {
	there, err := r.o.Host.Veths(ctx)
	if err != nil {
		r.note(nil, err)
		return
	}
	for _, v := range want.veths {
		if _, ok := there[v.EndpointID]; !ok {
			r.miss(v.EndpointID)
			continue
		}
		if mend {
			r.note(r.o.Links.EnsureVeth(ctx, v))
		}
	}
}

// finish publishes what was found. A problem is logged when it is new.
func (r *repair) finish() {
	problem := ""
	if err := errors.Join(r.failed...); err != nil {
		problem = err.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch was := r.health.problem; {
	case problem != "" && problem != was:
		r.o.Log.Error("the kernel does not hold what it should: " + problem)
		r.journal.add(EventProblem, problem)
	case problem == "" && was != "":
		r.o.Log.Info("the kernel holds what it should again")
		r.journal.add(EventSolved, "solved: "+was)
	}
	r.health.checks++
	r.health.repairs += uint64(len(r.fixed))
	r.health.lastCheck = time.Now()
	r.health.problem = problem
	r.health.missing = r.missing
}

// miss notes since when an endpoint's pair has been gone.
func (r *repair) miss(endpointID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, known := r.health.missing[endpointID]
	if !known {
		m.since = time.Now()
	}
	if e := r.state.endpoints[endpointID]; e != nil {
		m.networkID = e.NetworkID
	}
	r.missing[endpointID] = m
}
