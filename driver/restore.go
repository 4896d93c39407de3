package driver

import (
	"context"
	"fmt"
	"time"

	"github.com/gangway-net/gangway/driver/spec"
)

// Restore reads the stored state and makes the kernel follow it. It must
// return before the first verb.
//
// Networks survive everything. Endpoints do not survive a reboot of the host:
// they are dropped, and the engine's later Leave and DeleteEndpoint find nothing,
// which is success. One whose link is gone has lost its container, or the last
// process was killed in the middle of its Join: it keeps its address for as long
// as the engine may take to repeat that (see joinTime), and no ports. A
// state that cannot be read is an error and stays as it is; what the kernel
// refuses is logged, shown as a problem, and tried again by Reconcile, since
// the networks that do work are worth having. What running containers use and the
// state does not know stays as it is; see unclaimed.
func (d *Driver) Restore(ctx context.Context) error {
	s, host, err := load(d.o.Store)
	if err != nil {
		return fmt.Errorf("read the stored state: %w", err)
	}
	veths, err := d.o.Host.Veths(ctx)
	if err != nil {
		return err
	}
	changed, orphans := change{}, change{}
	for _, e := range s.endpoints {
		_, alive := veths[e.ID]
		switch {
		case s.orphaned(e):
			if veths[e.ID].Moved { // a container uses it: see unclaimed
				orphans.endpoints = append(orphans.endpoints, endpointChange{before: e})
				continue
			}
			changed.endpoints = append(changed.endpoints, endpointChange{before: e})
			d.o.Log.WithField("ep", short(e.ID)).Warnf("endpoint is on network %s, which is not stored: removed", short(e.NetworkID))
			continue
		case host.BootID != d.o.BootID:
			changed.endpoints = append(changed.endpoints, endpointChange{before: e})
		case e.Sandbox != "" && !alive:
			d.removeUnfinished(ctx, s.networks[e.NetworkID], e)
			left := e.left()
			changed.endpoints = append(changed.endpoints, endpointChange{before: e, after: &left})
		default:
			continue
		}
		d.o.Log.WithField("ep", short(e.ID)).Info("endpoint did not outlive its container")
	}
	s.apply(changed)
	s.apply(orphans)
	if err := d.persistRestored(changed, host); err != nil {
		return err
	}
	d.mu.Lock()
	d.state = s
	d.engines.unclaimed.find(s, veths, orphans)
	d.noteForwarding(host.turned(d.o.BootID))
	for _, e := range s.endpoints {
		if e.Sandbox == "" {
			d.expected[e.ID] = time.Now()
		}
	}
	d.mu.Unlock()
	d.tellUnclaimed()
	for sandbox := range s.sandboxes {
		if p := s.hostPorts(sandbox); len(p.Runs) > 0 {
			_ = d.holdPorts(ctx, p) // the check finds it
		}
	}
	r := d.repair(ctx, spec.Scope{All: true})
	d.takeOver(ctx, changed.endpoints)
	d.dropFlows(ctx, d.noteFlows(changed))
	d.taken.change(d, nil, s.publishedUDP())
	d.o.Log.Infof("restored %d networks and %d endpoints; %d things were missing in the kernel", len(s.networks), len(s.endpoints), len(r.fixed))
	return nil
}

// removeUnfinished removes what a kill in the middle of Join left of an endpoint's
// pair: one without the alias that says whose it is. Once the endpoint has left,
// nothing else would tell that it is gangway's.
func (d *Driver) removeUnfinished(ctx context.Context, n *Network, e *Endpoint) {
	if err := d.o.Links.DeleteVeth(ctx, e.link(n)); err != nil {
		d.o.Log.WithError(err).WithField("ep", short(e.ID)).Error("remove what is left of the endpoint's link")
	}
}

// persistRestored stores in one transaction what did not survive and which
// boot this is.
func (d *Driver) persistRestored(changed change, host hostRecord) error {
	if changed.empty() && host.BootID == d.o.BootID {
		return nil
	}
	values, err := values(changed)
	if err != nil {
		return err
	}
	if err := encode(values, hostKey, d.host(host.turned(d.o.BootID))); err != nil {
		return err
	}
	if err := d.o.Store.Update(values); err != nil {
		return fmt.Errorf("store the restored state: %w", err)
	}
	return nil
}
