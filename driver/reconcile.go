package driver

import (
	"context"
	"errors"
	"time"
)

// Reconcile compares the kernel with the state, mends what differs, and
// returns how many things it mended. Each repair is one Warn line. An endpoint
// whose link pair was gone twice in a row has lost its container without the
// engine telling (it forgot it in a crash): it is removed with its ports.
func (d *Driver) Reconcile(ctx context.Context) int {
	d.mu.Lock()
	before := d.health.missing
	d.mu.Unlock()
	r := d.repair(ctx)
	for _, line := range r.fixed {
		d.o.Log.Warn("repaired: " + line)
	}
	for id, networkID := range r.missing {
		if before[id] == "" {
			continue
		}
		d.o.Log.WithField("ep", short(id)).Warn("endpoint has lost its link and its container: removed")
		if err := d.DeleteEndpoint(ctx, networkID, id); err != nil {
			d.o.Log.WithError(err).WithField("ep", short(id)).Error("remove the lost endpoint")
		}
	}
	return len(r.fixed)
}

// repair makes the kernel hold what the state says, all of it.
func (d *Driver) repair(ctx context.Context) *repair {
	d.gate.Lock()
	defer d.gate.Unlock()
	d.mu.Lock()
	want := compile(d.state)
	d.mu.Unlock()
	r := &repair{Driver: d, missing: map[string]string{}}
	r.links(ctx, want)
	r.note(d.o.Firewall.Sync(ctx, want.rules))
	r.finish()
	return r
}

// repair is one comparison of the kernel with the state.
type repair struct {
	*Driver
	fixed  []string
	failed []error
	// missing leads from endpoints whose link pair is gone to their network.
	missing map[string]string
}

func (r *repair) note(fixed []string, err error) {
	r.fixed = append(r.fixed, fixed...)
	if err != nil {
		r.failed = append(r.failed, err)
	}
}

// links mends bridges and host ends. A pair that is gone entirely took its
// container's end with it and cannot be brought back from here.
func (r *repair) links(ctx context.Context, want plan) {
	for _, b := range want.bridges {
		r.note(r.o.Links.EnsureBridge(ctx, b))
	}
	if want.forward4 || want.forward6 {
		r.note(r.o.Host.EnableForwarding(ctx, want.forward4, want.forward6))
	}
	there, err := r.o.Host.Veths(ctx)
	if err != nil {
		r.note(nil, err)
		return
	}
	for _, v := range want.veths {
		if _, ok := there[v.EndpointID]; !ok {
			r.missing[v.EndpointID] = r.networkOf(v.EndpointID)
			continue
		}
		r.note(r.o.Links.EnsureVeth(ctx, v))
	}
	removed, err := r.o.Host.Sweep(ctx, want.bridges, want.veths)
	r.note(removed, err)
}

// finish publishes what was found. A problem is logged when it is new.
func (r *repair) finish() {
	problem := ""
	if err := errors.Join(r.failed...); err != nil {
		problem = err.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if problem != "" && problem != r.health.problem {
		r.o.Log.Error("the kernel does not hold what it should: " + problem)
	}
	r.health.repairs += uint64(len(r.fixed))
	r.health.lastCheck = time.Now()
	r.health.problem = problem
	r.health.missing = r.missing
}

func (d *Driver) networkOf(endpointID string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.state.endpoints[endpointID]; e != nil {
		return e.NetworkID
	}
	return ""
}
