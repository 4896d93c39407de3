package driver

import (
	"context"
	"errors"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// apply makes the kernel follow a delta. Links go before the rules that guard
// them and come after, so that a container is never reachable without its
// network's isolation. Removing goes on past errors; building stops at the
// first.
//
//  1. veth pairs that go or are cut off
//  2. bridges that go
//  3. rules and published ports, both ways, in one step
//  4. bridges that come, and forwarding between links
//  5. veth pairs that come
//
// With its bridge a network enters or leaves the zone of the host's firewall
// manager, as far as that follows.
func (d *Driver) apply(ctx context.Context, dl delta) error {
	err := errors.Join(d.detach(ctx, dl.detach), d.removeLinks(ctx, dl.remove))
	if rules := dl.rules(); !rules.Empty() {
		err = errors.Join(err, d.changeRules(ctx, rules))
	}
	if err != nil {
		return err
	}
	return d.addLinks(ctx, dl.add)
}

func (d *Driver) detach(ctx context.Context, veths []spec.Veth) error {
	var errs []error
	for _, v := range veths {
		_, err := d.o.Links.EnsureVeth(ctx, v)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (d *Driver) removeLinks(ctx context.Context, p plan) error {
	var errs []error
	for _, v := range p.veths {
		errs = append(errs, d.o.Links.DeleteVeth(ctx, v))
	}
	for _, b := range p.bridges {
		errs = append(errs, d.o.Links.DeleteBridge(ctx, b))
	}
	d.zones(ctx, p.bridges, Zones.Leave)
	return errors.Join(errs...)
}

func (d *Driver) addLinks(ctx context.Context, p plan) error {
	for _, b := range p.bridges {
		if _, err := d.o.Links.EnsureBridge(ctx, b); err != nil {
			return err
		}
	}
	d.zones(ctx, p.bridges, Zones.Enter)
	if p.forward != (firewall.Families{}) {
		fixed, err := d.forward(ctx, p.forward)
		if err != nil {
			return err
		}
		for _, line := range fixed {
			d.o.Log.Info(line)
		}
	}
	for _, v := range p.veths {
		if v.Detached {
			continue
		}
		if _, err := d.o.Links.EnsureVeth(ctx, v); err != nil {
			return err
		}
	}
	return nil
}
