package driver

import (
	"context"
	"errors"
	"fmt"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
)

// SettleGateways looks who is called as the networks' gateways, and has the networks be left by them
// from now on. It is for whoever hears from an engine what containers are called: no verb tells it, and none may ask. A
// network whose gateway nobody has named, or that has another name by now, is closed.
func (d *Driver) SettleGateways(ctx context.Context) error {
	if d.o.NameOf == nil {
		return nil
	}
	var errs []error
	for _, id := range d.unsettled() {
		errs = append(errs, d.settle(ctx, id))
	}
	return errors.Join(errs...)
}

// unsettled are the networks that have another gateway by now.
func (d *Driver) unsettled() (ids []string) {
	s, unlock := d.desired.Read()
	defer unlock()
	for _, n := range s.Networks {
		if c := s.NamedGateway(n, d.o.NameOf); c.After != nil {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

func (d *Driver) settle(ctx context.Context, id string) error {
	unlock, err := d.networks.Take(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	var to *model.Network
	err = d.writer.Commit(ctx, func(s *model.State) (model.Change, error) {
		var c model.NetworkChange
		if n := s.Networks[id]; n != nil {
			c = s.NamedGateway(n, d.o.NameOf)
		}
		to = c.After
		return model.Change{Network: c}, nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("have network %s be left by its gateway: %w", model.Short(id), err)
	case to != nil && to.GatewayID != "":
		d.o.Log.WithField("net", model.Short(id)).Infof("the network is left by endpoint %s", model.Short(to.GatewayID))
	}
	return nil
}

// refuseHostDNS refuses a container behind a gateway whose names the engine would ask for by the host: it does so
// where the host's own servers are on its loopback, unless the container or the engine names others. No rule would
// tell those questions from the engine's own. The engine says which servers were named.
func (d *Driver) refuseHostDNS(n *model.Network, r CreateEndpointRequest) error {
	if !n.Steered() || d.o.Servers == nil || config.NamesServers(r.Options) {
		return nil
	}
	if _, addr := config.ParseGateway(n.Options.Gateway); addr.IsValid() && (addr == r.IPv4.Addr() || addr == r.IPv6.Addr()) {
		return nil // it leaves by the host anyway
	}
	for _, a := range d.o.Servers() {
		if a.IsLoopback() {
			return fmt.Errorf("the host's /etc/resolv.conf names %s, so the engine would ask for the container's names by the host, past the gateway of %s: give the container servers that are reached by the gateway (--dns ADDRESS, dns in a compose file), or the engine (\"dns\" in daemon.json); the gateway itself as well", a, n)
		}
	}
	return nil
}
