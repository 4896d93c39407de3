package driver

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
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
// the networks that do work are worth having.
func (d *Driver) Restore(ctx context.Context) error {
	s, host, err := load(d.o.Store)
	if err != nil {
		return fmt.Errorf("read the stored state: %w", err)
	}
	veths, err := d.o.Host.Veths(ctx)
	if err != nil {
		return err
	}
	changed := change{}
	for _, e := range s.endpoints {
		_, alive := veths[e.ID]
		switch {
		case s.orphaned(e):
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
	if err := d.persistRestored(changed, host); err != nil {
		return err
	}
	d.mu.Lock()
	d.state = s
	d.remember(host.turned(d.o.BootID))
	for _, e := range s.endpoints {
		if e.Sandbox == "" {
			d.expected[e.ID] = time.Now()
		}
	}
	d.mu.Unlock()
	d.reservePorts(ctx, s)
	r := d.repair(ctx, spec.Scope{All: true})
	d.dropFlows(ctx, changed)
	d.taken.change(d, nil, s.publishedUDP())
	d.o.Log.Infof("restored %d networks and %d endpoints; %d things were missing in the kernel", len(s.networks), len(s.endpoints), len(r.fixed))
	return nil
}

// removeUnfinished removes what a kill in the middle of Join left of an endpoint's
// pair: one without the alias that says whose it is. Once the endpoint has left,
// nothing else would tell that it is gangway's.
func (d *Driver) removeUnfinished(ctx context.Context, n *Network, e *Endpoint) {
	var p plan
	p.addEndpoint(n, e)
	for _, v := range p.veths {
		if err := d.o.Links.DeleteVeth(ctx, v); err != nil {
			d.o.Log.WithError(err).WithField("ep", short(e.ID)).Error("remove what is left of the endpoint's link")
		}
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

// reservePorts binds again what the last process held. A port that somebody
// took meanwhile stays published: its rules precede any socket.
func (d *Driver) reservePorts(ctx context.Context, s *state) {
	for _, e := range s.endpoints {
		if len(e.Published) == 0 {
			continue
		}
		if _, err := d.o.Ports.Reserve(ctx, e.ID, restoreRequests(e)); err != nil {
			d.o.Log.WithError(err).WithField("ep", short(e.ID)).Warn("published ports are not reserved on the host")
		}
	}
}

// restoreRequests asks for exactly the ports that the endpoint has. Those that
// lead to the same port in both families share a socket, as when they were asked
// for. Runs do not tell: one of them may go on where the other ends.
func restoreRequests(e *Endpoint) []spec.PortRequest {
	var out []spec.PortRequest
	for _, r := range e.Published {
		for i := range r.Len() {
			port, container := r.First+uint16(i), r.ContainerFirst+uint16(i)
			hosts := []netip.Addr{r.HostIP}
			if r.HostIP.IsUnspecified() && hasTwin(e, r, port, container) {
				if r.HostIP.Is6() {
					continue
				}
				hosts = append(hosts, netip.IPv6Unspecified())
			}
			out = append(out, spec.PortRequest{
				Proto:         r.Proto,
				HostIPs:       hosts,
				First:         port,
				Last:          port,
				Container4:    e.IPv4.Addr(),
				Container6:    e.IPv6.Addr(),
				ContainerPort: container,
			})
		}
	}
	return out
}

// hasTwin says whether a port of run r, on all addresses of one family, leads to
// the same one of the container on all addresses of the other family.
func hasTwin(e *Endpoint, r spec.Published, port, container uint16) bool {
	return slices.ContainsFunc(e.Published, func(o spec.Published) bool {
		return o.Proto == r.Proto && o.HostIP != r.HostIP && o.HostIP.IsUnspecified() &&
			o.First <= port && port <= o.Last && o.ContainerFirst+(port-o.First) == container
	})
}
