package driver

import (
	"context"
	"fmt"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
)

// forward turns forwarding on for the families asked for, and returns one line for each
// switch that it had to turn.
//
// Whoever turns it on makes the host a router for everybody: it would pass packets of
// its neighbours on to whatever else it is joined to. So a family that nobody's setting
// has the host forward is closed first (see firewall.Ruleset), and stays closed until
// the host boots: what was turned on is noted before it is. One that was on already is
// somebody else's choice, and stays as it is.
func (d *Driver) forward(ctx context.Context, want firewall.Families) ([]string, error) {
	unlock, err := d.forwarding.Take(ctx)
	if err != nil {
		return nil, fmt.Errorf("wait for another network's forwarding: %w", err)
	}
	defer unlock()
	var off firewall.Families
	for _, six := range []bool{false, true} {
		if !want.Has(six) {
			continue
		}
		on, err := d.o.Facts.Forwarding(ctx, six)
		if err != nil {
			return nil, err
		}
		if !on {
			off = off.With(firewall.Family(six))
		}
	}
	if off != (firewall.Families{}) {
		if err := d.closeFamilies(ctx, off); err != nil {
			return nil, err
		}
	}
	return d.o.Host.EnableForwarding(ctx, want.V4, want.V6)
}

// closeFamilies notes that gangway turns the forwarding of these families on, and has the rules
// follow: they close them, unless the user wants a router.
func (d *Driver) closeFamilies(ctx context.Context, off firewall.Families) error {
	var fresh firewall.Families
	err := d.writer.Remember(func(s *model.State) (model.Change, error) {
		if fresh = off.Without(s.Host.Turned()); fresh == (firewall.Families{}) {
			return model.Change{}, nil
		}
		return model.Change{Host: &model.HostChange{Before: s.Host, After: s.Host.Turning(fresh)}}, nil
	})
	if err != nil {
		return fmt.Errorf("note that forwarding was off: %w", err)
	}
	if d.o.Router {
		return nil
	}
	if err := d.rules.Change(ctx, firewall.Delta{}); err != nil {
		return fmt.Errorf("keep the host from being a router: %w", err)
	}
	for _, name := range familyNames(fresh) {
		d.o.Log.Infof("%s forwarding was off and is turned on for the networks alone: what the host's other links would pass on to one another is dropped, "+
			"unless a rule of yours accepts it; GANGWAY_FORWARDING=open makes the host a router", name)
	}
	return nil
}

func familyNames(f firewall.Families) (names []string) {
	if f.V4 {
		names = append(names, "IPv4")
	}
	if f.V6 {
		names = append(names, "IPv6")
	}
	return names
}
